"""Asks model pods which model they serve and which policies are in force there.

A pod that can't be reached from here (a network policy, a mesh) is asked less and less often, and
no pod is asked again about what it has said.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from textmod_operator.controller.pod_health import get
from textmod_operator.policies import ModelAnswer, ModelSeen, Rollout, answered
from textmod_operator.state import ObjectKey, PodSeen

MOST_BYTES: Final = 4 << 20
"""A manifest with a thousand labels has about two."""
ERROR_SECONDS: Final = 5.0
"""A pod that says for so long that it can't take its policies means the ones it has been given: a
moment after their change it may still see the file as it was, or none."""
MOST_SECONDS: Final = 2.0
"""Of one pass, for all pods that are asked in it."""
FIRST_BACKOFF_SECONDS: Final = 1.0
MAX_BACKOFF_SECONDS: Final = 30.0
REFUSED_SECONDS: Final = 0.2
"""A failure that came faster than this was an answer of the pod's node."""

AskModel = Callable[[str], ModelAnswer | None]
"""From a pod's address to its answer; None when it gives none."""


def ask_model(address: str) -> ModelAnswer | None:
    """The answer of the pod at `address` to GET /model."""
    answer = get(address, "/model", MOST_BYTES)
    if answer is None or answer[0] != 200:
        return None
    try:
        return answered(json.loads(answer[1]))
    except (ValueError, RecursionError):
        return None


@dataclass
class _Known:
    """What is known of the pods of one object."""

    model: ModelSeen | None = None
    revision: str = ""
    """Of the pod that named the model."""
    wanted: str = ""
    """Revision of the pods that are wanted."""
    models: dict[str, ModelSeen] = field(default_factory=dict)
    """Pod → the model that it has named."""
    confirmed: dict[str, str] = field(default_factory=dict)
    """Pod → the version that it has said is in force."""
    errors: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Pod → why it can't take the policies, and since when it says so."""
    version: str = ""
    """The version that is to be in force, and since when."""
    since: float = 0.0
    unanswered: dict[str, int] = field(default_factory=dict)
    """Pod → requests in a row without an answer. Those with fewer are asked first: a failure puts
    off all others, and a pod that never answers would keep them from being asked."""
    failures: int = 0
    not_before: float = 0.0


class ModelPods:
    """What the pods of every object said. Thread-safe: one object is in one pass at a time.

    Args:
        clock: monotonic seconds.
    """

    def __init__(
        self, ask: AskModel = ask_model, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._objects: dict[ObjectKey, _Known] = {}

    def forget(self, key: ObjectKey) -> None:
        """Drop what is kept of an object that is gone."""
        with self._lock:
            self._objects.pop(key, None)

    def model(self, key: ObjectKey, pods: Iterable[PodSeen], revision: str) -> ModelSeen | None:
        """The model that pods of this revision serve or, until one of them answers, the last one
        known; None: none is.

        Args:
            revision: of the pods that are wanted.
        """
        known = self._of(key)
        known.wanted = revision
        if known.model is not None and known.revision == revision:
            return known.model
        new_first = sorted(
            (pod for pod in pods if pod.address is not None),
            key=lambda pod: (
                pod.revision != revision,
                known.unanswered.get(pod.name, 0),
                not pod.ready,
            ),
        )
        if known.model is not None:  # an older pod has nothing to add
            new_first = [pod for pod in new_first if pod.revision == revision]
        deadline = self._clock() + MOST_SECONDS
        for pod in new_first:
            if self._clock() > deadline or self._asked(known, pod) is not None:
                break
        return known.model

    def rollout(self, key: ObjectKey, pods: Iterable[PodSeen], version: str) -> Rollout:
        """How far a version of the policies has come.

        Args:
            version: in the ConfigMap, and in the annotation of every pod that is to read it.
        """
        known, now = self._of(key), self._clock()
        if known.version != version:
            known.version, known.since, known.errors = version, now, {}
        here = [pod for pod in pods if pod.address is not None]
        for pod in sorted(here, key=lambda pod: known.unanswered.get(pod.name, 0)):
            is_asked = pod.policies_version == version and known.confirmed.get(pod.name) != version
            if is_asked and self._clock() - now < MOST_SECONDS:
                _note_error(known, pod, self._asked(known, pod), version, self._clock())
        names = {pod.name for pod in here}
        known.models = {name: model for name, model in known.models.items() if name in names}
        known.unanswered = {name: n for name, n in known.unanswered.items() if name in names}
        _follow_a_moved_tag(known, here)
        known.confirmed = {name: v for name, v in known.confirmed.items() if name in names}
        known.errors = {name: error for name, error in known.errors.items() if name in names}
        ready = [pod for pod in here if pod.ready]
        behind = tuple(pod.name for pod in ready if known.confirmed.get(pod.name) != version)
        return Rollout(
            ready=len(ready),
            behind=behind,
            errors=tuple(
                (name, words)
                for name, (words, since) in sorted(known.errors.items())
                if now - since >= ERROR_SECONDS
            ),
            unreachable=known.failures > 0,
            seconds=now - known.since,
        )

    def wait(self, key: ObjectKey) -> float:
        """Seconds after which asking again may bring something."""
        known, now = self._of(key), self._clock()
        if known.failures:
            return max(known.not_before - now, FIRST_BACKOFF_SECONDS)
        return FIRST_BACKOFF_SECONDS / 2 if now - known.since < 60 else 5.0

    def _asked(self, known: _Known, pod: PodSeen) -> ModelAnswer | None:
        """A pod's answer, remembered; None without one, or while none is waited for."""
        if self._clock() < known.not_before or pod.address is None:
            return None
        began = self._clock()
        answer = self._ask(pod.address)
        if answer is None:
            # Where one can't be reached, the others can't either, nearly always. One that refuses
            # the connection only starts, and costs nothing to ask.
            known.unanswered[pod.name] = known.unanswered.get(pod.name, 0) + 1
            slow = self._clock() - began > REFUSED_SECONDS
            known.failures = known.failures + 1 if slow else 1
            delay = FIRST_BACKOFF_SECONDS * 2.0 ** min(known.failures - 1, 16)
            known.not_before = self._clock() + min(MAX_BACKOFF_SECONDS, delay)
            return None
        known.failures, known.not_before = 0, 0.0
        known.unanswered.pop(pod.name, None)
        known.models[pod.name] = answer.model
        if known.model is None or known.revision != known.wanted == pod.revision:
            known.model, known.revision = answer.model, pod.revision
        if answer.version is not None:
            known.confirmed[pod.name] = answer.version
        return answer

    def _of(self, key: ObjectKey) -> _Known:
        with self._lock:
            return self._objects.setdefault(key, _Known())


def _follow_a_moved_tag(known: _Known, pods: Iterable[PodSeen]) -> None:
    """Take another model once no pod has the known one: an image's tag may name a new model at any
    pod's start, and while both run the thresholds stay."""
    serving = [
        known.models[pod.name]
        for pod in pods
        if pod.revision == known.wanted and pod.name in known.models
    ]
    digests = {model.digest for model in serving}
    if serving and known.model is not None and known.model.digest not in digests:
        known.model, known.revision = serving[0], known.wanted


def _note_error(
    known: _Known, pod: PodSeen, answer: ModelAnswer | None, version: str, now: float
) -> None:
    if answer is None:
        return
    if answer.error is None or answer.version == version:
        known.errors.pop(pod.name, None)
    else:
        _, since = known.errors.get(pod.name, ("", now))
        known.errors[pod.name] = (answer.error, since)
