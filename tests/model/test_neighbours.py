"""What neighbours make of a chunk's tokens shows in the score, by a model to which they matter.

The models of other tests know no word that only a neighbour breaks off or keeps whole.
"""

import numpy as np
import pytest

from textmod_model.artifact import Artifact
from textmod_model.scoring.compiled_backend import CompiledBackend
from textmod_model.scoring.scorer import PipelineBackend
from textmod_model.text.cleaning import MAX_CHUNK
from textmod_model.training import dataset, train

TOLERANCE = 1e-9
ALONE, TOGETHER = "so x): y", "so x): (("
"""A sad face alone; before another bracket the tokenizer takes it apart."""
LONG = "y" * (MAX_CHUNK + 1)


@pytest.fixture(scope="module", params=["seed", "default"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("neighbours")
    rows = [
        f'"so {"sad x):" if number % 3 == 0 else "glad x"} then {number}",{int(number % 3 == 0)}'
        for number in range(240)
    ]
    (folder / "comments.csv").write_text("\n".join(["text,label", *rows]))
    data = dataset.read(folder / "comments.csv")
    trained = train.train(data, request.param)
    return train.package(
        trained, data, folder / "artifact", recipe=request.param, name="faces", version="1"
    )


@pytest.fixture(scope="module")
def compiled(made: Artifact) -> CompiledBackend:
    form = made.compiled()
    assert form is not None
    assert "):" in form.words
    return CompiledBackend(form)


def test_a_neighbour_changes_the_score(compiled: CompiledBackend) -> None:
    alone, together = compiled.score([ALONE, TOGETHER])
    assert abs(alone - together) > 0.01


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param([ALONE, TOGETHER], id="one run"),
        pytest.param(["plain", TOGETHER, "plain", ALONE, TOGETHER], id="some of a batch"),
        pytest.param(["x): (( so x): (( then x): ((", "x): y x): (("], id="several runs"),
        pytest.param(["x): x): (( x):", "((  x):\n(( x)"], id="runs side by side"),
        pytest.param([f"so x): {LONG}", f"{LONG} x): (( {LONG}"], id="long chunks"),
        pytest.param(["x): ((", "", "x):", "(("], id="edges of texts"),
    ],
)
def test_scores_are_the_pipelines(
    compiled: CompiledBackend, made: Artifact, batch: list[str]
) -> None:
    expected = PipelineBackend(made).score(batch)
    np.testing.assert_allclose(compiled.score(batch), expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(compiled.cold().score(batch), expected, rtol=0, atol=TOLERANCE)
