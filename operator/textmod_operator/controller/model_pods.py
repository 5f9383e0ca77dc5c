"""Asks model pods which model they serve and which policies are in force there.

A pod that can't be reached from here (a network policy, a mesh) is asked less and less often, and
no pod is asked again about what it has said.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
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
MAX_BACKOFF_SECONDS: Final = 60.0
SOON_SECONDS: Final = 60.0
"""A pod starts, and a version comes to the pods, within this time."""
LATER_SECONDS: Final = 5.0
"""Between two questions after that, and more with every minute: what has not come in ten minutes
waits for a person."""
LATER_SHARE: Final = 1 / 12
"""Between two questions, of the time that has passed."""
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
class _Answers:
    """What one pod has said."""

    model: ModelSeen | None = None
    confirmed: str = ""
    """The version of the policies that is in force there."""
    error: tuple[str, float] | None = None
    """Why it can't take the policies, and since when it says so."""
    missing: int = 0
    """Requests in a row without an answer. Pods with fewer are asked first: a failure puts off all
    others, and a pod that never answers would keep them from being asked."""


@dataclass
class _Known:
    """What is known of the pods of one object."""

    model: ModelSeen | None = None
    revision: str = ""
    """Of the pod that named the model."""
    wanted: str = ""
    """Revision of the pods that are wanted."""
    pods: defaultdict[str, _Answers] = field(default_factory=lambda: defaultdict(_Answers))
    """By the pod's name."""
    version: str = ""
    """The version that is to be in force, and since when."""
    since: float = 0.0
    changed: float = 0.0
    """When a version or a revision was last new: since then something is waited for."""
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
        if known.wanted != revision:
            known.wanted, known.changed = revision, self._clock()
        if known.model is not None and known.revision == revision:
            return known.model
        new_first = sorted(
            (pod for pod in pods if pod.address is not None),
            key=lambda pod: (
                pod.revision != revision,
                known.pods[pod.name].missing,
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
            known.version, known.since, known.changed = version, now, now
            for answers in known.pods.values():
                answers.error = None
        here = {pod.name: pod for pod in pods if pod.address is not None}
        for pod in sorted(here.values(), key=lambda pod: known.pods[pod.name].missing):
            answers = known.pods[pod.name]
            is_asked = pod.policies_version == version and answers.confirmed != version
            if is_asked and self._clock() - now < MOST_SECONDS:
                _note_error(answers, self._asked(known, pod), version, self._clock())
        for name in known.pods.keys() - here.keys():
            del known.pods[name]
        _follow_a_moved_tag(known, here.values())
        ready = [pod for pod in here.values() if pod.ready]
        behind = tuple(pod.name for pod in ready if known.pods[pod.name].confirmed != version)
        return Rollout(
            ready=len(ready),
            behind=behind,
            errors=tuple(
                (name, answers.error[0])
                for name, answers in sorted(known.pods.items())
                if answers.error is not None and now - answers.error[1] >= ERROR_SECONDS
            ),
            unreachable=known.failures > 0,
            seconds=now - known.since,
        )

    def wait(self, key: ObjectKey) -> float:
        """Seconds after which asking again may bring something."""
        known, now = self._of(key), self._clock()
        if known.failures:
            return max(known.not_before - now, FIRST_BACKOFF_SECONDS)
        soon = now - known.changed < SOON_SECONDS
        return FIRST_BACKOFF_SECONDS / 2 if soon else self._later(known)

    def _asked(self, known: _Known, pod: PodSeen) -> ModelAnswer | None:
        """A pod's answer, remembered; None without one, or while none is waited for."""
        if self._clock() < known.not_before or pod.address is None:
            return None
        answers, began = known.pods[pod.name], self._clock()
        answer = self._ask(pod.address)
        if answer is None:
            # Where one can't be reached, the others can't either, nearly always. One that refuses
            # the connection only starts, or its image has no such page.
            answers.missing += 1
            slow = self._clock() - began > REFUSED_SECONDS
            known.failures = known.failures + 1 if slow else 1
            delay = FIRST_BACKOFF_SECONDS * 2.0 ** min(known.failures - 1, 16)
            if not slow and answers.missing * FIRST_BACKOFF_SECONDS > SOON_SECONDS:
                delay = self._later(known)
            known.not_before = self._clock() + min(MAX_BACKOFF_SECONDS, delay)
            return None
        known.failures, known.not_before = 0, 0.0
        answers.missing, answers.model = 0, answer.model
        if known.model is None or known.revision != known.wanted == pod.revision:
            known.model, known.revision = answer.model, pod.revision
        if answer.version is not None:
            answers.confirmed = answer.version
        return answer

    def _later(self, known: _Known) -> float:
        waited = self._clock() - known.changed
        return min(MAX_BACKOFF_SECONDS, max(LATER_SECONDS, waited * LATER_SHARE))

    def _of(self, key: ObjectKey) -> _Known:
        with self._lock:
            return self._objects.setdefault(key, _Known())


def _follow_a_moved_tag(known: _Known, pods: Iterable[PodSeen]) -> None:
    """Take another model once no pod has the known one: an image's tag may name a new model at any
    pod's start, and while both run the thresholds stay."""
    serving = [
        model
        for pod in pods
        if pod.revision == known.wanted and (model := known.pods[pod.name].model) is not None
    ]
    digests = {model.digest for model in serving}
    if serving and known.model is not None and known.model.digest not in digests:
        known.model, known.revision = serving[0], known.wanted


def _note_error(answers: _Answers, answer: ModelAnswer | None, version: str, now: float) -> None:
    if answer is None:
        return
    if answer.error is None or answer.version == version:
        answers.error = None
    else:
        since = now if answers.error is None else answers.error[1]
        answers.error = answer.error, since
