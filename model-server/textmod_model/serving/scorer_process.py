"""A process that scores for synchronous calls, so that they take nothing from the stream.

Two threads of one process share the interpreter's lock, and a call's thread that holds it and waits
for a core keeps the stream waiting as long. A process that was forked shares the model's memory,
has its own lock, and yields its core to the stream (`NICER`).
"""

import gc
import logging
import marshal
import os
import signal
import socket
from collections.abc import Sequence
from io import BufferedRWPair, BytesIO
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

NICER: Final = 10
ANSWER_SECONDS: Final = 30.0
"""How long one slice of a call may take; it is scored in milliseconds."""


Channel = BufferedRWPair | BytesIO


class ScoringFailed(Exception):  # noqa: N818 - what became of the call
    """The model could not score the texts; the sentence names the type of its error alone, since
    the error's own words may hold a user's."""


class CallScorer(Protocol):
    """What scores; its counts are its own."""

    @property
    def mismatches(self) -> int: ...
    def score(self, texts: Sequence[str]) -> NDArray[np.float64]: ...


class ScorerProcess:
    """Scores in a process of its own, and in this one if that has ended. For one thread at once."""

    def __init__(self, scorer: CallScorer, process: int, channel: socket.socket) -> None:
        """Take the scorer to fall back on, and the id of a process that answers on a channel."""
        self._scorer, self._process = scorer, process
        channel.settimeout(ANSWER_SECONDS)
        self._socket = channel
        self._channel: BufferedRWPair | None = channel.makefile("rwb")
        self._mismatches = 0
        self.losses = 0
        """How often the process has ended by itself, or did not answer."""

    @classmethod
    def fork(cls, scorer: CallScorer) -> "ScorerProcess":
        """Start the process. Call it before any thread is started and any connection opened."""
        gc.freeze()  # what is loaded stays, and stays shared: a collection would write to all of it
        ours, theirs = socket.socketpair()
        process = os.fork()
        if process == 0:
            status = 1
            try:
                ours.close()
                os.nice(NICER)
                for number in (signal.SIGTERM, signal.SIGINT):  # it ends with its parent
                    signal.signal(number, signal.SIG_IGN)
                with theirs.makefile("rwb") as channel:
                    answer(channel, scorer)
                status = 0
            finally:
                os._exit(status)  # nothing of the parent's is to be cleaned up here
        theirs.close()
        return cls(scorer, process, ours)

    @property
    def mismatches(self) -> int:
        """How many wrong scores were found in the process, and in this one since."""
        return self._mismatches + self._scorer.mismatches

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return what the scorer does. Raises ScoringFailed if that fails in the process."""
        if self._channel is None:
            return self._scorer.score(texts)
        try:
            _send(self._channel, list(texts))
            scores, self._mismatches, failed = marshal.load(self._channel)  # noqa: S302  # our own
        except (OSError, EOFError, ValueError, TypeError):
            log.exception("the process that scores for calls has ended; scoring in this one")
            self.losses += 1
            self.close()
            return self._scorer.score(texts)
        if failed is not None:
            raise ScoringFailed(f"the model could not score the texts ({failed})")
        return np.array(scores)

    def close(self) -> None:
        """End the process."""
        if self._channel is None:
            return
        self._channel = None
        self._socket.close()
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


def answer(channel: Channel, scorer: CallScorer) -> None:
    """Score lists of texts until the other side has closed the channel.

    An answer is the scores, the mismatches so far, and the type of the error if scoring failed: one
    call's texts must not cost all later calls this process.
    """
    while True:
        try:
            texts: list[str] = marshal.load(channel)  # noqa: S302  # our parent's
        except (EOFError, OSError):
            return
        scores, failed = [], None
        try:
            scores = scorer.score(texts).tolist()
        except Exception as error:  # noqa: BLE001 - whatever the model raises
            failed = type(error).__name__
        _send(channel, (scores, scorer.mismatches, failed))


def _send(channel: Channel, what: Any) -> None:  # noqa: ANN401  # what marshal takes
    marshal.dump(what, channel)
    channel.flush()
