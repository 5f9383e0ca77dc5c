"""Learn the `default` recipe's classifier: a regression over features and directions, a curve.

Time and memory are linear in the rows: the directions are those of at most `DIRECTION_ROWS` rows,
the ridge regression sees at most `RIDGE_ROWS`, and what is left is a row of sparse products. All
labels share the directions and the ridge regression's one inverse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from textmod_model.scoring import vectors

DIRECTION_ROWS: Final = 20_000
RIDGE_ROWS: Final = 6_000
"""The ridge regression's cost grows with the cube of its rows; more of them no longer help."""
_SMALLEST_DIRECTION: Final = 1e-4
"""Of the largest; below it a direction is noise of the arithmetic."""
_ITERATIONS: Final = 500
_GRADIENT: Final = 1e-4
_PLATT_C: Final = 1e6
_BLOCK: Final = 512  # rows of the inverse that are mirrored together
_PLATT_GRADIENT: Final = 1e-8

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Indices = NDArray[np.int64]
Folds = Sequence[tuple[Indices, Indices]]


@dataclass(frozen=True)
class Options:
    """What is chosen before learning; see `pipeline.LatentLogisticRegression`."""

    c: float
    dimensions: int
    direct: float
    direct_aside: float
    gamma: float
    alpha: float
    random_state: int


@dataclass(frozen=True)
class Learned:
    """One label's coefficients."""

    coef: Floats
    intercept: float
    bend: Floats
    quadratic: Floats


@dataclass(frozen=True)
class Examples:
    """What there is to learn from, n rows."""

    sparse: Sequence[csr_matrix]
    """The features that have directions, in blocks of columns."""
    aside: Floats
    """Those that have none, of mean 0 and variance 1, shape (n, a)."""
    targets: Floats
    """Share of yes of each row and label, shape (n, labels)."""
    weights: Floats
    """Of the rows, shape (n,)."""
    folds: Folds
    """Rows inside and outside, for Platt's regression."""


def fit(examples: Examples, options: Options) -> list[Learned]:
    """Learn each label.

    On one thread: several sum in another order, which changes the last digits from machine to
    machine, and wait for each other where the cores have other work.
    """
    with threadpool_limits(1):
        directions = _directions(examples.sparse, options)
        latent = _product(examples.sparse, directions)
        deviation = latent.std(axis=0, dtype=np.float64)
        scale = np.where(deviation > 0, deviation, 1).astype(np.float32)
        directions /= scale
        latent /= scale
        label = _Label(examples, directions, latent, options)
        return [label.learn(target) for target in examples.targets.T]


class _Label:
    """Learns one label after the other on the same inputs."""

    def __init__(
        self, examples: Examples, directions: Singles, latent: Singles, options: Options
    ) -> None:
        self._weights, self._folds = examples.weights, examples.folds
        self._directions = directions
        self._inputs = _Inputs(examples.sparse, examples.aside, latent, options)
        self._c = options.c
        self._ridge = None
        if examples.aside.shape[1]:
            squashed = vectors.squashed(examples.aside)
            self._ridge = _Ridge(squashed, examples.folds, options)

    def learn(self, target: Floats) -> Learned:
        solution = _logistic(self._inputs, target, self._weights, self._c)
        weights, intercept = self._platt(target, self._decisions_of_folds(target, solution))
        coef = weights[0] * self._inputs.folded(solution, self._directions)
        intercept += weights[0] * float(solution[-1])
        if self._ridge is None:
            return Learned(coef, intercept, np.zeros(0), np.zeros((0, 0)))
        constant, bend, quadratic = self._ridge.form(target)
        curved = weights[1]
        return Learned(coef, intercept + curved * constant, curved * bend, curved * quadratic)

    def _decisions_of_folds(self, target: Floats, solution: Floats) -> Floats:
        """Return the parts' decision values from fits that did not see the row, (n, parts)."""
        parts = np.zeros((len(target), 1 if self._ridge is None else 2))
        for inside, outside in self._folds:
            seen = np.zeros(len(target))
            seen[inside] = self._weights[inside]
            near = _logistic(self._inputs, target, seen, self._c, start=solution)
            parts[outside, 0] = self._inputs.decisions(near, outside)
        if self._ridge is not None:
            parts[:, 1] = self._ridge.unseen(target)
        return parts

    def _platt(self, target: Floats, parts: Floats) -> tuple[list[float], float]:
        """Return both parts' weights and the intercept that make decisions log-odds."""
        judged = np.sort(np.concatenate([outside for _, outside in self._folds]))
        parts = parts[judged]
        # Platt's own prior: no share is quite 0 or 1, so that parts that separate the rows by
        # themselves have a finite weight.
        prior = 1 / (len(judged) + 2)
        shares = prior + (1 - 2 * prior) * target[judged]
        spread = parts.std(axis=0)
        spread[spread == 0] = 1
        platt = _logistic(
            _Dense(parts / spread),
            shares,
            self._weights[judged],
            _PLATT_C,
            gradient=_PLATT_GRADIENT,
        )
        return (platt[:-1] / spread).tolist(), float(platt[-1])


class _Dense:
    """Rows of few numbers."""

    def __init__(self, rows: Floats) -> None:
        self._rows = rows
        self.width = rows.shape[1]

    def product(self, coefficients: Floats) -> Floats:
        return np.asarray(self._rows @ coefficients)

    def transposed(self, values: Floats) -> Floats:
        return np.asarray(self._rows.T @ values)


class _Inputs:
    """What the regression sees: scaled features, those aside, and the latent ones."""

    def __init__(
        self, sparse: Sequence[csr_matrix], aside: Floats, latent: Singles, options: Options
    ) -> None:
        self._sparse = sparse
        self._direct = np.float32(options.direct)
        self._direct_aside = options.direct_aside
        self._dense = np.concatenate(
            (np.asarray(aside * options.direct_aside, np.float32), latent), axis=1
        )
        self._inside = sum(block.shape[1] for block in sparse)
        self._aside = aside.shape[1]
        self._cuts = np.cumsum([block.shape[1] for block in sparse])
        self.width = self._inside + self._dense.shape[1]

    def product(self, coefficients: Floats, rows: "Indices | slice" = slice(None)) -> Floats:
        single = coefficients.astype(np.float32)
        found = self._dense[rows] @ single[self._inside :]
        parts = np.split(single[: self._inside] * self._direct, self._cuts[:-1])
        for block, part in zip(self._sparse, parts, strict=True):
            found = found + (block if isinstance(rows, slice) else block[rows]) @ part
        return np.asarray(found, np.float64)

    def transposed(self, values: Floats) -> Floats:
        single = values.astype(np.float32)
        parts = [block.T @ single * self._direct for block in self._sparse]
        return np.concatenate([*parts, single @ self._dense], dtype=np.float64)

    def decisions(self, solution: Floats, rows: Indices) -> Floats:
        """Return the decision values of some rows."""
        return np.asarray(self.product(solution[:-1], rows) + solution[-1])

    def folded(self, solution: Floats, directions: Singles) -> Floats:
        """Return one coefficient a feature: what was learned of the latent ones folded back."""
        inside = solution[: self._inside] * float(self._direct)
        end = self._inside + self._aside
        aside = solution[self._inside : end] * self._direct_aside
        return np.asarray(np.concatenate((inside + directions @ solution[end:-1], aside)))


def _logistic(
    inputs: "_Inputs | _Dense",
    target: Floats,
    weights: Floats,
    c: float,
    *,
    start: Floats | None = None,
    gradient: float = _GRADIENT,
) -> Floats:
    """Return the coefficients and the intercept of a logistic regression of shares.

    The objective is scikit-learn's: the mean loss and the coefficients' squares over 2·C·Σweights.
    """
    total = weights.sum()
    decay = 1 / (c * total)

    def loss(solution: Floats) -> tuple[float, Floats]:
        decisions = inputs.product(solution[:-1]) + solution[-1]
        value = weights @ (np.logaddexp(0, decisions) - target * decisions) / total
        value += decay / 2 * (solution[:-1] @ solution[:-1])
        slope = weights * (expit(decisions) - target) / total
        change = inputs.transposed(slope) + decay * solution[:-1]
        return float(value), np.append(change, slope.sum())

    begin = np.zeros(inputs.width + 1) if start is None else start
    if start is None:
        mean = np.clip(weights @ target / total, 1e-6, 1 - 1e-6)
        begin[-1] = np.log(mean / (1 - mean))
    found = minimize(
        loss,
        begin,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _ITERATIONS, "gtol": gradient, "ftol": 64 * np.finfo(float).eps},
    )
    return np.asarray(found.x)


def _directions(sparse: Sequence[csr_matrix], options: Options) -> Singles:
    """Return the right singular vectors of the largest singular values, one a column."""
    rows = sparse[0].shape[0]
    chosen = _chosen(rows, DIRECTION_ROWS, options.random_state)
    width = sum(block.shape[1] for block in sparse)
    count = min(options.dimensions, min(len(chosen), width) - 1)
    if count < 1:
        return np.zeros((width, 0), np.float32)
    sample = _beside([block[chosen] if len(chosen) < rows else block for block in sparse])
    _, sizes, found = randomized_svd(
        sample, count, n_oversamples=20, n_iter=5, random_state=options.random_state
    )
    found = found[sizes > _SMALLEST_DIRECTION * sizes[0]]
    # A vector and its negative are equally good; fix which, so that a fit can be repeated.
    signs = np.sign(found[np.arange(len(found)), np.abs(found).argmax(axis=1)])
    return np.ascontiguousarray((found * signs[:, None]).T, np.float32)


def _beside(blocks: Sequence[csr_matrix]) -> csr_matrix:
    from scipy.sparse import hstack

    return csr_matrix(hstack(blocks, format="csr"))


def _product(sparse: Sequence[csr_matrix], directions: Singles) -> Singles:
    cuts = np.cumsum([block.shape[1] for block in sparse])[:-1]
    found = np.zeros((sparse[0].shape[0], directions.shape[1]), np.float32)
    for block, part in zip(sparse, np.split(directions, cuts), strict=True):
        found += block.astype(np.float32, copy=False) @ part
    return found


def _chosen(rows: int, most: int, random_state: int) -> Indices:
    """Return the numbers of all rows, or of `most` of them drawn by lot."""
    if rows <= most:
        return np.arange(rows)
    draw = np.random.default_rng(random_state)
    return np.sort(draw.choice(rows, most, replace=False))


def _inverse(positive: Floats) -> Floats:
    """Return the inverse of a symmetric positive definite matrix, in its place."""
    # LAPACK's order is Fortran's; of a symmetric matrix the transposed view is that.
    factor, failed = dpotrf(positive.T, lower=True, overwrite_a=True)
    if not failed:
        half, failed = dpotri(factor, lower=True, overwrite_c=True)
    if failed:
        raise ArithmeticError("the ridge regression's matrix cannot be inverted")
    for start in range(0, len(half), _BLOCK):
        end = start + _BLOCK
        half[start:end, end:] = half[end:, start:end].T
        square = half[start:end, start:end]
        square[:] = np.tril(square) + np.tril(square, -1).T
    return np.asarray(half)


class _Ridge:
    """Kernel ridge regression of degree 2: one inverse for all labels and all folds.

    With G = (K + α)⁻¹, the error of a fit that has not seen the rows F is G[F,F]⁻¹ (G y)[F], for
    any y; a constant's is found in the same way, so that targets lose the mean of what was seen.
    """

    def __init__(self, squashed: Floats, folds: Folds, options: Options) -> None:
        self._squashed = squashed
        self._gamma = options.gamma
        self._chosen = _chosen(len(squashed), RIDGE_ROWS, options.random_state)
        self._seen = squashed[self._chosen]
        kernel = self._seen @ self._seen.T
        kernel *= options.gamma
        kernel += 1
        np.square(kernel, out=kernel)
        kernel[np.diag_indices_from(kernel)] += options.alpha
        self._inverse = _inverse(kernel)
        place = np.full(len(squashed), -1)
        place[self._chosen] = np.arange(len(self._chosen))
        self._folds = [
            (inside[inside >= 0], outside[outside >= 0])
            for inside, outside in ((place[inside], place[outside]) for inside, outside in folds)
        ]

    def unseen(self, target: Floats) -> Floats:
        """Return each row's value from a fit that did not see it, shape (n,)."""
        values = self._values(target)
        mine = target[self._chosen]
        both = np.column_stack((mine, np.ones(len(mine))))
        products = self._inverse @ both
        own = values[self._chosen]
        for inside, outside in self._folds:
            if not len(outside) or not len(inside):
                continue
            errors = np.linalg.solve(self._inverse[np.ix_(outside, outside)], products[outside])
            fitted = both[outside] - errors
            own[outside] = fitted[:, 0] - mine[inside].mean() * fitted[:, 1]
        values[self._chosen] = own
        return values

    def _dual(self, target: Floats) -> Floats:
        mine = target[self._chosen]
        return np.asarray(self._inverse @ (mine - mine.mean()))

    def _values(self, target: Floats) -> Floats:
        constant, bend, quadratic = self.form(target)
        curved = ((self._squashed @ quadratic + bend) * self._squashed).sum(axis=1)
        return np.asarray(constant + curved)

    def form(self, target: Floats) -> tuple[float, Floats, Floats]:
        """Return the fit's constant, linear and quadratic parts.

        They are the sum over rows i of dual[i] · (1 + gamma · s·s[i])², multiplied out.
        """
        dual, seen = self._dual(target), self._seen
        quadratic = self._gamma**2 * (seen.T @ (dual[:, None] * seen))
        return float(dual.sum()), 2 * self._gamma * (dual @ seen), (quadratic + quadratic.T) / 2
