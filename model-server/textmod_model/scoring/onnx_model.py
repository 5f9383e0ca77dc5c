"""The kind `onnx`: a text classifier as an ONNX graph, run by ONNX Runtime on one thread.

The graph has one input, strings of shape (n,): `text`, what a person wrote, tidied; or `tokens`,
the words that the recipes see with one space between them, evasion read through. Its output
`probabilities`, or its only one, has shape (n,), (n, labels), or (n, 2) for the two sides of one
label. `textmod-model export` writes such graphs. ONNX Runtime loads no code from a file.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from textmod_model.scoring.compiled import Floats
from textmod_model.text.cleaning import tidy

if TYPE_CHECKING:
    from textmod_model.artifact import Artifact

FILE: Final = "model.onnx"
PROBABILITIES: Final = "probabilities"
_BATCH: Final = 64
_WORDS: Final = 1 << 16
"""Of a batch, as a graph counts them that gives all its texts the length of the longest."""
_PROBE: Final = ("", "you are a fool", "one, two & three")


class OnnxBackend:
    """A session and what prepares the texts for it."""

    def __init__(self, session: Any, labels: int) -> None:  # noqa: ANN401  # untyped library
        """Take a session of ONNX Runtime. Raises ValueError if its graph is not of this kind."""
        self._session = session
        self._labels = labels
        self._input = _input(session)
        self._prepare = _PREPARE[self._input]
        self._output = _output(session)
        scores = self.score(_PROBE)
        if not ((scores >= 0) & (scores <= 1)).all():
            raise ValueError(f"{self._output} are not between 0 and 1")

    def score(self, texts: Sequence[str]) -> Floats:
        """Return the probability of each text, shape (n,), of several labels (n, labels)."""
        return np.concatenate([self._score(part) for part in _slices(self._prepare(texts))])

    def _score(self, prepared: Sequence[str]) -> Floats:
        strings = np.array(prepared, dtype=np.object_)
        found = np.asarray(self._session.run([self._output], {self._input: strings})[0])
        scores = found.reshape(len(prepared), -1).astype(np.float64)
        if self._labels == 1 and scores.shape[1] in {1, 2}:
            return np.asarray(scores[:, -1])
        if scores.shape[1] != self._labels:
            raise ValueError(
                f"{self._output} has {scores.shape[1]} columns, the manifest {self._labels} labels"
            )
        return scores


def load(artifact: "Artifact") -> OnnxBackend:
    """Load the graph of a checked artifact. Raises ArtifactError."""
    try:
        import onnxruntime
    except ImportError as error:
        raise artifact.refusal(
            FILE, f"needs ONNX Runtime ({error}): install textmoderation[onnx]."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a process is a core
    options.log_severity_level = 3  # warnings are about the graph, which nobody here can change
    data = artifact.read(FILE)
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return OnnxBackend(session, max(len(artifact.manifest.attributes), 1))
    except Exception as error:  # whatever the library raises: its errors have no common base
        reason = " ".join(str(error).split())
        raise artifact.refusal(
            FILE, f"cannot be loaded ({type(error).__name__}: {reason}); export the model again."
        ) from error


def tokens(texts: Sequence[str]) -> list[str]:
    """Return the words of each text as the recipes see them, a space between each two."""
    from textmod_model import pipeline

    cleaned = pipeline.CleanTextTransformer().transform(texts)
    return [" ".join(words) for words in pipeline.SpacyTokenTransformer().transform(cleaned)]


def _texts(texts: Sequence[str]) -> list[str]:
    """Return the texts tidied: ONNX Runtime refuses lone surrogates."""
    return [tidy(text) for text in texts]


_PREPARE: Final[dict[str, Callable[[Sequence[str]], list[str]]]] = {
    "text": _texts,
    "tokens": tokens,
}


def _input(session: Any) -> str:  # noqa: ANN401
    found = session.get_inputs()
    if len(found) != 1 or found[0].name not in _PREPARE or found[0].type != "tensor(string)":
        names = ", ".join(f"{one.name} {one.type}" for one in found)
        raise ValueError(f"its input is {names}, not strings called text or tokens")
    return str(found[0].name)


def _output(session: Any) -> str:  # noqa: ANN401
    names = [one.name for one in session.get_outputs()]
    if PROBABILITIES in names:
        return PROBABILITIES
    if len(names) != 1:
        raise ValueError(f"of its outputs {', '.join(names)} none is called {PROBABILITIES}")
    return str(names[0])


def _slices(prepared: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut a batch so that no part is much longer than its texts, padded to one length."""
    start = longest = 0
    for at, text in enumerate(prepared):
        words = text.count(" ") + 1
        count = at - start
        if count and (count == _BATCH or (count + 1) * max(longest, words) > _WORDS):
            yield prepared[start:at]
            start, longest = at, 0
        longest = max(longest, words)
    yield prepared[start:]
