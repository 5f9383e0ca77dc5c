"""What users of the classic path package: the scikit-learn pipeline behind Seldon's wrapper."""

import os

from textmod_model import artifact


class ClassicModel:
    """Runs in the wrapper's own environment."""

    def __init__(self) -> None:
        self._pipeline = artifact.load(os.environ["TEXTMOD_ARTIFACT"]).pipeline()

    def predict(self, X, names, meta=None):  # noqa: ANN001, ANN201, ARG002, N803 - the wrapper's
        return self._pipeline.predict_proba(X.ravel().tolist())
