"""Compare algorithms on the same words and the same folds as the recipes."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from textmod_model import pipeline
from textmod_model.training.dataset import Dataset
from textmod_model.training.folds import FOLDS, split
from textmod_model.training.progress import Progress, quiet
from textmod_model.training.recipes import word_tfidf
from textmod_model.training.train import Floats

_TREES: Final = 100
MOST_ROWS: Final = 10_000
"""Rows that the algorithms see at most: forests take hours on many."""

Indices = NDArray[np.int64]


def algorithms(random_state: int) -> dict[str, object]:
    """Return the classifiers that are compared, by name, all on the seed's TF-IDF."""
    return {
        "logistic regression (seed)": LogisticRegression(C=0.1, random_state=random_state),
        "logistic regression, balanced": LogisticRegression(
            C=1.0, class_weight="balanced", max_iter=500, random_state=random_state
        ),
        "naive Bayes, complement": ComplementNB(),
        "support vector machine, linear": LinearSVC(C=0.1, random_state=random_state),
        "stochastic gradient, Huber": SGDClassifier(
            loss="modified_huber", alpha=1e-3, random_state=random_state
        ),
        "random forest": RandomForestClassifier(
            _TREES, min_samples_leaf=2, random_state=random_state
        ),
        "extremely random trees": ExtraTreesClassifier(
            _TREES, min_samples_leaf=2, random_state=random_state
        ),
    }


def compare(
    data: Dataset,
    *,
    random_state: int = 0,
    recipes: Mapping[str, Floats] | None = None,
    progress: Progress = quiet,
) -> dict[str, list[float]]:
    """Return the ROC AUC of each algorithm in each fold.

    All see the first label. Of more than `MOST_ROWS` rows that many are drawn by lot, but for the
    recipes. `recipes` adds recipes trained on the same data and seed, by the scores of their own
    cross-validation (`train.Trained.scores`), whose folds are the same.
    """
    labels, groups = np.array(data.labels), np.array(data.groups())
    rounds = split(labels[:, None], groups, random_state)
    # Steps that learn nothing run once; the vocabulary and the weights are learned inside folds.
    chosen = _sample(len(data), random_state)
    tokens = np.empty(len(data), dtype=object)
    cleaned = pipeline.CleanTextTransformer().transform(data.texts[at] for at in chosen)
    tokens[chosen] = _objects(pipeline.SpacyTokenTransformer().transform(cleaned))
    result: dict[str, list[float]] = {}
    steps = len(algorithms(random_state)) * FOLDS
    for number, (inside, outside) in enumerate(rounds, start=1):
        seen, unseen = np.intersect1d(inside, chosen), np.intersect1d(outside, chosen)
        vectorizer = word_tfidf()
        features = vectorizer.fit_transform(tokens[seen])
        others = vectorizer.transform(tokens[unseen])
        for name, classifier in algorithms(random_state).items():
            progress(f"{name}, fold {number}", sum(map(len, result.values())) / steps)
            fitted = Pipeline([("classifier", classifier)]).fit(features, labels[seen])
            scores = _scores(fitted)(others)
            result.setdefault(name, []).append(_auc(labels[unseen], scores))
        for name, scores in (recipes or {}).items():
            result.setdefault(name, []).append(_auc(labels[outside], scores[outside]))
    return result


def _sample(rows: int, random_state: int) -> Indices:
    """Return the rows that the algorithms see, in order."""
    if rows <= MOST_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(random_state).choice(rows, MOST_ROWS, replace=False))


def _objects(lists: list[list[str]]) -> NDArray[np.object_]:
    found = np.empty(len(lists), dtype=object)
    found[:] = lists
    return found


def _scores(fitted: Pipeline) -> Callable[[object], Floats]:
    """Return what ranks texts: decision values, or probabilities where there are none."""
    if hasattr(fitted, "decision_function"):
        return lambda features: np.asarray(fitted.decision_function(features))
    return lambda features: np.asarray(fitted.predict_proba(features)[:, 1])


def _auc(labels: Floats, scores: Floats) -> float:
    return round(float(roc_auc_score(labels, scores)), 4)
