"""Score texts: the probability that a moderator would remove each, and why."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import numpy as np

from textmod_model.scoring.compiled import Floats
from textmod_model.scoring.explanation import Asked, Explanation
from textmod_model.scoring.self_check import SelfChecked

if TYPE_CHECKING:
    from textmod_model.artifact import Artifact

_FIRST_LABEL: Final = Asked()


class Backend(Protocol):
    """What turns texts into probabilities."""

    def score(self, texts: Sequence[str]) -> Floats: ...


@runtime_checkable
class Explains(Protocol):
    """A backend that can say exactly why."""

    def explain(self, texts: Sequence[str], label: int = 0) -> Sequence[Explanation]: ...
    def briefs(self, texts: Sequence[str], asked: Asked) -> Sequence[dict[str, Any]]: ...


@runtime_checkable
class Repeatable(Protocol):
    """A backend of which another thread can have its own, of the same model."""

    def another(self) -> SelfChecked: ...


class Scorer:
    """Probabilities of "removed" for batches of texts. Not for several threads at once."""

    def __init__(self, backend: Backend, labels: int = 1) -> None:
        self._backend = backend
        self._labels = labels
        # Asked once, since asking takes as long as explaining a text.
        self._explains = backend if isinstance(backend, Explains) else None

    @classmethod
    def from_artifact(cls, artifact: "Artifact") -> "Scorer":
        """Make the fastest exact scorer that the artifact allows. Raises ArtifactError."""
        from textmod_model.scoring import kinds

        return cls(kinds.load(artifact), max(len(artifact.manifest.attributes), 1))

    @property
    def mismatches(self) -> int:
        """How many of the texts that were scored a second time had another score at first."""
        return self._backend.mismatches if isinstance(self._backend, SelfChecked | _Later) else 0

    def another(self) -> "Scorer | None":
        """Return a scorer of the same model for another thread, None if the backend has none.

        It costs nothing until it is asked for a score.
        """
        if not isinstance(self._backend, Repeatable):
            return None
        return Scorer(_Later(self._backend.another), self._labels)

    def score(self, texts: Sequence[str]) -> Floats:
        """Return P(removed) in [0, 1] of each text, shape (n,). Never raises on a str.

        Of several labels P(yes), shape (n, labels).
        """
        if not texts:
            return np.zeros(0) if self._labels == 1 else np.zeros((0, self._labels))
        return self._backend.score(texts)

    def explain(self, text: str, label: int = 0) -> Explanation | None:
        """Return what each part of a text added to the logit of a label's score.

        None if the model is not one whose score can be taken apart exactly (a whole spaCy
        pipeline, a kind of model of your own). Never raises on a str.
        """
        if self._explains is None:
            return None
        [explanation] = self._explains.explain([text], label)
        return explanation

    def briefs(
        self, texts: Sequence[str], asked: Asked = _FIRST_LABEL
    ) -> list[dict[str, Any]] | None:
        """Return `Explanation.brief` of several texts; None if the model cannot be explained.

        Those of texts that were scored last cost a fraction of the others.
        """
        if self._explains is None:
            return None
        return list(self._explains.briefs(texts, asked))


class _Later:
    """A backend that is made when it is asked for a score."""

    def __init__(self, make: Callable[[], SelfChecked]) -> None:
        self._make = make
        self._made: SelfChecked | None = None

    @property
    def mismatches(self) -> int:
        return 0 if self._made is None else self._made.mismatches

    def score(self, texts: Sequence[str]) -> Floats:
        if self._made is None:
            self._made = self._make()
        return self._made.score(texts)


class PipelineBackend:
    """The scikit-learn pipeline itself: the reference, and the way of pipelines not compiled."""

    def __init__(self, artifact: "Artifact") -> None:
        from textmod_model import pipeline

        self._pipeline = artifact.pipeline()
        self._probability = pipeline.removed_probability

    def score(self, texts: Sequence[str]) -> Floats:
        return self._probability(self._pipeline, texts)
