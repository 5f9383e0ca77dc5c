"""The report of a policy set on labelled texts: one HTML file, nothing loaded from elsewhere.

Texts are named by the number of their row, never shown: a report is sent around.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from textmod_model.artifact import Manifest
from textmod_model.training.drawing import (
    ACCENT,
    KEPT,
    PAPER,
    QUIET,
    REMOVED,
    STYLE,
    Plot,
    on_blues,
    plot,
    template,
)
from textmod_model.training.policy_trial import ACTS, PolicyTrial, Share, Trial, act_of

_COLORS: Final = dict(zip(ACTS, (QUIET, "#e3a32b", "#b8620e", REMOVED), strict=True))
_EXAMPLES: Final = 8

ShareOf = Callable[[int], Share]
"""The texts with the action of a place in `ACTS`."""


@dataclass(frozen=True)
class Examples:
    """Rows that are worth a look, each with its score."""

    title: str
    rows: list[tuple[int, float]]
    """Number of the row, from 1, and the score."""


def render(
    manifest: Manifest,
    trial: Trial,
    *,
    source: str,
    rows: Sequence[int],
    seen: bool,
    texts_a_day: float | None,
) -> str:
    """Return the report as one HTML document.

    `source` names the data, `rows` are the numbers of the texts' rows in it, from 1; `seen` says
    that the model was trained on it.
    """
    with mpl.rc_context(STYLE):
        plots = {one.policy.name: _plots(one) for one in trial.spoken}
        overall = [
            plot(
                "Verdicts",
                "What becomes of the texts: the strictest action of all policies in force.",
                lambda axes: confusion(axes, trial.share, _first(trial)),
                size=(9.2, 2.2),
            )
        ]
    return template("policies.html.j2").render(
        manifest=manifest,
        trial=trial,
        acts=list(enumerate(ACTS)),
        colors=_COLORS,
        plots=plots,
        overall=overall,
        examples={one.policy.name: examples(one, rows) for one in trial.spoken},
        source=source,
        seen=seen,
        texts_a_day=texts_a_day,
        share=share,
        count=count,
    )


def share(value: float | None) -> str:
    """Return a part of one as a person reads it; a dash for an unknown one."""
    return "–" if value is None else f"{value:.1%}"


def count(value: float | None) -> str:
    """Return a number of texts; a dash for an unknown one."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _first(trial: Trial) -> str:
    """Return the model's first label, which the texts of all verdicts are told apart by."""
    return f"“{trial.first_label}”"


def _plots(one: PolicyTrial) -> list[Plot]:
    found = [
        plot(
            "Scores and thresholds",
            "Texts by score, on a scale of roots; a line is a rule's threshold.",
            lambda axes: histogram(axes, one),
            size=(9.2, 3.0),
        ),
        plot(
            "Actions",
            f"Texts with and without “{one.label}”, by what this policy says of them.",
            lambda axes: confusion(axes, one.share, f"“{one.label}”"),
            size=(4.6, 2.6),
        ),
    ]
    if one.having is not None and one.having.any():
        found.append(
            plot(
                "What a threshold promises",
                "Precision and recall of all texts with at least that score.",
                lambda axes: promise(axes, one),
                size=(4.6, 2.6),
            )
        )
    return found


def histogram(axes: Axes, one: PolicyTrial) -> None:
    """Draw the scores of both classes, and the rules' thresholds."""
    bins = np.linspace(0, 1, 51).tolist()
    if one.having is None:
        axes.hist(one.scores, bins, color=QUIET, alpha=0.7, label="texts")
    else:
        for flag, name, color in ((False, "without", KEPT), (True, "having", REMOVED)):
            chosen = one.scores[one.having == flag]
            axes.hist(chosen, bins, color=color, alpha=0.55, label=f"{name} “{one.label}”")
    axes.set_yscale("function", functions=(np.sqrt, np.square))
    axes.set_xlim(0, 1)
    _thresholds(axes, one, named=True)
    axes.set_xlabel("score")
    axes.set_ylabel("texts")
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.17), ncols=2)


def promise(axes: Axes, one: PolicyTrial) -> None:
    """Draw precision and recall against the threshold."""
    assert one.having is not None  # noqa: S101 - the caller looked
    order = np.argsort(-one.scores, kind="stable")
    hits = np.cumsum(one.having[order])
    last = np.append(np.diff(one.scores[order]) != 0, True)  # of texts with equal scores
    at = one.scores[order][last]
    axes.plot(at, (hits / np.arange(1, len(hits) + 1))[last], color=ACCENT, label="precision")
    axes.plot(at, (hits / hits[-1])[last], color=KEPT, label="recall")
    _thresholds(axes, one, named=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("threshold")
    axes.legend(frameon=False, fontsize=8)


def confusion(axes: Axes, of_act: ShareOf, label: str) -> None:
    """Draw texts by action and by whether they have the label."""
    shares = [of_act(act) for act in range(len(ACTS))]
    known = all(one.having is not None for one in shares)
    rows = (
        [[one.texts - (one.having or 0) for one in shares], [one.having or 0 for one in shares]]
        if known
        else [[one.texts for one in shares]]
    )
    counts = np.array(rows)
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), part in np.ndenumerate(parts):
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}\n{part:.1%}",
            ha="center",
            va="center",
            color=on_blues(part),
        )
    axes.set_xticks(range(len(ACTS)), ACTS)
    axes.set_yticks(range(len(rows)), ["without", "having"] if known else ["texts"])
    axes.set_ylabel(label)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def examples(one: PolicyTrial, rows: Sequence[int]) -> list[Examples]:
    """Return rows to look at: wrong ones, and those nearest to a threshold."""
    found = []
    flagged = one.acts > ACTS.index("Allow")
    if one.having is not None:
        wrong, missed = flagged & ~one.having, ~flagged & one.having
        found += [
            _examples("flagged without the label, highest first", one, rows, wrong, -one.scores),
            _examples("not flagged with the label, lowest first", one, rows, missed, one.scores),
        ]
    for rule in one.policy.rules:
        if rule.at_least is not None:
            title = f"nearest to {act_of(rule.action, hold=rule.hold)} at {rule.at_least:g}"
            near = np.abs(one.scores - rule.at_least)
            found.append(_examples(title, one, rows, np.ones(len(near), dtype=bool), near))
    return [each for each in found if each.rows]


def _examples(
    title: str,
    one: PolicyTrial,
    rows: Sequence[int],
    some: NDArray[np.bool_],
    by: NDArray[np.float64],
) -> Examples:
    places = np.flatnonzero(some)
    places = places[np.argsort(by[places], kind="stable")][:_EXAMPLES]
    return Examples(title, [(rows[at], float(one.scores[at])) for at in places.tolist()])


def _thresholds(axes: Axes, one: PolicyTrial, *, named: bool) -> None:
    for place, rule in enumerate(one.policy.rules):
        if rule.at_least is None:
            continue
        act = act_of(rule.action, hold=rule.hold)
        axes.axvline(rule.at_least, color=_COLORS[act], linewidth=1.6)
        if named:
            right = rule.at_least > 0.85
            axes.text(
                rule.at_least + (-0.006 if right else 0.006),
                0.97 - 0.1 * (place % 8),  # thresholds may be near each other
                f"{act} ≥ {rule.at_least:g}",
                transform=axes.get_xaxis_transform(),
                color=_COLORS[act],
                ha="right" if right else "left",
                va="top",
                bbox={"facecolor": PAPER, "alpha": 0.8, "edgecolor": "none", "pad": 1.5},
            )
