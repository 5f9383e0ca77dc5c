"""The training report: one HTML file with every plot inside, nothing loaded from elsewhere."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from scipy.sparse import csr_matrix, diags

from textmod_model import pipeline
from textmod_model.artifact import Manifest
from textmod_model.text.cleaning import clean
from textmod_model.training import plots
from textmod_model.training.dataset import CLASSES, Dataset
from textmod_model.training.drawing import (
    ACCENT,
    KEPT,
    QUIET,
    REMOVED,
    STYLE,
    Plot,
    plot,
    svg,
    template,
)
from textmod_model.training.plots import Judged
from textmod_model.training.train import Floats, Trained, truth
from textmod_model.training.wording import mark, said

_TOP: Final = 12
_DEPENDENCES: Final = 6
_DEPENDENCE_TEXTS: Final = 400
_TITLE: Final = 32  # characters of a line above a small plot


@dataclass(frozen=True)
class Group:
    """Plots under one heading; an empty one stands for none."""

    heading: str
    plots: list[Plot]


def render(
    manifest: Manifest, trained: Trained, data: Dataset, comparison: Mapping[str, Sequence[float]]
) -> str:
    """Return the report as one HTML document."""
    labels = _judged(trained, data)
    with mpl.rc_context(STYLE):
        groups = [Group("", _of_data(data, labels, comparison)), *_of_labels(trained, data, labels)]
    return template("report.html.j2").render(
        manifest=manifest,
        metrics=manifest.metrics,
        groups=groups,
        yes=int(labels[0].truth.sum()),
        moderated=data.names == CLASSES[1:],
    )


def _judged(trained: Trained, data: Dataset) -> list[Judged]:
    """Return each label with what is true and what was said of each row."""
    yes = (truth(data) >= 0.5).astype(np.int64)
    sides = [CLASSES if data.names == CLASSES[1:] else (f"not {name}", name) for name in data.names]
    return [
        Judged(one.name, sides[at], yes[:, at], trained.all_scores[:, at], one.threshold)
        for at, one in enumerate(trained.attributes)
    ]


def _of_data(
    data: Dataset, labels: Sequence[Judged], comparison: Mapping[str, Sequence[float]]
) -> list[Plot]:
    """Draw what does not depend on the model."""
    first, cleaned = labels[0], [clean(text) for text in data.texts]
    several = len(labels) > 1
    of_first = f" By the label {first.name}." if several else ""
    balance = (
        "How many comments have each label." if several else "Comments with and without the label."
    )
    return [
        plot("Class balance", balance, lambda axes: plots.class_balance(axes, labels)),
        plot(
            "Length",
            f"Words a comment, on a logarithmic scale.{of_first}",
            lambda axes: plots.lengths(axes, cleaned, first),
        ),
        plot(
            "Shape",
            "Share of a comment's words with each property: the mean of each class." + of_first,
            lambda axes: plots.shapes(axes, cleaned, first),
            size=(9.2, 4.4),
        ),
        plot(
            "Algorithms",
            "ROC AUC in each of the five folds, the same for all; the line is the median. The "
            f"recipe is on top.{of_first}",
            lambda axes: plots.algorithms(axes, comparison),
            size=(9.2, 3.4),
        ),
    ]


def _of_labels(trained: Trained, data: Dataset, labels: Sequence[Judged]) -> list[Group]:
    """Draw how well each label is told, and by what."""
    texts = data.texts[:_DEPENDENCE_TEXTS]
    matrix = csr_matrix(trained.pipeline[:-1].transform(texts))
    several = len(labels) > 1
    return [
        Group(
            f"Label {label.name}" if several else "",
            [
                *_of_scores(label),
                _top_features(trained, matrix, label, at),
                _partial_dependence(trained, matrix, at),
            ],
        )
        for at, label in enumerate(labels)
    ]


def _of_scores(label: Judged) -> list[Plot]:
    return [
        plot(
            "Scores",
            f"Cross-validated probability of “{label.sides[1]}”; the line is the threshold.",
            lambda axes: plots.score_distribution(axes, label),
        ),
        plot(
            "ROC",
            "Cross-validated; the dot is the threshold.",
            lambda axes: plots.roc(axes, label),
        ),
        plot(
            "Precision and recall",
            "Cross-validated; the dot is the threshold, the dotted line chance.",
            lambda axes: plots.precision_recall(axes, label),
        ),
        plot(
            "Calibration",
            f"Share of “{label.sides[1]}” among comments with a score like this, with its 95 % "
            "interval; the dotted line is perfect.",
            lambda axes: plots.calibration(axes, label),
        ),
        plot(
            "Confusion at the threshold",
            f"A comment is flagged where its score is at least {label.threshold:g}.",
            lambda axes: plots.confusion(axes, label),
            size=(9.2, 2.4),
        ),
    ]


def _top_features(trained: Trained, matrix: csr_matrix, label: Judged, at: int) -> Plot:
    """Draw the features with the largest mean effect in each direction."""
    names, weights = pipeline.coefficients(trained.pipeline, at)
    effect = weights * _usual_size(matrix) * _readable(names)
    order = np.argsort(effect)
    figure = Figure(figsize=(9.2, 3.6))
    both = figure.subplots(1, 2)
    for axes, chosen, side, color in (
        (both[0], order[:_TOP], 0, KEPT),
        (both[1], order[::-1][:_TOP], 1, REMOVED),
    ):
        axes.barh(np.arange(len(chosen)), np.abs(effect[chosen]), color=color)
        axes.set_yticks(np.arange(len(chosen)), [said(names[feature]) for feature in chosen])
        axes.invert_yaxis()
        axes.set_title(f"for “{label.sides[side]}”")
        axes.set_xlim(0, np.abs(effect).max() * 1.05 or 1)
        axes.set_xlabel("log-odds")
    return Plot(
        "Top features",
        "What speaks most for either side: coefficient times usual size. What features say "
        "together, and word vectors, are left out.",
        svg(figure),
        wide=True,
    )


def _partial_dependence(trained: Trained, matrix: csr_matrix, at: int) -> Plot:
    """Show how the mean score moves with one feature, all else as it is (Friedman 2001)."""
    names, weights = pipeline.coefficients(trained.pipeline, at)
    size = np.abs(weights * _usual_size(matrix)) * _readable(names)
    figure = Figure(figsize=(9.2, 4.8))
    grids = figure.subplots(2, 3, sharey=True)
    for axes, feature in zip(grids.flat, _strongest(names, size), strict=False):
        column = np.asarray(matrix[:, [feature]].todense()).ravel()
        grid = np.linspace(column.min(), max(np.quantile(column, 0.99), column.min() + 1e-6), 30)
        axes.plot(grid, _mean_scores(trained, matrix, feature, at, grid), color=ACCENT)
        axes.plot(column, np.zeros_like(column), "|", color=QUIET, markersize=5)
        axes.set_title("\n".join(textwrap.wrap(said(names[feature]), _TITLE)))
    figure.supylabel("mean score", fontsize=9)
    figure.supxlabel(
        "value of the feature, shape in standard deviations (marks: where comments lie)",
        fontsize=9,
    )
    return Plot(
        "Partial dependence",
        "How the mean score moves with one feature while all others stay as they are.",
        svg(figure),
        wide=True,
    )


def _strongest(names: Sequence[str], size: Floats) -> list[int]:
    """Return the strongest features, of a mark's number and its share only the stronger."""
    found: dict[str, int] = {}
    for feature in np.argsort(-size).tolist():
        found.setdefault(mark(names[feature]), feature)
        if len(found) == _DEPENDENCES:
            break
    return list(found.values())


def _mean_scores(
    trained: Trained, matrix: csr_matrix, feature: int, label: int, values: Floats
) -> list[float]:
    """Return the mean score of all rows for each value that a feature is set to."""
    classifier = trained.pipeline[-1]
    others = np.ones(matrix.shape[1])
    others[feature] = 0
    rest = csr_matrix(matrix @ diags(others))
    unit = csr_matrix((np.ones(len(others)) - others)[None, :])
    every = csr_matrix(np.ones((matrix.shape[0], 1)))
    yes = label if len(classifier.coef_) > 1 else 1  # of one label the column of its second side
    return [
        float(classifier.predict_proba(csr_matrix(rest + every @ (unit * value)))[:, yes].mean())
        for value in values
    ]


def _readable(names: Sequence[str]) -> Floats:
    """Return 1 for features that say something by their name; the numbers of vectors do not."""
    return np.array([0.0 if name.startswith("meaning ") else 1.0 for name in names])


def _usual_size(matrix: csr_matrix) -> Floats:
    """Return each column's standard deviation, shape (d,)."""
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    squares = np.asarray(matrix.multiply(matrix).mean(axis=0)).ravel()
    return np.asarray(np.sqrt(np.maximum(squares - mean * mean, 0)))
