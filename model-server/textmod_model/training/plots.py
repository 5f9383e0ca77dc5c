"""The plots of a report, each on axes of its own. Pure: figures in, a drawing out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray
from sklearn import metrics

from textmod_model.text import features
from textmod_model.training.drawing import ACCENT, INK, KEPT, QUIET, REMOVED, on_blues
from textmod_model.training.train import Floats
from textmod_model.training.wording import MARKS_SAID

_SURE: Final = 1.96  # standard errors of an interval that holds in 95 %


@dataclass(frozen=True)
class Judged:
    """One label: what is true of each row, and what the folds' models said of it."""

    name: str
    sides: tuple[str, str]
    """What rows without and with it are called."""
    truth: NDArray[np.int64]
    scores: Floats
    threshold: float

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Which rows are flagged."""
        return np.asarray(self.scores >= self.threshold)

    def parts(self) -> list[tuple[str, str, NDArray[np.bool_]]]:
        """Return name, colour and rows of both sides."""
        colors = (KEPT, REMOVED)
        return [(self.sides[side], colors[side], self.truth == side) for side in (0, 1)]


def class_balance(axes: Axes, labels: Sequence[Judged]) -> None:
    """Draw the number of comments of both sides of one label, or of those with each of several."""
    if len(labels) == 1:
        names, colors = list(labels[0].sides), [KEPT, REMOVED]
        counts = np.bincount(labels[0].truth, minlength=2)
    else:
        names, colors = [label.name for label in labels], [REMOVED] * len(labels)
        counts = np.array([label.truth.sum() for label in labels])
    total = len(labels[0].truth)
    bars = axes.barh(names, counts, color=colors, height=0.6)
    axes.bar_label(bars, [f"{count:,} ({count / total:.0%})" for count in counts], padding=3)
    axes.set_xlim(0, max(counts.max(), 1) * 1.35)
    axes.set_xlabel("comments")
    axes.invert_yaxis()


def lengths(axes: Axes, texts: Sequence[str], label: Judged) -> None:
    """Draw the distribution of the number of words by side."""
    sizes = np.array([max(len(text.split()), 1) for text in texts])
    bins = np.geomspace(1, max(sizes.max(), 2), 30)
    for name, color, rows in label.parts():
        share = np.full(int(rows.sum()), 1 / max(rows.sum(), 1))
        axes.hist(sizes[rows], bins.tolist(), weights=share, color=color, alpha=0.55, label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_minor_formatter(NullFormatter())  # powers of ten as formulas
    axes.set_xlabel("words")
    axes.set_ylabel("share of the class")
    axes.legend(frameon=False)


def shapes(axes: Axes, texts: Sequence[str], label: Judged) -> None:
    """Draw how much of a comment each mark is, by side."""
    shares = np.zeros((len(texts), len(features.MARKS)))
    for row, text in enumerate(texts):
        chunks = text.split()
        for chunk in chunks:
            shares[row, features.marks(chunk)] += 1 / len(chunks)
    place = np.arange(len(features.MARKS))
    for side, (name, color, rows) in enumerate(label.parts()):
        mean = shares[rows].mean(axis=0) if rows.any() else np.zeros(len(place))
        axes.barh(place - 0.2 + 0.4 * side, mean, 0.4, color=color, label=name)
    axes.set_yticks(place, [MARKS_SAID[mark] for mark in features.MARKS], fontsize=8)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xlabel("mean share of the words")
    axes.legend(frameon=False, loc="lower right")


def score_distribution(axes: Axes, label: Judged) -> None:
    """Draw the distribution of the scores by side."""
    bins = np.linspace(0, 1, 41)
    for name, color, rows in label.parts():
        axes.hist(label.scores[rows], bins.tolist(), color=color, alpha=0.55, label=name)
    axes.axvline(label.threshold, color=INK, linewidth=1, linestyle=":")
    axes.set_xlabel("score")
    axes.set_ylabel("comments")
    axes.legend(frameon=False)


def algorithms(axes: Axes, comparison: Mapping[str, Sequence[float]]) -> None:
    """Draw the folds' AUC of each algorithm, their median as a line; the recipe, the last, on top.

    The folds themselves, since a box of five is mostly its outliers.
    """
    names = list(comparison)
    for place, name in enumerate(names):
        folds = np.sort(np.array(comparison[name]))
        color = ACCENT if place == len(names) - 1 else QUIET
        axes.plot([folds[0], folds[-1]], [place, place], color=color, linewidth=4, alpha=0.35)
        axes.plot(folds, np.full(len(folds), place), "o", color=color, markersize=5)
        axes.plot(np.median(folds), place, "|", color=INK, markersize=14)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel("ROC AUC")
    axes.grid(axis="x", alpha=0.3)


def roc(axes: Axes, label: Judged) -> None:
    """Draw the receiver operating characteristic and the operating point."""
    false, true, _ = metrics.roc_curve(label.truth, label.scores)
    area = metrics.roc_auc_score(label.truth, label.scores)
    axes.plot(false, true, color=ACCENT, label=f"AUC {area:.3f}")
    axes.plot([0, 1], [0, 1], color=QUIET, linestyle=":", linewidth=1)
    flagged, truth = label.flagged, label.truth
    axes.plot(flagged[truth == 0].mean(), flagged[truth == 1].mean(), "o", color=INK)
    axes.set_xlabel(f"share of “{label.sides[0]}” flagged")
    axes.set_ylabel(f"share of “{label.sides[1]}” flagged")
    axes.legend(frameon=False, loc="lower right")


def precision_recall(axes: Axes, label: Judged) -> None:
    """Draw precision against recall and the operating point."""
    precision, recall, _ = metrics.precision_recall_curve(label.truth, label.scores)
    mean = metrics.average_precision_score(label.truth, label.scores)
    axes.plot(recall, precision, color=ACCENT, label=f"average precision {mean:.3f}")
    axes.axhline(label.truth.mean(), color=QUIET, linestyle=":", linewidth=1)
    axes.plot(
        metrics.recall_score(label.truth, label.flagged, zero_division=0),
        metrics.precision_score(label.truth, label.flagged, zero_division=0),
        "o",
        color=INK,
    )
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False, loc="best")


def calibration(axes: Axes, label: Judged) -> None:
    """Draw the share of yes against the mean score in ten bins of equal width, with intervals."""
    bins = np.minimum((label.scores * 10).astype(int), 9)
    counts = np.bincount(bins, minlength=10)
    full = counts > 0
    counts, many = counts[full], counts.max()
    mean = np.bincount(bins, weights=label.scores, minlength=10)[full] / counts
    share = np.bincount(bins, weights=label.truth, minlength=10)[full] / counts
    low, high = wilson(share, counts)
    axes.plot([0, 1], [0, 1], color=QUIET, linestyle=":", linewidth=1)
    axes.plot(mean, share, color=ACCENT)
    axes.vlines(mean, low, high, color=ACCENT, linewidth=1)
    axes.scatter(mean, share, s=8 + 100 * counts / many, color=ACCENT)
    axes.set_xlabel("mean score")
    axes.set_ylabel(f"share of “{label.sides[1]}”")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


def wilson(share: Floats, counts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the 95 % interval of shares of `counts` rows (Wilson, JASA 1927)."""
    square = _SURE * _SURE
    middle = share + square / (2 * counts)
    half = _SURE * np.sqrt(share * (1 - share) / counts + square / (4 * counts * counts))
    below = 1 + square / counts
    return np.asarray((middle - half) / below), np.asarray((middle + half) / below)


def confusion(axes: Axes, label: Judged) -> None:
    """Draw the confusion matrix with counts and shares of each true side."""
    matrix = metrics.confusion_matrix(label.truth, label.flagged, labels=[0, 1])
    shares = matrix / matrix.sum(axis=1, keepdims=True)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row in range(2):
        for column in range(2):
            axes.text(
                column,
                row,
                f"{matrix[row, column]:,}\n{shares[row, column]:.0%}",
                ha="center",
                va="center",
                color=on_blues(shares[row, column]),
            )
    axes.set_xticks([0, 1], ["not flagged", "flagged"])
    axes.set_yticks([0, 1], list(label.sides))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
