"""Write a trained model as another kind: an ONNX graph that says what the pipeline says.

The graph begins at the tokens, which cleaning and the tokenizer make as in training, and counts
n-grams, weighs them and sums up, in double precision.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.pipeline import Pipeline

from textmod_model import artifact
from textmod_model.pipeline import BLANK_ENGLISH, coefficients, removed_probability
from textmod_model.scoring import onnx_model
from textmod_model.scoring.scorer import Scorer
from textmod_model.training.sample import comments

TOLERANCE: Final = 1e-9
_OPSET: Final = 20  # the first with StringSplit
_IR: Final = 10  # of that opset's time, so that older runtimes read it
_COMPARED: Final = 1_000
_GRAMS_A_TEXT: Final = 40


def export(made: artifact.Artifact, out: Path) -> tuple[artifact.Artifact, float]:
    """Write the artifact as an ONNX one into the folder `out`; name, version and figures stay.

    Returns it and the largest difference of its scores, on invented comments and on every n-gram of
    the model. Raises ArtifactError if the recipe has no graph, if a package is missing, or if
    scores differ by more than TOLERANCE.
    """
    pipeline = made.pipeline()
    graph = to_onnx(pipeline)
    if out.resolve() == made.path.resolve():
        raise artifact.ArtifactError(f"{out} holds the model itself: export to another folder.")
    manifest = made.manifest.model_copy(update={"kind": "onnx"})
    artifact.save_files(out, manifest, {onnx_model.FILE: graph})
    written = artifact.load(out)
    difference = compare(written, pipeline)
    if not difference <= TOLERANCE:
        raise artifact.ArtifactError(
            f"the scores of {out} differ by {difference:.3g} from the pipeline's: do not serve it."
        )
    return written, difference


def compare(written: artifact.Artifact, pipeline: Pipeline) -> float:
    """Return by how much scores differ at most."""
    grams = coefficients(pipeline)[0]
    texts = [text for text, _ in comments(_COMPARED)]
    starts = range(0, len(grams), _GRAMS_A_TEXT)
    texts += [". ".join(grams[start : start + _GRAMS_A_TEXT]) for start in starts]
    expected = removed_probability(pipeline, texts)
    return float(np.abs(Scorer.from_artifact(written).score(texts) - expected).max())


def to_onnx(pipeline: Pipeline) -> bytes:
    """Return a fitted pipeline of the recipe `seed` as an ONNX model. Raises ArtifactError."""
    try:
        import onnx
        from onnx import helper
    except ImportError as error:
        raise artifact.ArtifactError(
            f"ONNX files cannot be written ({error}): install textmoderation[onnx]."
        ) from error
    steps = pipeline.named_steps
    if list(steps) != ["clean", "tokens", "tfidf", "classifier"]:
        raise artifact.ArtifactError(
            "only the recipe seed can be exported to ONNX: train with --recipe seed."
        )
    if not steps["clean"].undisguises or steps["tokens"].model != BLANK_ENGLISH:
        raise artifact.ArtifactError(
            "only models with the tokens of this version can be exported: train it again, without "
            "--spacy-model."
        )
    idf = np.asarray(steps["tfidf"].idf_)
    classifier = steps["classifier"]
    constants = {
        "weights": (np.asarray(classifier.coef_) * idf).T,
        "squared_idf": (idf * idf)[:, None],
        "intercept": np.atleast_1d(classifier.intercept_),
        "smallest": np.array([np.finfo(np.float64).tiny]),
    }

    def node(kind: str, inputs: str, output: str, **settings: Any) -> Any:  # noqa: ANN401
        return helper.make_node(kind, inputs.split(), [output], **settings)

    labels = classifier.coef_.shape[0]
    double = onnx.TensorProto.DOUBLE
    graph = helper.make_graph(
        [
            helper.make_node("StringSplit", ["tokens"], ["words", "sizes"], delimiter=" "),
            node("TfIdfVectorizer", "words", "singles", **_vocabulary(steps["tfidf"].vocabulary_)),
            node("Cast", "singles", "counts", to=double),
            node("MatMul", "counts weights", "sums"),
            node("Mul", "counts counts", "squares"),
            node("MatMul", "squares squared_idf", "squared_norms"),
            node("Max", "squared_norms smallest", "positive"),
            node("Sqrt", "positive", "norms"),
            node("Div", "sums norms", "normalised"),
            node("Add", "normalised intercept", "decisions"),
            node("Sigmoid", "decisions", onnx_model.PROBABILITIES),
        ],
        "textmod",
        [helper.make_tensor_value_info("tokens", onnx.TensorProto.STRING, ["texts"])],
        [helper.make_tensor_value_info(onnx_model.PROBABILITIES, double, ["texts", labels])],
        [
            onnx.numpy_helper.from_array(np.ascontiguousarray(value, np.float64), name)
            for name, value in constants.items()
        ],
    )
    model = helper.make_model(
        graph,
        ir_version=_IR,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        producer_name="textmod-model",
    )
    return bytes(model.SerializeToString(deterministic=True))


def _vocabulary(places: dict[str, int]) -> dict[str, Any]:
    """Return the settings of TfIdfVectorizer that count these n-grams, each in its place."""
    grams = sorted((len(gram.split(" ")), place, gram.split(" ")) for gram, place in places.items())
    longest = grams[-1][0]
    pool = [word for _, _, gram in grams for word in gram]
    starts = [
        sum(size for size, _, _ in grams if size < shorter) for shorter in range(1, longest + 1)
    ]
    return {
        "mode": "TF",
        "min_gram_length": 1,
        "max_gram_length": longest,
        "max_skip_count": 0,
        "ngram_counts": starts,
        "ngram_indexes": [place for _, place, _ in grams],
        "pool_strings": pool,
    }
