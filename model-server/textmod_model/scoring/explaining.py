"""From what a batch's scoring found to explanations of some of its texts."""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.compiled import Compiled, Floats, Integers
from textmod_model.scoring.contributions import (
    Batch,
    Contributions,
    Found,
    Shares,
    Singles,
    Texts,
)
from textmod_model.scoring.explanation import (
    PARTS,
    Asked,
    Explanation,
    Feature,
    Offsets,
    Span,
    utf16,
)
from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.memo import Columns, Memo
from textmod_model.scoring.packed import Chunks
from textmod_model.scoring.word_grams import WordGrams
from textmod_model.text import alignment
from textmod_model.text.alignment import Alignment

_CHUNK: Final = re.compile(r"\S+")
_BITS: Final = 32  # of a weight in parts: those of more than 4,000 are sorted as equal


class Pass(NamedTuple):
    """What one pass over a batch of texts found."""

    texts: Sequence[str]
    """The texts as they were scored: tidy, or undisguised."""
    chunks: Chunks
    """Those of all texts, with the marks between them."""
    starts: Indices
    """The place of each text's first chunk."""
    batch: Batch
    decisions: Floats
    """Of each text, shape (n,), or (n, labels); those of `reread` texts are those of `again`."""
    corrected: AbstractSet[int]
    """Texts whose words are not those of their chunks, but of the text as a whole."""
    reread: dict[int, int]
    """Texts that were read through evasion, and where they are in `again`."""
    again: "Pass | None"
    generation: int
    """The memo's, to which the indices belong."""

    def is_plain(self, row: int) -> bool:
        """Tell whether a text's words are those of its chunks, and it was read once."""
        return row not in self.corrected and row not in self.reread

    def chosen(self, rows: Sequence[int]) -> Texts:
        """Return some of the texts."""
        begins = self.starts[rows]
        sizes = np.append(self.starts[1:], len(self.batch.indices))[rows] - begins
        cuts = np.cumsum(sizes)
        starts = cuts - sizes
        places = np.repeat(begins - starts, sizes) + np.arange(cuts[-1])
        return Texts(np.asarray(rows), starts, sizes, places)

    def totals(self, rows: Sequence[int], label: int) -> Floats:
        """Return some texts' decision values of a label."""
        return self.decisions[rows] if self.decisions.ndim == 1 else self.decisions[rows, label]


class Explainer:
    """Explains texts of a pass. The pass must be of the memo's present generation."""

    def __init__(self, compiled: Compiled, memo: Memo, grams: WordGrams, table: Singles) -> None:
        self._memo = memo
        self._edges = int(compiled.edges)
        self._bases = np.atleast_1d(compiled.intercept).tolist()
        self._grams = grams
        self._contributions = Contributions(compiled, table)

    def explain(
        self, done: Pass, rows: Sequence[int], sent: Sequence[str], label: int
    ) -> list[Explanation]:
        """Explain the texts at these rows of a pass; `sent` has them as they were sent."""
        return [self._explain(done, row, text, label) for row, text in zip(rows, sent, strict=True)]

    def _explain(self, done: Pass, row: int, sent: str, label: int) -> Explanation:
        path = None if done.texts[row] == sent else alignment.tidied(sent)
        if row in done.reread:
            assert done.again is not None  # noqa: S101  # where there are texts read again
            path = path or Alignment(sent)
            alignment.undisguise(path)
            row, done = done.reread[row], done.again
        text = done.texts[row]
        if row in done.corrected:
            shares = self._shares_as_a_whole(done, row, label)
        else:
            known = self._memo.columns()
            shares = self._contributions.shares(known, done.batch, done.chosen([row]), label)
        weights = shares.chunks[self._edges : -1].tolist()
        features = zip(self._contributions.names, shares.features[0].tolist(), strict=True)
        return Explanation(
            tuple(_spans(text, weights, sent, path)),
            tuple(Feature(name, weight) for name, weight in features if weight),
            self._bases[label],
            float(done.totals([row], label)[0]),
        )

    def briefs(
        self, done: Pass, rows: Sequence[int], sent: Sequence[str], asked: Asked
    ) -> list[dict[str, Any]]:
        """Return the brief explanations of texts, `Explanation.brief`, many at once."""
        plain = [at for at, row in enumerate(rows) if done.is_plain(row)]
        if len(plain) == len(rows):
            return self._plain_briefs(done, rows, sent, asked) if plain else []
        found: dict[int, dict[str, Any]] = {}
        if plain:
            chosen, texts = [rows[at] for at in plain], [sent[at] for at in plain]
            briefs = self._plain_briefs(done, chosen, texts, asked)
            found.update(zip(plain, briefs, strict=True))
        for at, row in enumerate(rows):
            if at not in found:
                whole = self._explain(done, row, sent[at], asked.label)
                found[at] = whole.brief(asked.max_spans, asked.offsets, sent[at])
        return [found[at] for at in range(len(rows))]

    def _plain_briefs(
        self, done: Pass, rows: Sequence[int], sent: Sequence[str], asked: Asked
    ) -> list[dict[str, Any]]:
        """Return the brief explanations of texts that are plain."""
        label, most, offsets = asked
        chosen = done.chosen(rows)
        shares = self._contributions.shares(self._memo.columns(), done.batch, chosen, label)
        weights, places = _largest(_in_parts(shares.chunks), chosen, most)
        features, columns = _largest_features(_in_parts(shares.features), most)
        base = int(_in_parts(np.array(self._bases[label])))
        totals = _in_parts(done.totals(rows, label))
        others = totals - base - weights.sum(axis=1) - features.sum(axis=1)
        names = self._contributions.names
        briefs = []
        for text, row, spans, weight, feature, column, other, total in zip(
            sent,
            rows,
            self._spans_of(done, chosen, places),
            (weights / PARTS).tolist(),
            (features / PARTS).tolist(),
            columns.tolist(),
            (others / PARTS).tolist(),
            (totals / PARTS).tolist(),
            strict=True,
        ):
            tidy = done.texts[row]
            if tidy != text or not tidy.isascii():
                told = spans[: sum(map(bool, weight))]
                spans = _sources(tidy, told, text, offsets)  # noqa: PLW2901  # the better ones
            briefs.append(
                {
                    "offsets": offsets,
                    "spans": [
                        {"begin": begin, "end": end, "weight": one}
                        for (begin, end, _), one in zip(spans, weight, strict=False)
                        if one
                    ],
                    "features": [
                        {"name": names[at], "weight": one}
                        for at, one in zip(column, feature, strict=True)
                        if one
                    ],
                    "others": other,
                    "base": base / PARTS,
                    "total": total,
                }
            )
        return briefs

    def _spans_of(self, done: Pass, chosen: Texts, places: Indices) -> list[list[list[int]]]:
        """Return begin and end in an ASCII text, and which of its chunks it is, of each span."""
        at = chosen.places[places]
        # A text begins one space behind its beginning, or behind the break before it.
        before = done.starts[chosen.rows] - (not self._edges)
        origins = np.where(before < 0, 0, done.chunks.ends[before] + 1)
        spans = np.stack((done.chunks.starts[at], done.chunks.ends[at], places), axis=2)
        first = chosen.starts + self._edges
        spans -= np.stack((origins, origins, first), axis=1)[:, None, :]
        found: list[list[list[int]]] = spans.tolist()
        return found

    def _shares_as_a_whole(self, done: Pass, row: int, label: int) -> Shares:
        """Return the shares of a text whose words depend on their neighbours."""
        texts = done.chosen([row])
        indices = done.batch.indices[texts.places]
        known, edges = self._memo.columns(), self._edges
        ids, owners = self._memo.analyzer.words_of_chunks(done.texts[row])
        sizes = known.size[indices]  # those of the edges stay
        inside = len(sizes) - 1 - edges
        sizes[edges:-1] = np.bincount(owners, minlength=inside) if owners else 0
        first, last = indices[:edges], indices[-1:]
        tokens = np.concatenate((_ids(known, first), ids, _ids(known, last))).astype(np.int32)
        grams = self._grams.by_size(tokens)
        features = np.concatenate([one for one, _ in grams])
        found = Found(
            tokens,
            sizes,
            np.cumsum(sizes, dtype=np.int64),
            features,
            np.concatenate([at for _, at in grams]),
            np.zeros(len(features), np.int64),
            (len(grams[0][0]), len(grams[0][0]) + len(grams[1][0])),
            self._contributions.norm(features),
        )
        batch = Batch(indices, found, done.batch.numbers[[row]], done.batch.having[[row]])
        alone = Texts(np.array([0]), texts.starts, texts.sizes, np.arange(len(indices)))
        return self._contributions.shares(known, batch, alone, label)


def _ids(known: Columns, indices: Indices) -> Integers:
    """Return the words of one chunk, or of none."""
    parts = [known.tokens[known.start[at] : known.start[at] + known.size[at]] for at in indices]
    return np.concatenate([np.zeros(0, np.int32), *parts])


def _spans(
    scored: str, weights: Sequence[float], sent: str, path: Alignment | None
) -> Sequence[Span]:
    """Return the chunks of a text as scored that add something as spans of the text as sent."""
    if path is not None and path.text != scored:
        # Tests compare both for every step of cleaning. If one is missing all the same, the sum
        # over the whole text is still exact.
        return [Span(0, len(sent), sum(weights))] if any(weights) else []
    chunks = zip(_CHUNK.finditer(scored), weights, strict=True)
    spans = [Span(*match.span(), weight) for match, weight in chunks if weight]
    if path is None:
        return spans
    return _merged([Span(*path.source(span.begin, span.end), span.weight) for span in spans])


def _sources(
    tidy: str, spans: Sequence[Sequence[int]], sent: str, offsets: Offsets
) -> list[tuple[int, int, int]]:
    """Return the spans of the text as sent that chunks of a tidy text come from.

    Tidying mixes no chunks, so none of them overlap.
    """
    found = [(begin, end) for begin, end, _ in spans]
    if not tidy.isascii():
        chunks = [match.span() for match in _CHUNK.finditer(tidy)]
        found = [chunks[at] for _, _, at in spans]
    if tidy != sent:
        path = alignment.tidied(sent)
        whole = alignment.Span(0, len(sent))  # if a step is missing, see `_spans`
        found = [path.source(*span) if path.text == tidy else whole for span in found]
    if offsets == "Utf16":
        return [(begin, end, 0) for begin, end, _ in utf16(sent, [Span(*one, 0) for one in found])]
    return [(begin, end, 0) for begin, end in found]


def _in_parts(weights: Floats) -> NDArray[np.int64]:
    """Return weights as `explanation.parts` does."""
    return np.rint(weights * PARTS).astype(np.int64)


def _largest(
    weights: NDArray[np.int64], texts: Texts, most: int
) -> tuple[NDArray[np.int64], Indices]:
    """Return each text's largest weights, shape (n, most), and their places.

    Where a text has fewer chunks the weight is 0, and the place any.
    """
    greatest = (1 << _BITS) - 1
    bits = len(weights).bit_length()
    keys = np.repeat(np.arange(len(texts.sizes)) << _BITS, texts.sizes)
    keys += greatest - np.minimum(np.abs(weights), greatest)
    keys = (keys << bits) + np.arange(len(weights))
    keys.sort()
    columns = np.arange(max(most, 0))
    at = texts.starts[:, None] + columns
    places: Indices = keys[np.minimum(at, len(keys) - 1)] & ((1 << bits) - 1)
    return weights[places] * (columns < texts.sizes[:, None]), places


def _largest_features(weights: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], Indices]:
    """Return each text's largest weights of features, shape (n, most), and which they are."""
    if not weights.shape[1]:
        return weights, weights
    columns = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, : max(most, 0)]
    return np.take_along_axis(weights, columns, axis=1), columns


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
