"""Models as synchronous calls see them: what is known of each, and a score for the texts."""

import numpy as np

from textmod_model.serving.predictor import ModelInfo

SCIENCE = ModelInfo("science", "1", "sha256:00", "seed", ("kept", "removed"), 0.5)


def two_labels(second):
    """Return a model of the labels toxic, threshold 0.5, and `second`, threshold 0.3."""
    return ModelInfo(
        "civil",
        "2",
        "sha256:00",
        "seed",
        ("not toxic", "toxic"),
        0.5,
        names=("toxic", second),
        thresholds=(0.3,),
    )


def rude(texts):
    """Score 0.9 for texts with the word idiot, 0.1 for others."""
    return np.array([0.9 if "idiot" in text else 0.1 for text in texts])
