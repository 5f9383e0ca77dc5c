"""From what a batch's scoring found to explanations of some of its texts."""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.compiled import Compiled, Floats
from textmod_model.scoring.contributions import (
    Batch,
    Contributions,
    Grams,
    Shares,
    Singles,
    Tokens,
    words_of,
)
from textmod_model.scoring.explanation import (
    PARTS,
    Asked,
    Explanation,
    Feature,
    Short,
    Span,
    utf16,
    written,
)
from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.memo import Memo
from textmod_model.scoring.packed import Chunks
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
    indices: Indices
    """Each chunk's in the memo."""
    starts: Indices
    """The place of each text's first chunk."""
    decisions: Floats
    """Of each text, shape (n,), or (n, labels); those of `reread` texts are those of `again`."""
    numbers: Floats
    """What came of word vectors and shape, standardized."""
    having: Floats
    """How many words of each text have a vector."""
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


class _Chosen(NamedTuple):
    """Some texts of a pass, their chunks one after the other, and what these add."""

    starts: Indices
    """The place of each text's first chunk among the chosen."""
    sizes: Indices
    """How many chunks each has, those around it included."""
    places: Indices
    """Of each chunk in the pass."""
    origins: Indices
    """Where each text begins in the pass's letters."""
    shares: Shares
    totals: Floats


class Explainer:
    """Explains texts of a pass. The pass must be of the memo's present generation."""

    def __init__(self, compiled: Compiled, memo: Memo, grams: Grams, table: Singles) -> None:
        self._memo = memo
        self._edges = int(compiled.edges)
        self._bases = np.atleast_1d(compiled.intercept).tolist()
        self._contributions = Contributions(compiled, grams, table)

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
        found = self._shares(done, [row], label)
        text, inside = done.texts[row], slice(self._edges, -1)
        weights = found.shares.chunks[inside].tolist()
        features = zip(self._contributions.names, found.shares.features[0].tolist(), strict=True)
        return Explanation(
            tuple(_spans(text, weights, sent, path)),
            tuple(Feature(name, weight) for name, weight in features if weight),
            self._bases[label],
            float(found.totals[0]),
        )

    def briefs(
        self, done: Pass, rows: Sequence[int], sent: Sequence[str], asked: Asked
    ) -> list[dict[str, Any]]:
        """Return the brief explanations of texts, `Explanation.brief`, many at once."""
        found: list[dict[str, Any]] = [{}] * len(rows)
        plain = [at for at, row in enumerate(rows) if done.is_plain(row)]
        if plain:
            chosen = [rows[at] for at in plain]
            texts = [sent[at] for at in plain]
            shorts = self._shorts(done, chosen, texts, asked)
            for at, short in zip(plain, shorts, strict=True):
                found[at] = written(short, asked.offsets)
        for at, row in enumerate(rows):
            if not done.is_plain(row):
                whole = self._explain(done, row, sent[at], asked.label)
                found[at] = whole.brief(asked.max_spans, asked.offsets, sent[at])
        return found

    def _shorts(
        self, done: Pass, rows: Sequence[int], sent: Sequence[str], asked: Asked
    ) -> list[Short]:
        label, most, offsets = asked
        chosen = self._shares(done, rows, label)
        weights = _in_parts(chosen.shares.chunks)
        places, told = _largest(weights, chosen, most)
        at = chosen.places[places]
        begins = (done.chunks.starts[at] - chosen.origins[:, None]).tolist()
        ends = (done.chunks.ends[at] - chosen.origins[:, None]).tolist()
        ordinals = places - chosen.starts[:, None] - self._edges
        names = self._contributions.names
        of_features = _in_parts(chosen.shares.features)
        columns = np.argsort(-np.abs(of_features), axis=1, kind="stable")[:, :most]
        of_features = np.take_along_axis(of_features, columns, axis=1)
        features_told = np.count_nonzero(of_features, axis=1).tolist()
        base = int(_in_parts(np.array(self._bases[label])))
        shorts = []
        for row, (text, count, features, weight, total) in enumerate(
            zip(
                sent,
                told.tolist(),
                features_told,
                weights[places].tolist(),
                _in_parts(chosen.totals).tolist(),
                strict=True,
            )
        ):
            spans = list(zip(begins[row][:count], ends[row][:count], strict=True))
            tidy = done.texts[rows[row]]
            if tidy != text or not tidy.isascii():
                spans = _sources(tidy, spans, ordinals[row, :count].tolist(), text)
                if offsets == "Utf16":
                    units = utf16(text, [Span(begin, end, 0) for begin, end in spans])
                    spans = [(begin, end) for begin, end, _ in units]
            shorts.append(
                Short(
                    spans,
                    weight[:count],
                    [names[column] for column in columns[row, :features].tolist()],
                    of_features[row, :features].tolist(),
                    base,
                    total,
                )
            )
        return shorts

    def _shares(self, done: Pass, rows: Sequence[int], label: int) -> _Chosen:
        """Return what the chunks of some texts add; of a corrected text only of it alone."""
        begins = done.starts[rows]
        sizes = np.append(done.starts[1:], len(done.indices))[rows] - begins
        cuts = np.cumsum(sizes)
        starts = cuts - sizes
        places = np.repeat(begins - starts, sizes) + np.arange(cuts[-1])
        batch = Batch(done.indices[places], starts, done.numbers[rows], done.having[rows])
        known = self._memo.columns()
        tokens = None
        if rows[0] in done.corrected:
            tokens = self._words(words_of(known, batch.indices), done.texts[rows[0]], len(places))
        shares = self._contributions.shares(known, batch, label, tokens)
        totals = done.decisions[rows] if done.decisions.ndim == 1 else done.decisions[rows, label]
        # One space behind the beginning of a text, or behind the break before it.
        before = begins if self._edges else begins - 1
        origins = np.where(before < 0, 0, done.chunks.ends[before] + 1)
        return _Chosen(starts, sizes, places, origins, shares, totals)

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


def _spans(
    scored: str, weights: Sequence[float], sent: str, path: Alignment | None
) -> Sequence[Span]:
    """Return the chunks of a text as scored that add something as spans of the text as sent."""
    if path is not None and path.text != scored:
        # Cannot be, tests hold one to the other; the explanation is true all the same.
        return [Span(0, len(sent), sum(weights))] if any(weights) else []
    chunks = zip(_CHUNK.finditer(scored), weights, strict=True)
    spans = [Span(*match.span(), weight) for match, weight in chunks if weight]
    if path is None:
        return spans
    return _merged([Span(*path.source(span.begin, span.end), span.weight) for span in spans])


def _sources(
    tidy: str, spans: list[tuple[int, int]], ordinals: Sequence[int], sent: str
) -> list[tuple[int, int]]:
    """Return the spans of the text as sent that chunks of a tidy text come from.

    Tidying mixes no chunks, so none of them overlap.
    """
    if not tidy.isascii():
        found = [match.span() for match in _CHUNK.finditer(tidy)]
        spans = [found[ordinal] for ordinal in ordinals]
    if tidy == sent:
        return spans
    path = alignment.tidied(sent)
    if path.text != tidy:
        return [(0, len(sent))] * len(spans)  # cannot be, see `_spans`
    return [path.source(begin, end) for begin, end in spans]


def _in_parts(weights: Floats) -> NDArray[np.int64]:
    """Return weights as `explanation.parts` does."""
    return np.rint(weights * PARTS).astype(np.int64)


def _largest(
    weights: NDArray[np.int64], chosen: _Chosen, most: int
) -> tuple[Indices, NDArray[np.int64]]:
    """Return the places of each text's largest weights, shape (n, most), and how many are not 0."""
    most = max(min(most, int(chosen.sizes.max())), 0)
    greatest = (1 << _BITS) - 1
    bits = len(weights).bit_length()
    keys = np.repeat(np.arange(len(chosen.sizes)) << _BITS, chosen.sizes)
    keys += greatest - np.minimum(np.abs(weights), greatest)
    keys = (keys << bits) + np.arange(len(weights))
    keys.sort()
    columns = np.arange(most)
    at = np.minimum(chosen.starts[:, None] + columns, len(keys) - 1)
    places: Indices = keys[at] & ((1 << bits) - 1)
    told = (columns < chosen.sizes[:, None]) & (weights[places] != 0)
    return places, np.count_nonzero(told, axis=1)


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
