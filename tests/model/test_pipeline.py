import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from textmod_model import features, pipeline
from textmod_model.artifact import Artifact
from textmod_model.pipeline import (
    LatentLogisticRegression,
    RootNormalizer,
    ShapeTransformer,
    SpacyTokenTransformer,
)


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


def test_the_seed_is_the_original() -> None:
    steps = pipeline.build("seed").named_steps
    assert list(steps) == ["clean", "tokens", "tfidf", "classifier"]
    assert steps["tfidf"].max_features == 10_000
    assert steps["tfidf"].ngram_range == (1, 3)
    assert steps["classifier"].C == 0.1


@pytest.mark.parametrize("recipe", pipeline.RECIPES)
def test_recipes_are_scikit_learn_pipelines(recipe: str) -> None:
    built = pipeline.build(recipe, random_state=7)
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
    fitted = LatentLogisticRegression(dimensions=10, aside=3, C=1).fit(matrix, labels)
    assert fitted.coef_.shape == (1, 60)
    decisions = matrix @ fitted.coef_[0] + fitted.intercept_[0]
    np.testing.assert_allclose(fitted.decision_function(matrix), decisions)
    expected = 1 / (1 + np.exp(-(fitted.slope_ * decisions + fitted.offset_)))
    np.testing.assert_allclose(fitted.predict_proba(matrix)[:, 1], expected)
    assert (fitted.predict(matrix) == labels).mean() > 0.85


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
