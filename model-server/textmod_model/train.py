"""Train a recipe: cross-validate it for its figures, fit it on everything, package it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold

from textmod_model import artifact, pipeline
from textmod_model.compiler import NotCompilable, compile_pipeline
from textmod_model.dataset import Dataset

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

logger = logging.getLogger(__name__)

FOLDS: Final = 5
_ECE_BINS: Final = 10

Progress = Callable[[str], None]
"""Called with the name of each step as it begins."""


@dataclass(frozen=True)
class Trained:
    """A fitted pipeline, its operating point and its cross-validated scores."""

    pipeline: "Pipeline"
    threshold: float
    scores: NDArray[np.float64]
    """Out-of-fold P(removed) of each training row, shape (n,)."""
    metrics: dict[str, float]


def train(
    data: Dataset, recipe: str, *, random_state: int = 0, progress: Progress = lambda _: None
) -> Trained:
    """Cross-validate a recipe and fit it on all rows.

    The threshold is the one with the best F1 on the out-of-fold scores.
    """
    texts = np.array(data.texts, dtype=object)
    labels = np.array(data.labels)
    unfitted = pipeline.build(recipe, random_state=random_state)
    scores = np.empty(len(labels))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=random_state)
    for number, (inside, outside) in enumerate(folds.split(texts, labels), start=1):
        progress(f"fold {number} of {FOLDS}")
        fitted = clone(unfitted).fit(texts[inside], labels[inside])
        scores[outside] = pipeline.removed_probability(fitted, texts[outside])
    progress("fit on all rows")
    final = unfitted.fit(texts, labels)
    threshold = best_threshold(labels, scores)
    return Trained(final, threshold, scores, evaluate(labels, scores, threshold))


def package(
    trained: Trained, data: Dataset, out: Path, *, recipe: str, name: str, version: str
) -> artifact.Artifact:
    """Write the artifact and load it again, which checks it."""
    manifest = artifact.Manifest(
        name=name,
        version=version,
        recipe=recipe,
        threshold=trained.threshold,
        metrics=trained.metrics,
        training_data_digest=data.digest,
        training_rows=len(data),
        versions={},
        files={},
    )
    files: dict[str, bytes] = {}
    try:
        files[artifact.COMPILED] = compile_pipeline(trained.pipeline, data.texts).to_bytes()
    except NotCompilable as reason:
        logger.warning("%s; scikit-learn itself will serve, many times slower", reason)
    artifact.save(out, trained.pipeline, manifest, files)
    return artifact.load(out)


def evaluate(
    labels: Sequence[int] | NDArray[Any], scores: NDArray[np.float64], threshold: float
) -> dict[str, float]:
    """Return auc, average_precision, f1, precision, recall, threshold, ece and n.

    The first five and `ece` are in [0, 1]; `scores` are P(removed), shape (n,).
    """
    truth = np.asarray(labels)
    flagged = scores >= threshold
    return {
        "auc": _figure(metrics.roc_auc_score(truth, scores)),
        "average_precision": _figure(metrics.average_precision_score(truth, scores)),
        "f1": _figure(metrics.f1_score(truth, flagged, zero_division=0)),
        "precision": _figure(metrics.precision_score(truth, flagged, zero_division=0)),
        "recall": _figure(metrics.recall_score(truth, flagged, zero_division=0)),
        "threshold": threshold,
        "ece": _figure(expected_calibration_error(truth, scores)),
        "n": len(truth),
    }


def expected_calibration_error(labels: NDArray[Any], scores: NDArray[np.float64]) -> float:
    """Return the expected calibration error over ten bins of equal width, in [0, 1].

    The weighted mean of |share of removed − mean score| (Naeini et al., AAAI 2015).
    """
    bins = np.minimum((scores * _ECE_BINS).astype(int), _ECE_BINS - 1)
    gaps = np.bincount(bins, weights=labels - scores, minlength=_ECE_BINS)
    return float(np.abs(gaps).sum() / len(scores))


def best_threshold(labels: Sequence[int] | NDArray[Any], scores: NDArray[np.float64]) -> float:
    """Return the threshold with the highest F1, rounded to four digits."""
    precision, recall, thresholds = metrics.precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return round(float(thresholds[np.argmax(f1[:-1])]), 4)


def _figure(value: float) -> float:
    return round(float(value), 4)
