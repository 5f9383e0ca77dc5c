"""From what a batch's scoring found to explanations of some of its texts."""

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.compiled import Compiled, Floats, Integers
from textmod_model.scoring.contributions import (
    Batch,
    Contributions,
    Curve,
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
    bounds: Indices
    """The place of each text's first chunk, and the one behind the last text."""
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
        those = np.array(rows, np.int64)
        begins = self.bounds[those]
        sizes = self.bounds[those + 1] - begins
        cuts = sizes.cumsum()
        starts = cuts - sizes
        owners = np.arange(len(those)).repeat(sizes)
        places = (begins - starts)[owners]
        places += np.arange(len(owners))
        return Texts(those, starts, sizes, owners, places)

    def totals(self, rows: Sequence[int] | Indices, label: int) -> Floats:
        """Return some texts' decision values of a label."""
        return self.decisions[rows] if self.decisions.ndim == 1 else self.decisions[rows, label]


class Explainer:
    """Explains texts of a pass. The pass must be of the memo's present generation."""

    def __init__(self, compiled: Compiled, memo: Memo, grams: WordGrams, table: Singles) -> None:
        self._memo = memo
        self._edges = int(compiled.edges)
        self._bases = np.atleast_1d(compiled.intercept).tolist()
        self._bases_in_parts = _in_parts(np.atleast_1d(compiled.intercept)).tolist()
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
        base = self._bases_in_parts[label]
        totals = _in_parts(done.totals(chosen.rows, label))
        others = totals - base - weights.sum(axis=1) - features.sum(axis=1)
        briefs: list[dict[str, Any]] = [
            {
                "offsets": offsets,
                "spans": spans,
                "features": named,
                "others": other,
                "base": base / PARTS,
                "total": total,
            }
            for spans, named, other, total in zip(
                _written_spans(*self._edges_of(done, chosen, places), weights),
                _written_features(self._contributions.names, columns, features),
                (others / PARTS).tolist(),
                (totals / PARTS).tolist(),
                strict=True,
            )
        ]
        for at, (row, text) in enumerate(zip(rows, sent, strict=True)):
            tidy = done.texts[row]
            if tidy is not text or not text.isascii():
                numbers = (places[at] - (chosen.starts[at] + self._edges)).tolist()
                _lead_back(briefs[at]["spans"], numbers, tidy, text, offsets)
        return briefs

    def _edges_of(self, done: Pass, chosen: Texts, places: Indices) -> tuple[Indices, Indices]:
        """Return begin and end in an ASCII text of the chunks at these places of each."""
        at = chosen.places[places]
        # A text begins one space behind its beginning, or behind the break before it.
        before = done.bounds[chosen.rows] - (not self._edges)
        origins = np.where(before < 0, 0, done.chunks.ends[before] + 1)[:, None]
        return done.chunks.starts[at] - origins, done.chunks.ends[at] - origins

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
        curve = done.batch.curve
        if curve is not None:
            pulls = [pull[[row]] for pull in curve.pulls]
            curve = Curve(curve.numbers[[row]], curve.bent[[row]], pulls)
        batch = Batch(indices, found, curve, done.batch.having[[row]])
        alone = texts._replace(rows=np.array([0]), places=np.arange(len(indices)))
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


def _written_spans(
    begins: Indices, ends: Indices, weights: NDArray[np.int64]
) -> Iterator[list[dict[str, Any]]]:
    """Yield each text's spans; arrays of shape (n, most), what weighs nothing comes last."""
    written = [
        {"begin": begin, "end": end, "weight": weight}
        for begin, end, weight in zip(
            begins.ravel().tolist(),
            ends.ravel().tolist(),
            (weights / PARTS).ravel().tolist(),
            strict=True,
        )
    ]
    return _rows(written, weights)


def _written_features(
    names: Sequence[str], columns: Indices, weights: NDArray[np.int64]
) -> Iterator[list[dict[str, Any]]]:
    """Yield each text's features; arrays of shape (n, most), what weighs nothing comes last."""
    written = [
        {"name": names[column], "weight": weight}
        for column, weight in zip(
            columns.ravel().tolist(), (weights / PARTS).ravel().tolist(), strict=True
        )
    ]
    return _rows(written, weights)


def _rows(
    written: list[dict[str, Any]], weights: NDArray[np.int64]
) -> Iterator[list[dict[str, Any]]]:
    """Cut what is written into rows, each without its end that weighs nothing."""
    width = weights.shape[1]
    for at, size in enumerate(np.count_nonzero(weights, axis=1).tolist()):
        yield written[at * width : at * width + size]


def _lead_back(
    spans: Sequence[dict[str, Any]],
    numbers: Sequence[int],
    tidy: str,
    sent: str,
    offsets: Offsets,
) -> None:
    """Correct the spans of a text that is not ASCII, or that was not sent as it was scored.

    `numbers` say which of the tidy text's chunks each span is. Tidying mixes no chunks, so that no
    spans overlap.
    """
    found = [(span["begin"], span["end"]) for span in spans]
    if not tidy.isascii():
        chunks = [match.span() for match in _CHUNK.finditer(tidy)]
        found = [chunks[number] for number, _ in zip(numbers, spans, strict=False)]
    if tidy != sent:
        path = alignment.tidied(sent)
        whole = alignment.Span(0, len(sent))  # if a step is missing, see `_spans`
        found = [path.source(*span) if path.text == tidy else whole for span in found]
    if offsets == "Utf16":
        found = [(begin, end) for begin, end, _ in utf16(sent, [Span(*one, 0) for one in found])]
    for span, (begin, end) in zip(spans, found, strict=True):
        span["begin"], span["end"] = begin, end


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
    keys = texts.owners << _BITS
    keys -= np.minimum(np.abs(weights), greatest)
    keys <<= bits
    keys += np.arange(len(keys))
    keys.sort()
    columns = np.arange(max(most, 0))
    at = texts.starts[:, None] + columns
    places: Indices = keys[np.minimum(at, len(keys) - 1)] & ((1 << bits) - 1)
    return weights[places] * (columns < texts.sizes[:, None]), places


def _largest_features(weights: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], Indices]:
    """Return each text's largest weights of features, shape (n, most), and which they are."""
    bits = weights.shape[1].bit_length()
    keys = np.abs(weights)
    keys <<= bits
    keys -= np.arange(1, weights.shape[1] + 1)  # of weights that are written alike the first
    keys.sort(axis=1)
    columns: Indices = -keys[:, ::-1][:, : max(most, 0)] & ((1 << bits) - 1)
    columns -= 1
    return weights[np.arange(len(weights))[:, None], columns], columns


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
