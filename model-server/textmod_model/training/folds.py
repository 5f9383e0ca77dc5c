"""Cut rows into folds that share no text, each with its part of every label."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]

FOLDS: Final = 5
FEWEST: Final = 2 * FOLDS  # a fold's inside is cut into folds once more for calibration


class TrainingError(ValueError):
    """Data that a model cannot be trained on; the message says why."""


def split(
    targets: Floats, groups: Indices, random_state: int, count: int = FOLDS
) -> list[tuple[Indices, Indices]]:
    """Return the row numbers inside and outside of each fold.

    Rows of one group are on the same side of every fold. Each fold has about the same share of
    groups with each label, the rarest label first.

    Args:
        targets: share of yes of each row and label, shape (n, labels).
        groups: number of each row's group, shape (n,).
        random_state: decides which group is where.
        count: of the folds.
    """
    _, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))  # groups by their first row
    numbers = order[numbers]
    strata = _strata(_of_groups(targets, numbers) >= 0.5, count)
    splitter = StratifiedKFold(count, shuffle=True, random_state=random_state)
    return [
        (np.flatnonzero(~outside[numbers]), np.flatnonzero(outside[numbers]))
        for outside in (
            np.isin(np.arange(len(strata)), chosen) for _, chosen in splitter.split(strata, strata)
        )
    ]


def check(targets: Floats, groups: Indices, names: tuple[str, ...]) -> None:
    """Raise TrainingError where a side of a label has too few texts to be cut into folds."""
    _, numbers = np.unique(groups, return_inverse=True)
    sides = _of_groups(targets, numbers) >= 0.5
    for name, side in zip(names, sides.T, strict=True):
        fewest = min(int(side.sum()), int((~side).sum()))
        if fewest < FEWEST:
            label = "one of the two labels" if len(names) == 1 else f"one side of the label {name}"
            raise TrainingError(
                f"{label} has {fewest} different texts; {FEWEST} of each are needed at least."
            )


def _of_groups(targets: Floats, numbers: Indices) -> Floats:
    """Return the mean target of each group and label."""
    sizes = np.bincount(numbers)
    sums = [np.bincount(numbers, weights=target) for target in targets.T]
    return np.asarray(np.column_stack(sums) / sizes[:, None])


def _strata(sides: NDArray[np.bool_], count: int) -> Indices:
    """Return what each group is cut by: the rarest side of a label that it is on."""
    strata = np.zeros(len(sides), np.int64)
    if sides.shape[1] == 1:
        return sides[:, 0].astype(np.int64)
    rare = sides ^ (sides.mean(axis=0) > 0.5)
    for number, label in enumerate(np.argsort(-rare.sum(axis=0), kind="stable"), start=1):
        chosen = rare[:, label]
        if chosen.sum() >= count:
            strata[chosen] = number
    sizes = np.bincount(strata)
    return np.asarray(np.where(sizes[strata] < count, np.argmax(sizes), strata))
