"""From what a batch's scoring found to explanations of some of its texts."""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import numpy as np

from textmod_model.scoring.compiled import Compiled, Floats
from textmod_model.scoring.contributions import Contributions, Grams, Singles, Tokens, words_of
from textmod_model.scoring.explanation import SAME, Explanation, Feature, Span
from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.memo import Memo
from textmod_model.scoring.packed import Chunks
from textmod_model.text import alignment
from textmod_model.text.alignment import Alignment

_GREATEST: Final = 1 << 42  # weights of more than 4,000 are sorted as equal
_CHUNK: Final = re.compile(r"\S+")


class Pass(NamedTuple):
    """What one pass over a batch of texts found."""

    texts: Sequence[str]
    """The texts as they were scored: tidy, or undisguised."""
    chunks: Chunks
    """Those of all texts, with the marks between them."""
    indices: Indices
    """Each chunk's in the memo."""
    starts: Indices
    """The place of each text's first chunk."""
    decisions: Floats
    """Of each text, shape (n,), or (n, labels); those of `reread` texts are those of `again`."""
    corrected: AbstractSet[int]
    """Texts whose words are not those of their chunks, but of the text as a whole."""
    reread: dict[int, int]
    """Texts that were read through evasion, and where they are in `again`."""
    again: "Pass | None"
    generation: int
    """The memo's, to which the indices belong."""


class Explainer:
    """Explains texts of a pass. The pass must be of the memo's present generation."""

    def __init__(self, compiled: Compiled, memo: Memo, grams: Grams, table: Singles) -> None:
        self._memo = memo
        self._edges = int(compiled.edges)
        self._bases = np.atleast_1d(compiled.intercept).tolist()
        self._contributions = Contributions(compiled, grams, table)

    def explain(
        self, done: Pass, rows: Sequence[int], sent: Sequence[str], label: int, most: int | None
    ) -> list[Explanation]:
        """Explain the texts at these rows of a pass.

        Args:
            done: the pass.
            rows: of the texts.
            sent: the same texts as they were sent.
            label: index of the label.
            most: how many spans, and how many features, the explanations hold at most, the largest;
                None for all.
        """
        found: dict[int, Explanation] = {}
        plain = [at for at, row in enumerate(rows) if self._is_plain(done, row)]
        if plain:
            chosen = [rows[at] for at in plain]
            parts = self._parts(done, chosen, label, most)
            for at, row, part in zip(plain, chosen, parts, strict=True):
                tidy = done.texts[row]
                path = None if tidy == sent[at] else alignment.tidied(sent[at])
                found[at] = self._placed(part, sent[at], tidy, path)
        for at, row in enumerate(rows):
            if at not in found:
                found[at] = self._special(done, row, sent[at], label, most)
        return [found[at] for at in range(len(rows))]

    @staticmethod
    def _is_plain(done: Pass, row: int) -> bool:
        return row not in done.corrected and row not in done.reread

    def _special(
        self, done: Pass, row: int, sent: str, label: int, most: int | None
    ) -> Explanation:
        """Explain a text that was read a second time or whose words depend on their neighbours."""
        path = None if done.texts[row] == sent else alignment.tidied(sent)
        if row in done.reread:
            assert done.again is not None  # noqa: S101  # where there are texts read again
            path = path or Alignment(sent)
            alignment.undisguise(path)
            row, done = done.reread[row], done.again
        [part] = self._parts(done, [row], label, None, whole=row in done.corrected)
        explanation = self._placed(part, sent, done.texts[row], path)
        return explanation if most is None else explanation.shortened(most)

    def _parts(
        self, done: Pass, rows: Sequence[int], label: int, most: int | None, *, whole: bool = False
    ) -> "list[_Part]":
        """Return what is in the explanations; `whole` takes one text's words as a whole."""
        begins = done.starts[rows]
        ends = np.append(done.starts[1:], len(done.indices))[rows]
        sizes = ends - begins
        cuts = np.cumsum(sizes)
        starts = cuts - sizes
        places = np.repeat(begins - starts, sizes) + np.arange(cuts[-1])
        indices = done.indices[places]
        known = self._memo.columns()
        tokens = None
        if whole:
            tokens = self._words(words_of(known, indices), done.texts[rows[0]], len(indices))
        shares = self._contributions.shares(known, indices, starts, label, tokens)
        totals = done.decisions[rows] if done.decisions.ndim == 1 else done.decisions[rows, label]
        features = self._features(shares.features, most)
        order = _by_size(shares.chunks, starts, sizes) if most is not None else None
        parts = []
        edges = self._edges
        for at, (start, size, total) in enumerate(
            zip(starts.tolist(), sizes.tolist(), totals.tolist(), strict=True)
        ):
            chosen = (
                np.arange(start, start + size)
                if order is None
                else np.sort(order[start : start + min(size, most or 0)])
            )
            weights = shares.chunks[chosen]
            chosen, weights = chosen[weights != 0], weights[weights != 0]
            first = int(begins[at])
            origin = (
                int(done.chunks.ends[first]) + 1
                if edges
                else (int(done.chunks.ends[first - 1]) + 1 if first else 0)
            )
            parts.append(
                _Part(
                    (places[chosen] - first - edges).tolist(),
                    (done.chunks.starts[places[chosen]] - origin).tolist(),
                    (done.chunks.ends[places[chosen]] - origin).tolist(),
                    weights.tolist(),
                    features[at],
                    self._bases[label],
                    total,
                    limited=most is not None,
                )
            )
        return parts

    def _features(self, shares: Floats, most: int | None) -> list[tuple[Feature, ...]]:
        """Return the features of each text that say anything, at most so many of the largest."""
        names = self._contributions.names
        if most is not None and most < len(names):
            order = np.sort(
                np.argsort(-np.round(np.abs(shares), SAME), axis=1, kind="stable")[:, :most], axis=1
            )
            weights = np.take_along_axis(shares, order, axis=1).tolist()
            columns = order.tolist()
        else:
            weights = shares.tolist()
            columns = [range(len(names))] * len(weights)
        return [
            tuple(
                Feature(names[column], weight)
                for column, weight in zip(row, those, strict=True)
                if weight
            )
            for row, those in zip(columns, weights, strict=True)
        ]

    def _words(self, as_chunks: Tokens, text: str, chunks: int) -> Tokens:
        """Return the words of a text as a whole, with the chunk of each; edges stay."""
        edges, last = self._edges, chunks - 1
        before = as_chunks.chunks < edges
        behind = as_chunks.chunks == last
        ids, owners = self._memo.analyzer.words_of_chunks(text)
        return Tokens(
            np.concatenate((as_chunks.ids[before], ids, as_chunks.ids[behind])).astype(np.int32),
            np.concatenate(
                (as_chunks.chunks[before], np.add(owners, edges), as_chunks.chunks[behind])
            ).astype(np.int64),
        )

    def _placed(self, part: "_Part", sent: str, scored: str, path: Alignment | None) -> Explanation:
        """Return the explanation with spans of the text as sent."""
        if path is not None and path.text != scored:
            # Cannot be: tests hold one to the other. An explanation stays true all the same.
            spans = [Span(0, len(sent), sum(part.weights))] if part.weights else []
        else:
            begins, ends = part.begins, part.ends
            if not scored.isascii():
                found = [match.span() for match in _CHUNK.finditer(scored)]
                begins = [found[ordinal][0] for ordinal in part.ordinals]
                ends = [found[ordinal][1] for ordinal in part.ordinals]
            spans = list(map(Span, begins, ends, part.weights))
            if path is not None:
                spans = _merged(
                    [Span(*path.source(span.begin, span.end), span.weight) for span in spans]
                )
        explanation = Explanation(tuple(spans), part.features, part.base, part.total)
        return explanation.completed() if part.limited else explanation


class _Part(NamedTuple):
    """What is in an explanation, with chunks for spans."""

    ordinals: list[int]
    """Which of the text's chunks."""
    begins: list[int]
    """Their places in an ASCII text as scored."""
    ends: list[int]
    weights: list[float]
    features: tuple[Feature, ...]
    base: float
    total: float
    limited: bool


def _by_size(weights: Floats, starts: Indices, sizes: Indices) -> Indices:
    """Return the places of chunks text by text, of each text those of large weights first."""
    size = np.minimum(np.rint(np.abs(weights) * 10**SAME), _GREATEST - 1).astype(np.int64)
    texts = np.repeat(np.arange(len(starts)), sizes)
    order: Indices = np.argsort(texts * _GREATEST - size, kind="stable")
    return order


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Make one of spans that overlap: what was shown in reverse comes from one place together."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.begin < merged[-1].end:
            last = merged.pop()
            both = Span(last.begin, max(last.end, span.end), last.weight + span.weight)
            merged.append(both)
        else:
            merged.append(span)
    return merged
