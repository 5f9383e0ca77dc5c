"""Train a recipe: cross-validate it for its figures, fit it on everything, package it."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from textmod_model import artifact, pipeline
from textmod_model.latent import Examples
from textmod_model.training import folds as folding
from textmod_model.training import memory, recipes
from textmod_model.training.compiler import NotCompilable, compile_pipeline
from textmod_model.training.corpus import Corpus, NothingToLearn
from textmod_model.training.dataset import CLASSES, Dataset
from textmod_model.training.folds import FOLDS, TrainingError
from textmod_model.training.progress import Progress, part, quiet

if TYPE_CHECKING:
    from textmod_model.pipeline import LatentLogisticRegression

logger = logging.getLogger(__name__)

_ECE_BINS: Final = 10
# Compiled and plain scores of the training texts may differ by no more; the tests ask for the same.
_TOLERANCE: Final = 1e-9
_VERIFIED: Final = 5_000  # texts; a whole large training set takes longer than its training
_READING: Final = 0.1  # share of the time that the texts take until the first fold
# From so many rows on, two folds of the inner five say enough for Platt's three numbers.
_MANY_ROWS: Final = 20_000
_FOLDS_OF_MANY: Final = 2

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

__all__ = ["FOLDS", "Progress", "Trained", "TrainingError", "train"]


@dataclass(frozen=True)
class Trained:
    """A fitted pipeline, and each label's operating point, figures and scores."""

    pipeline: Pipeline
    attributes: tuple[artifact.Attribute, ...]
    """Of each label, in order."""
    all_scores: Floats
    """P(yes) of each training row and label by a model that saw no such text, (n, labels)."""

    @property
    def threshold(self) -> float:
        """The first label's."""
        return self.attributes[0].threshold

    @property
    def metrics(self) -> dict[str, float]:
        """The first label's."""
        return self.attributes[0].metrics

    @property
    def scores(self) -> Floats:
        """The first label's, shape (n,)."""
        return np.asarray(self.all_scores[:, 0])


def train(
    data: Dataset,
    recipe: str,
    *,
    random_state: int = 0,
    spacy_model: str = pipeline.BLANK_ENGLISH,
    progress: Progress = quiet,
) -> Trained:
    """Cross-validate a recipe, then fit it on all rows.

    Each label's threshold is the one with the best F1 on the scores of the folds; the figures are
    of the same scores. Raises TrainingError if a label has fewer texts of a side than the folds
    need, if no text has anything to learn from, if the spaCy pipeline is not installed or if there
    is not enough memory.
    """
    groups = np.array(data.groups())
    targets = truth(data)
    folding.check(targets, groups, data.names)
    memory.check(data, recipe)
    try:
        learner = _learner(data, recipe, random_state, spacy_model, progress)
        scores = np.empty(targets.shape)
        rounds = folding.split(targets, groups, random_state)
        for number, (inside, outside) in enumerate(rounds):
            progress(
                f"fold {number + 1} of {FOLDS}",
                _READING + (1 - _READING) * number / (FOLDS + 1.3),
            )
            learner.fit(inside, folding_inside(targets, groups, inside, random_state))
            scores[outside] = learner.scores(outside)
        progress("fit on all rows", _READING + (1 - _READING) * FOLDS / (FOLDS + 1.3))
        every = np.arange(len(data))
        learner.fit(every, folding_inside(targets, groups, every, random_state))
    except NothingToLearn as error:
        raise TrainingError(f"there is nothing to learn from: {error}.") from error
    except MemoryError as error:
        raise TrainingError(
            f"there is not enough memory for {len(data):,} rows: use fewer."
        ) from error
    attributes = tuple(
        attribute(name, targets[:, at], scores[:, at]) for at, name in enumerate(data.names)
    )
    return Trained(learner.pipeline(), attributes, scores)


def truth(data: Dataset) -> Floats:
    """Return the share of yes of each row and label, shape (n, labels)."""
    found = data.targets or [(float(label),) for label in data.labels]
    return np.array(found, dtype=np.float64)


def folding_inside(
    targets: Floats, groups: Indices, rows: Indices, random_state: int
) -> list[tuple[Indices, Indices]]:
    """Return the folds of some rows that calibration uses, as places among them."""
    found = folding.split(targets[rows], groups[rows], random_state)
    return found[:_FOLDS_OF_MANY] if len(rows) > _MANY_ROWS else found


def settings(fitted: Pipeline) -> tuple[int, str]:
    """Return the random state and the spaCy pipeline that a recipe was trained with."""
    found = fitted.get_params()
    models = {value for name, value in found.items() if name.endswith("tokens__model")}
    return int(found["classifier__random_state"]), str(models.pop())


def _learner(
    data: Dataset, recipe: str, random_state: int, spacy_model: str, progress: Progress
) -> "_Default | _Seed":
    plain = not data.targets and not data.weights
    unfitted = recipes.build(
        recipe, random_state=random_state, spacy_model=spacy_model, plain=plain
    )
    reading = part(progress, 0, _READING)
    try:
        pipeline.language(spacy_model)
    except OSError as error:
        raise TrainingError(
            f"the spaCy pipeline {spacy_model} is not installed here: install it, or leave out "
            "--spacy-model."
        ) from error
    weights = np.array(data.weights) if data.weights else np.ones(len(data))
    kind = _Default if recipe == "default" else _Seed
    return kind(data, unfitted, weights, lambda share: reading("read the texts", share))


class _Default:
    """Fits the default recipe on rows of texts read once."""

    def __init__(
        self, data: Dataset, unfitted: Pipeline, weights: Floats, advance: Callable[[float], None]
    ) -> None:
        self._corpus = Corpus(data.texts, unfitted, advance)
        self._unfitted = unfitted
        self._targets = truth(data)
        self._weights = weights

    def fit(self, rows: Indices, calibration: list[tuple[Indices, Indices]]) -> None:
        self._fitted = self._corpus.fit(rows)
        self._classifier: LatentLogisticRegression = clone(self._unfitted[-1])
        self._classifier.learn(
            Examples(
                self._fitted.sparse,
                self._fitted.aside,
                self._targets[rows],
                self._weights[rows],
                calibration,
            )
        )

    def scores(self, rows: Indices) -> Floats:
        found = self._classifier.predict_proba(self._corpus.transform(self._fitted, rows))
        return found if self._targets.shape[1] > 1 else found[:, 1:]

    def pipeline(self) -> Pipeline:
        return Pipeline(
            [
                ("clean", self._unfitted.named_steps["clean"]),
                ("features", self._fitted.union),
                ("classifier", self._classifier),
            ]
        )


class _Seed:
    """Fits the seed recipe on rows of texts tokenized once."""

    def __init__(
        self, data: Dataset, unfitted: Pipeline, weights: Floats, advance: Callable[[float], None]
    ) -> None:
        self._unfitted = unfitted
        self._tokens = np.empty(len(data), dtype=object)
        self._tokens[:] = unfitted[:-2].transform(data.texts)
        advance(1)
        self._targets = truth(data)
        self._weights = weights

    def fit(self, rows: Indices, calibration: list[tuple[Indices, Indices]]) -> None:
        vectorizer, classifier = clone(self._unfitted[-2]), clone(self._unfitted[-1])
        try:
            matrix = vectorizer.fit_transform(self._tokens[rows])
        except ValueError as error:  # scikit-learn's: an empty vocabulary
            raise NothingToLearn("no text has a word") from error
        if isinstance(classifier, pipeline.LatentLogisticRegression):
            nothing = np.zeros((len(rows), 0))
            targets, weights = self._targets[rows], self._weights[rows]
            classifier.learn(Examples([matrix], nothing, targets, weights, calibration))
        else:
            classifier.fit(matrix, (self._targets[rows, 0] >= 0.5).astype(np.int64))
        self._fitted = Pipeline(
            [*self._unfitted.steps[:-2], ("tfidf", vectorizer), ("classifier", classifier)]
        )

    def scores(self, rows: Indices) -> Floats:
        found = np.asarray(self._fitted[-2:].predict_proba(self._tokens[rows]))
        return found if self._targets.shape[1] > 1 else found[:, 1:]

    def pipeline(self) -> Pipeline:
        return self._fitted


def package(
    trained: Trained, data: Dataset, out: Path, *, recipe: str, name: str, version: str
) -> artifact.Artifact:
    """Write the artifact, compiled form included, and load it again, which checks it."""
    manifest = artifact.Manifest(
        name=name,
        version=version,
        recipe=recipe,
        labels=classes(data.names),
        threshold=trained.threshold,
        metrics=trained.metrics,
        training_data_digest=data.digest,
        training_rows=len(data),
        versions={},
        files={},
        attributes=trained.attributes,
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


def classes(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a manifest calls the columns of scores: two sides of one label, or the labels."""
    if len(names) > 1:
        return names
    return CLASSES if names[0] == CLASSES[1] else (f"not {names[0]}", names[0])


def verify(made: artifact.Artifact, texts: Sequence[str]) -> float:
    """Return the largest difference between the scorer's and the pipeline's scores of `texts`.

    Of more than 5,000 texts that many are looked at, evenly spread. Raises TrainingError if the
    difference is more than 1e-9: such an artifact must not be served.
    """
    from textmod_model.scoring.scorer import Scorer

    texts = texts[:: -(-len(texts) // _VERIFIED)] if texts else texts
    expected = pipeline.removed_probability(made.pipeline(), texts)
    difference = float(np.abs(Scorer.from_artifact(made).score(texts) - expected).max(initial=0))
    if not difference <= _TOLERANCE:
        raise TrainingError(
            f"the compiled model's scores differ by {difference:.3g} from the pipeline's: "
            "do not serve this artifact, and report the data it was trained on."
        )
    return difference


def attribute(name: str, target: Floats, scores: Floats) -> artifact.Attribute:
    """Return what a manifest says of a label, by shares of yes and scores of shape (n,)."""
    yes = (target >= 0.5).astype(np.int64)
    threshold = best_threshold(yes, scores)
    bins = np.minimum((scores * artifact.BINS).astype(int), artifact.BINS - 1)
    return artifact.Attribute(
        name=name,
        threshold=threshold,
        metrics=evaluate(yes, scores, threshold),
        without=tuple(np.bincount(bins[yes == 0], minlength=artifact.BINS).tolist()),
        having=tuple(np.bincount(bins[yes == 1], minlength=artifact.BINS).tolist()),
    )


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


def by_chance(label: artifact.Attribute) -> bool:
    """Tell whether scores that tell nothing may have a label's AUC: within two standard errors.

    The standard error is that of Mann and Whitney's U.
    """
    having, without = sum(label.having), sum(label.without)
    error = math.sqrt((having + without + 1) / (12 * having * without))
    return label.metrics["auc"] < 0.5 + 2 * error


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
