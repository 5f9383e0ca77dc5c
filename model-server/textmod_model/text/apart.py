"""Letters that were set apart by white space: which of them make words.

The pieces of a text are taken as they are or joined with their neighbours, whichever is likelier by
the frequencies of words (a shortest path). A join must take in a piece that is no word.
"""

import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from textmod_model.text.draft import Draft
from textmod_model.text.letters import look
from textmod_model.text.vocabulary import LONGEST_WORD, cost, cost_of_unknown, is_word, letters_of

_GAP: Final = re.compile(r"\s+")
_PLAIN: Final = frozenset(string.ascii_letters + ".,!?;:\"'()[]*_-")
_PIECE: Final = re.compile(r"([^\w'’]*)(['’]?[A-Za-z]+(?:['’][A-Za-z]*)?)([^\w'’]*)")
_MARKS_BEHIND: Final = frozenset(".,!?;:")
LONGEST_FRAGMENT: Final = 4
_FEWEST: Final = 2
_SEVERAL: Final = 3
_MANY: Final = 0.1
_MOSTLY: Final = 0.4
_ALSO: Final = 0.25
_MOST_PIECES: Final = 22
_CLEARLY: Final = 1.2
"""How many times as many gaps must be closed if gaps of every width may be."""
_LINE_END: Final = "\r\n"
_NARROW: Final = "\u2009"
"""Replaces a mark with white space while letters are joined."""
_TURN_MARKS: Final = "._|*~/+=-"
_MARK_BEHIND: Final = re.compile(rf"(?<=[A-Za-z])[{re.escape(_TURN_MARKS)}](?=[A-Za-z\s]|$)")
"""Behind a letter and before another one, white space or the end."""
_GAP_OR_MARK: Final = re.compile(rf"{_MARK_BEHIND.pattern}\s*|\s+")
_FRAGMENT_AND_MARK: Final = re.compile(
    r"(?<![^\W\d_])([A-Za-z]{1,4})(\s{0,3}[^\w\s'’]{1,3}\s)(?=\s*[A-Za-z])"
)


def is_fragment(chunk: str) -> bool:
    """Tell whether a chunk is a few letters that are no word."""
    if len(chunk) > LONGEST_FRAGMENT + 2:
        return False
    letters = chunk.strip(".,!?;:\"'()[]*_")
    if not letters.isascii() or not letters.isalpha() or len(letters) > LONGEST_FRAGMENT:
        return False
    if len(letters) > 1 and letters.isupper():
        return False
    return not is_word(letters.lower())


def join(draft: Draft) -> None:
    """Join what was set apart in a draft."""
    starts = _closed(draft.text)
    if (marked := _marked_gap(draft.text)) is not None:
        trial = marked.sub(_NARROW, draft.text)
        closed = _closed(trial)
        if len(closed) > len(starts):
            starts = closed
            draft.sub(marked, lambda _: _NARROW)
    if starts:
        draft.sub(_GAP, lambda match: "" if match.start() in starts else match[0])


def join_disguised(draft: Draft) -> None:
    """Join what was set apart in a draft whose pieces have other characters for letters, too.

    Only gaps are closed: which letters are meant is easier to tell of whole words.
    """
    others = {one for one in set(draft.text) if not (one.isspace() or one in _PLAIN)}
    seen = {ord(one): letter for one in others if (letter := look(one)) != one}
    if not seen:
        return
    trial = draft.text.translate(seen)
    chunks = trial.split()
    if sum(map(is_fragment, chunks)) >= _MOSTLY * len(chunks) and (starts := _closed(trial)):
        draft.sub(_GAP, lambda match: "" if match.start() in starts else match[0])


def join_by_turns(draft: Draft) -> None:
    """Join letters behind which are white space and marks by turns.

    Either alone is read with less: marks as part of a word, white space by `join`.
    """
    marks = _MARK_BEHIND.findall(draft.text)
    if len(marks) < _SEVERAL or len(marks) < _ALSO * len(draft.text.split()):
        return
    trial = _MARK_BEHIND.sub(_NARROW, draft.text)
    chunks = trial.split()
    if sum(map(is_fragment, chunks)) < _MOSTLY * len(chunks):
        return
    starts = _closed(trial)
    spaces = sum(draft.text[start].isspace() for start in starts)
    if spaces >= _SEVERAL and spaces >= _ALSO * len(starts):
        draft.sub(_GAP_OR_MARK, lambda match: "" if match.start() in starts else _gap(match))


def _gap(match: re.Match[str]) -> str:
    """Return what is left of white space and marks by turns between two words."""
    mark, spaces = match[0][0], match[0].lstrip(_TURN_MARKS)
    after = match.string[match.end() : match.end() + 1]
    ends = mark in _MARKS_BEHIND and not after.islower()
    return mark + spaces if ends or not spaces else spaces


def _marked_gap(text: str) -> re.Pattern[str] | None:
    """Return what finds the mark with white space that is mostly behind a text's fragments."""
    found = Counter(
        match[2]
        for match in _FRAGMENT_AND_MARK.finditer(text)
        if len(match[1]) == 1 or not is_word(match[1].lower())
    )
    for gap, count in found.most_common(1):
        if count >= max(_SEVERAL, _MANY * len(text.split())):
            return re.compile(f"(?<=[A-Za-z]){re.escape(gap)}")
    return None


def _closed(text: str) -> set[int]:
    """Return the beginnings of the gaps within words."""
    chunks = text.split()
    different = set(chunks)
    fragments = set(filter(is_fragment, different))
    odd = [chunk in fragments for chunk in chunks]
    if sum(odd) < _FEWEST:
        return set()
    gaps = [match.span() for match in _GAP.finditer(text)][text[0].isspace() :]
    spaces = [text[start:end] for start, end in gaps[: len(chunks) - 1]]
    mostly = sum(odd) >= _MOSTLY * len(chunks)
    piece_of = {chunk: _piece(chunk) for chunk in different}
    pieces = [piece_of[chunk] for chunk in chunks]
    closed: list[int] = []
    is_open: list[bool] = []
    for usual in _open_gaps(spaces, odd):
        may_be_open = [space in usual for space in spaces]
        found = _closed_of(pieces, odd, may_be_open, mostly=mostly)
        if len(found) > len(closed):
            closed, is_open = found, may_be_open
    all_open = [True] * len(spaces)
    if mostly and is_open != all_open:  # gaps between words may be no wider than those within
        found = _closed_of(pieces, odd, all_open, mostly=True)
        if len(found) > _CLEARLY * len(closed):
            closed, is_open = found, all_open
    if len(closed) < _SEVERAL:
        return set()
    if len(closed) < _MANY * len(chunks) and not all(len(chunks[at]) == 1 for at in closed):
        return set()
    if mostly:  # marks are set apart from words as letters are
        closed += (
            at
            for at, gap in enumerate(is_open)
            if gap and not pieces[at + 1].letters and chunks[at + 1][0] in _MARKS_BEHIND
        )
    return {gaps[at][0] for at in closed}


def _closed_of(
    pieces: Sequence["_Piece"], odd: list[bool], is_open: Sequence[bool], *, mostly: bool
) -> list[int]:
    """Return which gaps are closed if these may be."""
    closed: list[int] = []
    for begin, end in _runs(pieces, is_open):
        if any(odd[begin:end]):
            parts = [piece.letters for piece in pieces[begin:end]]
            closed += (begin + at for at in _joins(parts, odd[begin:end], mostly=mostly))
    return closed


class _Piece(NamedTuple):
    before: str
    letters: str
    behind: str


def _piece(chunk: str) -> _Piece:
    """Part a chunk into letters and the marks around them; no letters if it is anything else."""
    match = _PIECE.fullmatch(chunk) if len(chunk) <= LONGEST_WORD else None
    return _Piece(*match.groups()) if match else _Piece(chunk, "", "")


def _runs(pieces: Sequence[_Piece], is_open: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Yield begin and end of pieces with only open gaps between them."""
    begin = 0
    for at, piece in enumerate(pieces):
        goes_on = (
            at + 1 < len(pieces)
            and is_open[at]
            and piece.letters
            and not piece.behind
            and pieces[at + 1].letters
            and not pieces[at + 1].before
        )
        if not goes_on:
            yield begin, at + 1
            begin = at + 1


def _open_gaps(spaces: list[str], odd: list[bool]) -> Iterator[AbstractSet[str]]:
    """Yield the white space that words may contain: single characters, unusual ones first.

    Longer gaps that are frequent follow, one by one.
    """
    near = Counter(space for at, space in enumerate(spaces) if odd[at] or odd[at + 1])
    single = {space for space in near if len(space) == 1 or space == _LINE_END}
    if single:
        unusual = single - {" "}
        is_unusual = sum(near[space] for space in unusual) >= _ALSO * near.total()
        yield unusual if is_unusual else single
    for space, count in near.most_common(_SEVERAL):
        if space not in single and (not single or count >= _ALSO * near.total()):
            yield {space}


def _usual_capitals(word: str) -> bool:
    return word.isupper() or not any(map(str.isupper, word[1:]))


def _joins(parts: list[str], odd: list[bool], *, mostly: bool) -> list[int]:
    """Return which gaps between pieces are closed on the likeliest way."""
    size = len(parts)
    best = [0.0] + [float("inf")] * size
    come_from = [0] * (size + 1)
    single_costs = [cost(letters_of(part)) for part in parts]
    for start in range(size):
        if (total := best[start] + single_costs[start]) < best[start + 1]:
            best[start + 1], come_from[start + 1] = total, start
        joined, any_odd, singles = parts[start], odd[start], len(parts[start]) == 1
        for end in range(start + 2, min(start + _MOST_PIECES, size) + 1):
            part = parts[end - 1]
            joined += part
            if len(joined) > LONGEST_WORD:
                break
            any_odd = any_odd or odd[end - 1]
            singles = singles and len(part) == 1
            if not (any_odd or mostly):
                continue
            letters = joined.lower() if joined.isalpha() else letters_of(joined)
            known = is_word(letters)
            if not (known or (mostly and singles)):
                continue
            if not mostly and not _usual_capitals(joined):
                continue
            total = best[start] + (cost(letters) if known else cost_of_unknown(len(letters)))
            if total < best[end]:
                best[end], come_from[end] = total, start
    closed: list[int] = []
    end = size
    while end:
        start = come_from[end]
        closed += range(start, end - 1)
        end = start
    return closed
