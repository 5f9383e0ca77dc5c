"""The training report: one HTML file with every plot inside, nothing loaded from elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from sklearn import metrics
from sklearn.base import ClassifierMixin

from textmod_model import pipeline
from textmod_model.artifact import Manifest
from textmod_model.text import features
from textmod_model.text.cleaning import clean
from textmod_model.training.dataset import Dataset
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
from textmod_model.training.train import Floats, Trained

_TOP_TOKENS: Final = 15
_DEPENDENCES: Final = 6
_DEPENDENCE_TEXTS: Final = 400


def render(
    manifest: Manifest, trained: Trained, data: Dataset, comparison: Mapping[str, Sequence[float]]
) -> str:
    """Return the report as one HTML document."""
    labels = np.array(data.labels)
    with mpl.rc_context(STYLE):
        plots = _plots(trained, data, labels, comparison)
    return template("report.html.j2").render(
        manifest=manifest, metrics=manifest.metrics, plots=plots, removed=int(labels.sum())
    )


def _plots(
    trained: Trained,
    data: Dataset,
    labels: NDArray[np.int64],
    comparison: Mapping[str, Sequence[float]],
) -> list[Plot]:
    scores, threshold = trained.scores, trained.threshold
    cleaned = [clean(text) for text in data.texts]
    return [
        plot(
            "Class balance",
            "How many comments moderators kept and removed.",
            lambda axes: class_balance(axes, labels),
        ),
        plot(
            "Length",
            "Chunks (runs without white space) a comment, on a logarithmic scale.",
            lambda axes: lengths(axes, cleaned, labels),
        ),
        plot(
            "Shape",
            "Share of a comment's chunks that carry each mark: the mean of each class.",
            lambda axes: shapes(axes, cleaned, labels),
        ),
        plot(
            "Scores",
            "Cross-validated probability of being removed; the line is the threshold.",
            lambda axes: score_distribution(axes, labels, scores, threshold),
        ),
        plot(
            "Algorithms",
            "ROC AUC in each fold, the same folds for all. The recipe comes last.",
            lambda axes: algorithms(axes, comparison),
            size=(9.2, 3.4),
        ),
        plot("ROC", "Cross-validated.", lambda axes: roc(axes, labels, scores, threshold)),
        plot(
            "Precision and recall",
            "Cross-validated; the dot is the threshold.",
            lambda axes: precision_recall(axes, labels, scores, threshold),
        ),
        plot(
            "Calibration",
            "Share removed among comments with a score like this; the dotted line is perfect.",
            lambda axes: calibration(axes, labels, scores),
        ),
        plot(
            "Confusion at the threshold",
            f"A comment is flagged where its score is at least {threshold:g}.",
            lambda axes: confusion(axes, labels, scores >= threshold),
        ),
        plot(
            "Top features",
            "What speaks most for keeping and for removing: coefficient times usual size. "
            "What features say together, and word vectors, are left out.",
            lambda axes: top_features(axes, trained, data),
            size=(9.2, 4.6),
        ),
        _partial_dependence(trained, data),
    ]


def class_balance(axes: Axes, labels: NDArray[np.int64]) -> None:
    """Draw the number of comments of each label."""
    counts = np.bincount(labels, minlength=2)
    bars = axes.barh(["kept", "removed"], counts, color=[KEPT, REMOVED])
    axes.bar_label(bars, [f"{count:,} ({count / len(labels):.0%})" for count in counts], padding=3)
    axes.set_xlim(0, counts.max() * 1.3)
    axes.set_xlabel("comments")


def lengths(axes: Axes, texts: Sequence[str], labels: NDArray[np.int64]) -> None:
    """Draw the distribution of the number of chunks by label."""
    sizes = np.array([max(len(text.split()), 1) for text in texts])
    bins = np.geomspace(1, max(sizes.max(), 2), 30)
    for label, (name, color) in enumerate((("kept", KEPT), ("removed", REMOVED))):
        chosen = sizes[labels == label]
        share = np.full(len(chosen), 1 / len(chosen))
        axes.hist(chosen, bins.tolist(), weights=share, color=color, alpha=0.55, label=name)
    axes.set_xscale("log")
    axes.set_xlabel("chunks")
    axes.set_ylabel("share of the class")
    axes.legend(frameon=False)


def shapes(axes: Axes, texts: Sequence[str], labels: NDArray[np.int64]) -> None:
    """Draw how much of a comment each mark is, by label."""
    shares = np.zeros((len(texts), len(features.MARKS)))
    for row, text in enumerate(texts):
        chunks = text.split()
        for chunk in chunks:
            shares[row, features.marks(chunk)] += 1 / len(chunks)
    place = np.arange(len(features.MARKS))
    for label, (name, color) in enumerate((("kept", KEPT), ("removed", REMOVED))):
        mean = shares[labels == label].mean(axis=0)
        axes.barh(place + (0.2 - 0.4 * label), mean, 0.4, color=color, label=name)
    axes.set_yticks(place, features.MARKS, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("mean share of the chunks")
    axes.legend(frameon=False)


def score_distribution(
    axes: Axes, labels: NDArray[np.int64], scores: Floats, threshold: float
) -> None:
    """Draw the distribution of the scores by label."""
    bins = np.linspace(0, 1, 41)
    for label, (name, color) in enumerate((("kept", KEPT), ("removed", REMOVED))):
        axes.hist(scores[labels == label], bins.tolist(), color=color, alpha=0.55, label=name)
    axes.axvline(threshold, color="black", linewidth=1, linestyle=":")
    axes.set_xlabel("score")
    axes.set_ylabel("comments")
    axes.legend(frameon=False)


def algorithms(axes: Axes, comparison: Mapping[str, Sequence[float]]) -> None:
    """Draw a box of the folds' AUC for each algorithm."""
    names = list(comparison)
    boxes = axes.boxplot(
        [comparison[name] for name in names],
        orientation="horizontal",
        tick_labels=names,
        patch_artist=True,
        medianprops={"color": "black"},
    )
    for place, box in enumerate(boxes["boxes"]):
        box.set_facecolor(ACCENT if place == len(names) - 1 else QUIET)
    axes.set_xlabel("ROC AUC")
    axes.grid(axis="x", alpha=0.3)


def roc(axes: Axes, labels: NDArray[np.int64], scores: Floats, threshold: float) -> None:
    """Draw the receiver operating characteristic and the operating point."""
    false, true, _ = metrics.roc_curve(labels, scores)
    axes.plot(false, true, color=ACCENT, label=f"AUC {metrics.roc_auc_score(labels, scores):.3f}")
    axes.plot([0, 1], [0, 1], color=QUIET, linestyle=":", linewidth=1)
    flagged = scores >= threshold
    axes.plot(flagged[labels == 0].mean(), flagged[labels == 1].mean(), "o", color="black")
    axes.set_xlabel("share of kept comments flagged")
    axes.set_ylabel("share of removed comments flagged")
    axes.legend(frameon=False, loc="lower right")


def precision_recall(
    axes: Axes, labels: NDArray[np.int64], scores: Floats, threshold: float
) -> None:
    """Draw precision against recall and the operating point."""
    precision, recall, _ = metrics.precision_recall_curve(labels, scores)
    mean = metrics.average_precision_score(labels, scores)
    axes.plot(recall, precision, color=ACCENT, label=f"average precision {mean:.3f}")
    axes.axhline(labels.mean(), color=QUIET, linestyle=":", linewidth=1)
    flagged = scores >= threshold
    axes.plot(
        metrics.recall_score(labels, flagged, zero_division=0),
        metrics.precision_score(labels, flagged, zero_division=0),
        "o",
        color="black",
    )
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False)


def calibration(axes: Axes, labels: NDArray[np.int64], scores: Floats) -> None:
    """Draw the share removed against the mean score in ten bins of equal width."""
    bins = np.minimum((scores * 10).astype(int), 9)
    counts = np.bincount(bins, minlength=10)
    full = counts > 0
    mean = np.bincount(bins, weights=scores, minlength=10)[full] / counts[full]
    share = np.bincount(bins, weights=labels, minlength=10)[full] / counts[full]
    axes.plot([0, 1], [0, 1], color=QUIET, linestyle=":", linewidth=1)
    axes.plot(mean, share, color=ACCENT)
    axes.scatter(mean, share, s=8 + 120 * counts[full] / counts.max(), color=ACCENT)
    axes.set_xlabel("mean score")
    axes.set_ylabel("share removed")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


def confusion(axes: Axes, labels: NDArray[np.int64], flagged: NDArray[np.bool_]) -> None:
    """Draw the confusion matrix with counts and shares of each true class."""
    matrix = metrics.confusion_matrix(labels, flagged, labels=[0, 1])
    shares = matrix / matrix.sum(axis=1, keepdims=True)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(2):
        for column in range(2):
            axes.text(
                column,
                row,
                f"{matrix[row, column]:,}\n{shares[row, column]:.0%}",
                ha="center",
                va="center",
                color="white" if shares[row, column] > 0.5 else "black",
            )
    axes.set_xticks([0, 1], ["not flagged", "flagged"])
    axes.set_yticks([0, 1], ["kept", "removed"])
    axes.spines[:].set_visible(False)


def top_features(axes: Axes, trained: Trained, data: Dataset) -> None:
    """Draw the features with the largest mean effect in each direction."""
    names, weights = pipeline.coefficients(trained.pipeline)
    matrix = trained.pipeline[:-1].transform(data.texts[:_DEPENDENCE_TEXTS])
    effect = weights * _usual_size(matrix) * _readable(names)
    order = np.argsort(effect)
    chosen = np.concatenate((order[:_TOP_TOKENS], order[-_TOP_TOKENS:]))
    colors = [KEPT if effect[at] < 0 else REMOVED for at in chosen]
    axes.bar(np.arange(len(chosen)), effect[chosen], color=colors)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(
        np.arange(len(chosen)), [_shown(names[at]) for at in chosen], rotation=60, ha="right"
    )
    axes.set_ylabel("keep  ←  log-odds  →  remove")


def _partial_dependence(trained: Trained, data: Dataset) -> Plot:
    """Show how the mean score moves with one feature, all else as it is (Friedman 2001)."""
    names, weights = pipeline.coefficients(trained.pipeline)
    matrix = csr_matrix(trained.pipeline[:-1].transform(data.texts[:_DEPENDENCE_TEXTS]))
    classifier = trained.pipeline[-1]
    size = np.abs(weights * _usual_size(matrix)) * _readable(names)
    strongest = np.argsort(-size)[:_DEPENDENCES]
    figure = Figure(figsize=(9.2, 4.4))
    for axes, at in zip(figure.subplots(2, 3, sharey=True).flat, strongest, strict=False):
        column = np.asarray(matrix[:, [at]].todense()).ravel()
        grid = np.linspace(column.min(), max(np.quantile(column, 0.99), column.min() + 1e-6), 30)
        axes.plot(grid, _mean_scores(classifier, matrix, at, grid), color=ACCENT)
        axes.plot(column, np.zeros_like(column), "|", color=QUIET, markersize=5)
        axes.set_title(_shown(names[at]))
    figure.supylabel("mean score")
    figure.supxlabel(
        "value of the feature, shape in standard deviations (marks: where comments lie)"
    )
    return Plot(
        "Partial dependence",
        "How the mean score moves with one feature while all others stay as they are.",
        svg(figure),
        wide=True,
    )


def _mean_scores(
    classifier: ClassifierMixin, matrix: csr_matrix, at: int, values: Floats
) -> list[float]:
    """Return the mean score of all rows for each value that feature number `at` is set to."""
    others = np.ones(matrix.shape[1])
    others[at] = 0
    rest = csr_matrix(matrix @ diags(others))
    unit = csr_matrix((np.ones(len(others)) - others)[None, :])
    every = csr_matrix(np.ones((matrix.shape[0], 1)))
    yes = 0 if len(classifier.coef_) > 1 else 1  # the column of the first label
    return [
        float(classifier.predict_proba(csr_matrix(rest + every @ (unit * value)))[:, yes].mean())
        for value in values
    ]


def _readable(names: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which features say something by their name; the numbers of word vectors do not."""
    return np.array([not name.startswith("meaning ") for name in names])


def _usual_size(matrix: object) -> Floats:
    """Return each column's standard deviation, shape (d,)."""
    sparse = csr_matrix(matrix)
    mean = np.asarray(sparse.mean(axis=0)).ravel()
    squares = np.asarray(sparse.multiply(sparse).mean(axis=0)).ravel()
    return np.asarray(np.sqrt(np.maximum(squares - mean * mean, 0)))


_MARKS_SAID: Final = {
    "long": "long words", "short": "short words", "capital": "capitalized words",
    "shouted": "words in capitals", "address": "addresses", "digit": "words with digits",
    "not ASCII": "words beyond ASCII", "bracket": "brackets", "list or quote": "list or quote",
    "opens quotation": "opening quotation marks", "ends ?": "question marks at the end of words",
    "ends !": "exclamation marks at the end of words", "ends .": "full stops", "ends ,": "commas",
    "I": "“I”, “me”, “my”", "you": "“you”, “we”, “they”", "length": "length of the comment",
}  # fmt: skip


def _said(name: str) -> str:
    """Return a feature's name as a person would say it."""
    if name.endswith(" / root of length") and (mark := name[: -len(" / root of length")]):
        return f"{_MARKS_SAID.get(mark, mark)}, for the length"
    if name.startswith("log of "):
        mark = name.removeprefix("log of ").removesuffix(", squared")
        return _MARKS_SAID.get(mark, mark) + (" (squared)" if name.endswith("squared") else "")
    return name.replace("chunks", "words")


def _shown(name: str) -> str:
    """Show white space at the edge of an n-gram; keep dollar signs from being mathematics."""
    name = _said(name)
    return name.replace("… ", "…␣").replace(" …", "␣…").replace("$", r"\$")
