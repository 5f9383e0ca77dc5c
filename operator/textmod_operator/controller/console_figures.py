"""Polls each object's console for its figures.

A pass never waits for a console: it takes the last answer, and threads of their own send the
requests that are due. An answer with news enqueues its object. A console that does not answer is
asked less and less often.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from textmod_operator import naming
from textmod_operator.api.status import QualityStatus
from textmod_operator.conditions import measured_of
from textmod_operator.controller.pod_health import get
from textmod_operator.policies import Evidence, evidence_of
from textmod_operator.state import ObjectKey, PodSeen

ASKERS: Final = 4
"""A thousand consoles that can't be reached cost a second each in five minutes: some threads are
left for the others."""
INTERVAL_SECONDS: Final = 30.0
"""Between two passes that ask."""
EARLIEST_SECONDS: Final = 0.8 * INTERVAL_SECONDS
"""Between two questions: passes are planned with a jitter, and one that came a moment too early
would only be followed by another."""
SOON_SECONDS: Final = 5.0
"""Until the next question after the first failure."""
MAX_BACKOFF_SECONDS: Final = 300.0
UNHEARD_SECONDS: Final = 900.0
"""A console that has not reported for so long is unavailable: a restart takes less."""
MOST_BYTES: Final = 1 << 20

AskConsole = Callable[[str, str], Any]
"""From an address and a path to the JSON value that is answered; raises OSError or ValueError."""
Submit = Callable[[Callable[[], None]], object]
"""Runs something soon, in another thread."""


def ask_console(address: str, path: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return what the console at `address` answers.

    Raises:
        OSError: it gives no answer in time, or another one than 200.
        ValueError: the answer is not JSON.
    """
    answer = get(address, path, MOST_BYTES, naming.CONSOLE_INTERNAL_PORT)
    if answer is None or answer[0] != 200:
        raise OSError("no answer" if answer is None else f"answered {answer[0]}")
    try:
        return json.loads(answer[1])
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@dataclass(frozen=True)
class ConsoleSaid:
    """The last answers of an object's console."""

    measured: QualityStatus | None = None
    """None: nothing yet."""
    evidence: Evidence | None = None
    silent: str | None = None
    """Why it has not reported for long; None: it has."""

    @property
    def news(self) -> object:
        """The part whose change is worth a pass: all but the window, which moves with the clock."""
        figures = self.measured and self.measured.model_copy(update={"window": None})
        return figures, self.evidence


@dataclass
class _Known:
    said: ConsoleSaid = field(default_factory=ConsoleSaid)
    heard: float = 0.0
    """Of the last answer, or of the first question."""
    due: float = 0.0
    failures: int = 0
    is_being_asked: bool = False


class ConsoleFigures:
    """The last answers of all consoles. Thread-safe.

    Args:
        clock: monotonic seconds.
        submit: None: `ASKERS` threads, made when they are needed.
        changed: called in any thread with an object whose console has news, or gave no answer: its
            next pass knows when to ask again.
    """

    def __init__(
        self,
        ask: AskConsole = ask_console,
        clock: Callable[[], float] = time.monotonic,
        submit: Submit | None = None,
        changed: Callable[[ObjectKey], None] = lambda _: None,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._submit = submit
        self._changed = changed
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._objects: dict[ObjectKey, _Known] = {}

    def said(self, key: ObjectKey, pods: Iterable[PodSeen]) -> ConsoleSaid:
        """Return what the object's console said last, and have it asked again when that is due.

        Args:
            pods: of the console.
        """
        ready = [pod.address for pod in pods if pod.ready and pod.address is not None]
        now = self._clock()
        with self._lock:
            known = self._objects.setdefault(key, _Known(heard=now))
            if ready and not known.is_being_asked and now >= known.due:
                known.is_being_asked = True
                address = ready[known.failures % len(ready)]
            else:
                address = None
        if address is not None:
            self._run(lambda: self._answer(key, known, address))
        with self._lock:
            silence = self._clock() - known.heard
            if silence < UNHEARD_SECONDS:
                return known.said
            why = (
                "it does not answer on port 8081; see its logs and its NetworkPolicy"
                if ready
                else "none of its pods is ready; see ReviewReady"
            )
            minutes = int(silence // 60)
            return ConsoleSaid(
                known.said.measured,
                known.said.evidence,
                f"the console has not reported for {minutes} minutes: {why}",
            )

    def wait(self, key: ObjectKey) -> float:
        """Return the seconds after which a pass is to ask again."""
        with self._lock:
            known, now = self._objects.get(key), self._clock()
            if known is None or not known.failures or known.due <= now:
                return INTERVAL_SECONDS  # news, and a pod that gets ready, bring a pass sooner
            return max(SOON_SECONDS, known.due - now)

    def forget(self, key: ObjectKey) -> None:
        """Drop what is kept of an object that is gone."""
        with self._lock:
            self._objects.pop(key, None)

    def close(self) -> None:
        """Send no more requests, and report no more answers."""
        with self._lock:
            self._changed = lambda _: None
            pool, self._pool = self._pool, None
            self._submit = lambda _: None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, work: Callable[[], None]) -> None:
        with self._lock:
            if self._submit is None:
                self._pool = ThreadPoolExecutor(ASKERS, "reconcile-console")
                self._submit = self._pool.submit
            submit = self._submit
        submit(work)

    def _answer(self, key: ObjectKey, known: _Known, address: str) -> None:
        said: ConsoleSaid | None = None
        try:
            measured = measured_of(self._ask(address, "/quality"))
            said = ConsoleSaid(measured, evidence_of(self._ask(address, "/evidence")))
        except (OSError, ValueError):
            pass
        finally:
            if self._note(known, said):
                self._changed(key)

    def _note(self, known: _Known, said: ConsoleSaid | None) -> bool:
        """Keep an answer; whether a pass is worth it."""
        with self._lock:
            now = self._clock()
            known.is_being_asked = False
            if said is None:
                known.failures += 1
                delay = SOON_SECONDS * 2.0 ** min(known.failures - 1, 16)
                known.due = now + min(MAX_BACKOFF_SECONDS, delay)
                return True
            has_news = bool(known.failures) or said.news != known.said.news
            known.said, known.heard = said, now
            known.failures, known.due = 0, now + EARLIEST_SECONDS
            return has_news
