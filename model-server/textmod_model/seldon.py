"""The model as Seldon's own Python wrapper loads it.

    seldon-core-microservice textmod_model.seldon.TextModeration --service-type MODEL

The image doesn't need the wrapper, whose pins conflict with current spaCy and scikit-learn: it
speaks the protocol itself (`rest`, `grpc_server`) and gives the same answers.
"""

import os
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textmod_model import settings as settings_module
from textmod_model.formats.message import CLASS_NAMES, RefusedError
from textmod_model.formats.payload import texts_of
from textmod_model.serving.predictor import Predictor


class TextModeration:
    """Probabilities of a text being kept and removed, by the artifact that the settings name."""

    def __init__(self, artifact: str | None = None, threshold: float | None = None) -> None:
        """Take the graph's parameters; what they leave out comes from the environment."""
        given = {"TEXTMOD_ARTIFACT": artifact, "TEXTMOD_MODEL_THRESHOLD": threshold}
        environment = dict(os.environ)
        environment |= {name: str(value) for name, value in given.items() if value is not None}
        self._settings = settings_module.load(environment)
        self._predictor: Predictor | None = None
        self._lock = threading.Lock()
        self._scored = 0
        self._flagged = 0

    def load(self) -> None:
        """Load the artifact, once; the wrapper calls it in each of its processes."""
        from textmod_model.serving.cli import load_predictor

        with self._lock:
            if self._predictor is None:
                self._predictor = load_predictor(self._settings)

    def predict(
        self,
        X: object,  # noqa: N803 - the wrapper's name
        names: Iterable[str] | None = None,  # noqa: ARG002 - the wrapper's interface
        meta: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> NDArray[np.float64]:
        """Return probabilities of kept and removed, shape (n, 2), or of several labels (n, labels).

        Args:
            X: an array or list of strings of any shape, one string, bytes, or an object with the
                text field. Anything else is the caller's fault (400).
            names: column names, not used.
            meta: the request's meta, not used.
        """
        predictor = self._loaded()
        payload = X.ravel().tolist() if isinstance(X, np.ndarray) else X
        try:
            texts = texts_of(payload, self._settings.message_text_field.split("."))
        except RefusedError as error:
            raise _bad_data(error.refused.message) from None
        scores = predictor.score(texts)
        with self._lock:
            self._scored += len(scores)
            first = scores if scores.ndim == 1 else scores[:, 0]
            self._flagged += int((first >= predictor.info.threshold).sum())
        return np.column_stack([1.0 - scores, scores]) if scores.ndim == 1 else scores

    def class_names(self) -> list[str]:
        """Return the columns' names: several labels', else what Seldon gives to unnamed ones."""
        return list(self._loaded().info.names or CLASS_NAMES)

    def tags(self) -> dict[str, Any]:
        """Return no tags: an answer's meta holds what the request's did and nothing else."""
        return {}

    def metrics(self) -> list[dict[str, Any]]:
        """Return Seldon's counters of what was scored since the last call."""
        with self._lock:
            scored, flagged = self._scored, self._flagged
            self._scored = self._flagged = 0
        return [
            {"type": "COUNTER", "key": "textmod_texts_scored_total", "value": scored},
            {"type": "COUNTER", "key": "textmod_texts_flagged_total", "value": flagged},
        ]

    def health_status(self) -> str:
        """Return a word for a loaded model; raises if there is none."""
        self._loaded()
        return "healthy"

    def init_metadata(self) -> dict[str, Any]:
        """Return the model's metadata in Seldon's v1 schema."""
        return self._loaded().info.metadata()

    def _loaded(self) -> Predictor:
        self.load()
        assert self._predictor is not None  # noqa: S101 - for the type checker; load() sets it
        return self._predictor


def _bad_data(message: str) -> Exception:
    """The exception that the wrapper answers with 400; its absence means that nobody asks."""
    try:
        from seldon_core.flask_utils import SeldonMicroserviceException
    except ImportError:
        return ValueError(message)
    error: Exception = SeldonMicroserviceException(message)
    return error
