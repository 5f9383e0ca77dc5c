"""Train a recipe: cross-validate it for its figures, fit it on everything, package it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold

from textmod_model import artifact, pipeline
from textmod_model.training.compiler import NotCompilable, compile_pipeline
from textmod_model.training.dataset import Dataset

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

logger = logging.getLogger(__name__)

FOLDS: Final = 5
_ECE_BINS: Final = 10
# Compiled and plain scores of the training texts may differ by no more; the tests ask for the same.
_TOLERANCE: Final = 1e-9

Progress = Callable[[str], None]
"""Called with the name of each step as it begins."""
Floats = NDArray[np.float64]


class TrainingError(ValueError):
    """Data that a model cannot be trained on; the message says why."""


@dataclass(frozen=True)
class Trained:
    """A fitted pipeline, its operating point and its cross-validated scores."""

    pipeline: "Pipeline"
    threshold: float
    scores: Floats
    """P(removed) of each training row from a model that did not see it, shape (n,)."""
    metrics: dict[str, float]


def train(
    data: Dataset,
    recipe: str,
    *,
    random_state: int = 0,
    spacy_model: str = pipeline.BLANK_ENGLISH,
    progress: Progress = lambda _: None,
) -> Trained:
    """Cross-validate a recipe, then fit it on all rows.

    The threshold is the one with the best F1 on the scores of the folds; the figures are of the
    same scores. Raises TrainingError if a class has fewer rows than there are folds.
    """
    texts, labels = np.array(data.texts, dtype=object), np.array(data.labels)
    unfitted = pipeline.build(recipe, random_state=random_state, spacy_model=spacy_model)
    scores = np.empty(len(labels))
    for number, (inside, outside) in enumerate(folds(labels, random_state), start=1):
        progress(f"fold {number} of {FOLDS}")
        fitted = clone(unfitted).fit(texts[inside], labels[inside])
        scores[outside] = pipeline.removed_probability(fitted, texts[outside].tolist())
    progress("fit on all rows")
    final = unfitted.fit(texts, labels)
    threshold = best_threshold(labels, scores)
    return Trained(final, threshold, scores, evaluate(labels, scores, threshold))


def folds(
    labels: NDArray[np.int64], random_state: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield row numbers inside and outside of each stratified fold. Raises TrainingError."""
    fewest = int(np.bincount(labels, minlength=2).min())
    if fewest < 2 * FOLDS:  # a fold's inside is cut into folds once more for calibration
        raise TrainingError(
            f"one of the two labels has {fewest} rows; {2 * FOLDS} of each are needed at least."
        )
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=random_state)
    yield from splitter.split(labels, labels)


def package(
    trained: Trained, data: Dataset, out: Path, *, recipe: str, name: str, version: str
) -> artifact.Artifact:
    """Write the artifact, compiled form included, and load it again, which checks it."""
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
        compiled = compile_pipeline(trained.pipeline, data.texts)
    except NotCompilable as reason:
        logger.warning("%s; scikit-learn itself will serve, many times slower", reason)
    else:
        files[artifact.COMPILED] = compiled.to_bytes()
    artifact.save(out, trained.pipeline, manifest, files)
    return artifact.load(out)


def verify(made: artifact.Artifact, texts: Sequence[str]) -> float:
    """Return the largest difference between the scorer's and the pipeline's scores of `texts`.

    Raises TrainingError if it is more than 1e-9: such an artifact must not be served.
    """
    from textmod_model.scoring.scorer import Scorer

    expected = pipeline.removed_probability(made.pipeline(), texts)
    difference = float(np.abs(Scorer.from_artifact(made).score(texts) - expected).max(initial=0))
    if not difference <= _TOLERANCE:
        raise TrainingError(
            f"the compiled model's scores differ by {difference:.3g} from the pipeline's: "
            "do not serve this artifact, and report the data it was trained on."
        )
    return difference


def evaluate(labels: ArrayLike, scores: Floats, threshold: float) -> dict[str, float]:
    """Return auc, average_precision, f1, precision, recall, threshold, ece and n.

    `scores` are P(removed), shape (n,); a row is flagged where its score is at least `threshold`.
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


def expected_calibration_error(labels: ArrayLike, scores: Floats) -> float:
    """Return the expected calibration error over ten bins of equal width, in [0, 1].

    The mean of |share of removed - mean score| weighted by bin (Naeini et al., AAAI 2015).
    """
    bins = np.minimum((scores * _ECE_BINS).astype(int), _ECE_BINS - 1)
    gaps = np.bincount(bins, weights=np.asarray(labels) - scores, minlength=_ECE_BINS)
    return float(np.abs(gaps).sum() / len(scores))


def best_threshold(labels: ArrayLike, scores: Floats) -> float:
    """Return the threshold with the highest F1, rounded to four digits."""
    precision, recall, thresholds = metrics.precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return round(float(thresholds[np.argmax(f1[:-1])]), 4)


def _figure(value: float) -> float:
    return round(float(value), 4)
