"""Tokenize chunks again together with the neighbours that change their tokens.

A chunk is looked up alone. Few are fragile: beside certain neighbours a pattern of the tokenizer
reaches across the space between (`text/chunks.py`). Of a text with such a run of chunks the index
of one entry takes the place of the run's own.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.memo import BREAK_INDEX, Memo

_CHUNK: Final = re.compile(r"\S+")


def tokenized_again(
    memo: Memo,
    texts: Sequence[str],
    chunks: Sequence[str],
    indices: Indices,
    fragile: Indices,
    *,
    edges: bool,
) -> dict[int, Indices]:
    """Return new chunk indices for the texts in which neighbours change tokens, by their rows.

    Args:
        memo: takes an entry for each run of chunks.
        texts: tidy, and split into `chunks`: with `edges`, each text's follow a BEGIN; a BREAK
            ends them.
        indices: of all chunks.
        fragile: where the fragile ones are.
    """
    if not len(fragile):
        return {}
    ends = np.flatnonzero(indices == BREAK_INDEX)
    runs: dict[int, list[range]] = {}
    for at, row in zip(fragile.tolist(), np.searchsorted(ends, fragile).tolist(), strict=True):
        if row in runs and at in runs[row][-1]:
            continue
        run = memo.analyzer.tokenized_with(chunks, at, _places(ends, row, edges=edges))
        if len(run) > 1:
            runs.setdefault(row, []).append(run)
    found = {}
    for row, those in runs.items():
        places = _places(ends, row, edges=edges)
        instead = _entries(memo, texts[row], places, those)
        found[row] = _replaced(
            indices, range(places.start - edges, places.stop + 1), those, instead
        )
    return found


def _places(ends: Indices, row: int, *, edges: bool) -> range:
    """Return where a text's chunks are among all, given where each text ends."""
    before = int(ends[row - 1]) + 1 if row else 0
    return range(before + edges, int(ends[row]))


def _entries(memo: Memo, text: str, places: range, runs: Sequence[range]) -> Iterator[int]:
    """Yield the index of an entry for each of these runs of a text's chunks."""
    spans = [match.span() for match in _CHUNK.finditer(text)]
    for run in runs:
        start, end = spans[run.start - places.start][0], spans[run.stop - 1 - places.start][1]
        yield memo.add(memo.analyzer.words(text[start:end]))


def _replaced(
    indices: Indices, within: range, runs: Sequence[range], instead: Iterator[int]
) -> Indices:
    """Return the indices at `within`, with one in the place of each run's."""
    parts: list[Indices] = []
    done = within.start
    for run, entry in zip(runs, instead, strict=True):
        parts += (indices[done : run.start], np.array([entry]))
        done = run.stop
    return np.concatenate((*parts, indices[done : within.stop]))
