"""Compare algorithms on the same words and the same folds as the recipes."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from textmod_model import pipeline
from textmod_model.training.dataset import Dataset
from textmod_model.training.train import Floats, Progress, folds

_TREES: Final = 100


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
    progress: Progress = lambda _: None,
) -> dict[str, list[float]]:
    """Return the ROC AUC of each algorithm in each fold.

    `recipes` adds recipes trained on the same data and seed, by the scores of their own
    cross-validation (`train.Trained.scores`), whose folds are the same.
    """
    labels = np.array(data.labels)
    # What learns nothing is done once; the vocabulary and the weights are learned inside folds.
    cleaned = pipeline.CleanTextTransformer().transform(data.texts)
    tokens = np.empty(len(data), dtype=object)
    tokens[:] = pipeline.SpacyTokenTransformer().transform(cleaned)
    result: dict[str, list[float]] = {}
    for number, (inside, outside) in enumerate(folds(labels, random_state), start=1):
        vectorizer = pipeline.word_tfidf()
        features = vectorizer.fit_transform(tokens[inside])
        unseen = vectorizer.transform(tokens[outside])
        for name, classifier in algorithms(random_state).items():
            progress(f"{name}, fold {number}")
            fitted = Pipeline([("classifier", classifier)]).fit(features, labels[inside])
            scores = _scores(fitted)(unseen)
            result.setdefault(name, []).append(_auc(labels[outside], scores))
        for name, scores in (recipes or {}).items():
            result.setdefault(name, []).append(_auc(labels[outside], scores[outside]))
    return result


def _scores(fitted: Pipeline) -> Callable[[object], Floats]:
    """Return what ranks texts: decision values, or probabilities where there are none."""
    if hasattr(fitted, "decision_function"):
        return lambda features: np.asarray(fitted.decision_function(features))
    return lambda features: np.asarray(fitted.predict_proba(features)[:, 1])


def _auc(labels: Floats, scores: Floats) -> float:
    return round(float(roc_auc_score(labels, scores)), 4)
