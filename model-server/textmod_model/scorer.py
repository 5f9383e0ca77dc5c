"""Score texts: the probability that a moderator would remove each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from textmod_model.artifact import Artifact


class Backend(Protocol):
    """What turns texts into probabilities."""

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]: ...


class PipelineBackend:
    """The scikit-learn pipeline itself: the reference, and the way of recipes not compiled."""

    def __init__(self, artifact: "Artifact") -> None:
        from textmod_model import pipeline

        self._pipeline = artifact.pipeline()
        self._probability = pipeline.removed_probability

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.asarray(self._probability(self._pipeline, texts), dtype=np.float64)


class Scorer:
    """Probabilities of "removed" for batches of texts."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @classmethod
    def from_artifact(cls, artifact: "Artifact") -> "Scorer":
        """Make the fastest exact scorer the artifact allows. Raises ArtifactError if damaged."""
        return cls(PipelineBackend(artifact))

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return P(removed) in [0, 1] of each text, shape (n,). Never raises on a str."""
        if not texts:
            return np.zeros(0)
        return self._backend.score(texts)
