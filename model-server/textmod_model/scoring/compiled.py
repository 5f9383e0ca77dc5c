"""A trained pipeline as plain arrays: all that scoring needs, and nothing that needs scikit-learn.

For one text, with t the TF-IDF vector of its word n-grams (Euclidean norm 1), c the vector of its
character n-grams over the root of its sum, z the sum of its word vectors over the root of how many
there are, followed by its shape, and s the same squashed:

    decision    = w·t + v·c + u·z + s·Q·s + r·s + b
    probability = 1 / (1 + exp(-decision))

z is standardized. `seed` has the words alone.

A model of several labels has w, v, u, Q, r and b once for each label, and all else once: these
arrays then have a first axis more, and the format is `FORMAT_OF_SEVERAL`.
"""

import io
import json
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textmod_model.text.features import MARKS
from textmod_model.text.rules import Rules

FORMAT: Final = 2
FORMAT_OF_SEVERAL: Final = 3
UNKNOWN: Final = 0
"""The id of a token that is part of no known n-gram; known words have ids from 1."""
LEFT_OUT: Final = -1
"""The id of a token that is a symbol, not a word; n-grams reach across it."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]


@dataclass(frozen=True)
class Memory:
    """What is remembered of chunks: parallel arrays, one entry a chunk."""

    chunks: list[str]
    sizes: Integers
    """Number of tokens of each chunk."""
    tokens: Integers
    """The ids of all tokens, chunk after chunk."""
    weights: Floats
    """Of several labels shape (number of chunks, labels)."""
    masses: Floats
    marks: NDArray[np.int16]
    """Shape (number of chunks, number of marks)."""
    counts: Integers
    """1, or the number of pieces of a chunk too long for one."""
    fragile: NDArray[np.int8]
    """1 for a chunk that holds beside these neighbours only, plus twice its suspicion."""

    @classmethod
    def empty(cls, labels: int = 1) -> "Memory":
        """Return a memory of nothing, for a model of so many labels."""
        integers, floats = np.zeros(0, np.int32), np.zeros(0)
        weights = floats if labels == 1 else np.zeros((0, labels))
        marks = np.zeros((0, len(MARKS)), np.int16)
        return cls([], integers, integers, weights, floats, marks, integers, np.zeros(0, np.int8))


class Head(NamedTuple):
    """What one label has of its own; see `Compiled`."""

    intercept: float
    weights: Floats
    gram_weights: Floats
    straight: Floats
    bend: Floats
    quadratic: Floats


@dataclass(frozen=True)
class Compiled:
    """The arrays. n-gram keys are sorted; a feature index of -1 means "no feature"."""

    rules: Rules
    words: dict[str, int]
    """Id of each word, by the word (a lower-case lemma): those of n-grams first."""
    forms: dict[str, int]
    """Id by token, for the tokens whose lemma makes it another than that of their lower case."""
    unigrams: Integers
    """Feature of each id of n-grams' words, UNKNOWN's included, shape (number of those ids,)."""
    bigram_keys: Integers
    """first id · number of those ids + second id."""
    bigrams: Integers
    """Feature of each key; -1 for one that only begins a trigram."""
    trigram_keys: Integers
    """index of the first two words' key · number of those ids + third id."""
    trigrams: Integers
    idf: Floats
    """Of each word feature."""
    weights: Floats
    """Coefficient of each word feature."""
    sublinear: bool
    """Count a feature's k occurrences as 1 + log k instead of k."""
    undisguises: bool
    """Texts are read through evasion (`text.evasion`) before they are scored."""
    edges: bool
    """A text's words stand between FIRST_WORD and LAST_WORD."""
    grams: dict[str, int]
    """The character n-grams and their places; none for a recipe without."""
    gram_idf: Floats
    gram_weights: Floats
    vectors: NDArray[np.float16]
    """Of each word id, behind each vector 1 if the word has one, shape (number of ids, k + 1)."""
    means: Floats
    """Of each number of z, before it is standardized; this and the next four are empty for a recipe
    without vectors and shape."""
    deviations: Floats
    straight: Floats
    bend: Floats
    quadratic: Floats
    """Shape (length of z, length of z)."""
    intercept: float | Floats
    memory: Memory

    @property
    def labels(self) -> int:
        """How many labels there are."""
        return 1 if self.weights.ndim == 1 else len(self.weights)

    def heads(self) -> list[Head]:
        """Return what each label has of its own, in order."""
        count = self.labels
        intercepts = np.atleast_1d(self.intercept).tolist()
        if count == 1:
            return [Head(intercepts[0], *self._parts())]
        return [
            Head(intercept, *(part[label] for part in self._parts()))
            for label, intercept in enumerate(intercepts)
        ]

    def _parts(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Return the arrays that each label has of its own."""
        return self.weights, self.gram_weights, self.straight, self.bend, self.quadratic

    def to_bytes(self) -> bytes:
        """Serialise as npz without pickles, with the same bytes for the same model."""
        arrays: dict[str, NDArray[Any]] = {
            "format": np.array(FORMAT if self.labels == 1 else FORMAT_OF_SEVERAL),
            "rules": _text(self.rules.to_json()),
            "words": _json(list(self.words)),
            "form_names": _json(list(self.forms)),
            "form_ids": np.array(list(self.forms.values()), dtype=np.int32),
            "grams": _json(list(self.grams)),
            "memory_chunks": _json(self.memory.chunks),
        }
        for field in fields(Memory):
            if field.name != "chunks":
                arrays[f"memory_{field.name}"] = getattr(self.memory, field.name)
        for name in (*_ARRAYS, *_SCALARS, "undisguises"):
            arrays[name] = np.asarray(getattr(self, name))
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Compiled":
        """Read what `to_bytes` wrote. Raises ValueError on anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return cls._from_arrays(arrays)
        except (KeyError, TypeError, AttributeError, OSError, EOFError) as error:
            raise ValueError(f"not a compiled model: {error}") from error

    @classmethod
    def _from_arrays(cls, arrays: Any) -> "Compiled":  # noqa: ANN401  # numpy's NpzFile is untyped
        if int(arrays["format"]) not in {FORMAT, FORMAT_OF_SEVERAL}:
            raise ValueError(f"compiled format {int(arrays['format'])}, not {FORMAT}")
        form_names = _load(arrays["form_names"])
        memory = {
            field.name: arrays[f"memory_{field.name}"]
            for field in fields(Memory)
            if field.name != "chunks"
        }
        return cls(
            rules=Rules.from_json(arrays["rules"].tobytes()),
            words=numbered(_load(arrays["words"]), first=1),
            forms=dict(zip(form_names, arrays["form_ids"].tolist(), strict=True)),
            grams=numbered(_load(arrays["grams"])),
            memory=Memory(chunks=_load(arrays["memory_chunks"]), **memory),
            **{name: arrays[name] for name in _ARRAYS},
            **{name: _scalar(arrays[name]) for name in _SCALARS},
            # A model that was compiled before it could does not.
            undisguises="undisguises" in arrays and bool(arrays["undisguises"]),
        )


_ARRAYS: Final = (
    "unigrams",
    "bigram_keys",
    "bigrams",
    "trigram_keys",
    "trigrams",
    "idf",
    "weights",
    "gram_idf",
    "gram_weights",
    "vectors",
    "means",
    "deviations",
    "straight",
    "bend",
    "quadratic",
)
_SCALARS: Final = ("sublinear", "edges", "intercept")


def _scalar(array: NDArray[Any]) -> Any:  # noqa: ANN401  # of the array's own type
    """Return what an array of no dimension holds; of several labels the array itself."""
    return array if array.ndim else array.item()


def numbered(names: list[str], first: int = 0) -> dict[str, int]:
    """Number names in order."""
    return {name: number for number, name in enumerate(names, start=first)}


def _json(strings: list[str]) -> NDArray[np.uint8]:
    return _text(json.dumps(strings).encode())


def _text(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, dtype=np.uint8)


def _load(array: NDArray[np.uint8]) -> list[str]:
    strings = json.loads(array.tobytes())
    if not isinstance(strings, list) or not all(isinstance(item, str) for item in strings):
        raise ValueError("a list of strings was expected")
    return strings
