"""Words between marks, recognised among many chunks at once.

Each chunk is 16 bytes in two integers, and an operation on those is one on eight bytes. What holds
of its bytes becomes 16 bits of a mask, one a byte, the first byte's lowest.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.packed import LONGEST, Chunks, Halves, bytes_of, shifted

_EACH: Final = np.uint64(0x0101010101010101)
_HIGH: Final = np.uint64(0x8080808080808080)
_SMALL_A: Final = _EACH * np.uint64(ord("a"))
_BEHIND_Z: Final = _EACH * np.uint64(ord("z") + 1)
_FIRST_SEEN: Final = _EACH * np.uint64(ord("!"))
_CASE: Final = np.uint64(0x2020202020202020)
_GATHER: Final = np.uint64(0x0102040810204080)
_MOST_BEFORE: Final = 3
_MOST_BEHIND: Final = 4

Mask = NDArray[np.uint64]


class Framed(NamedTuple):
    """Chunks of ASCII that are letters in a row between other characters; parallel arrays."""

    places: Indices
    """Which of the chunks looked at they are."""
    sizes: NDArray[np.int64]
    lengths: NDArray[np.int64]
    """How many letters."""
    letters: tuple[Halves, Halves]
    """The letters as `packed.integers` has them."""
    lower: tuple[Halves, Halves]
    """The same in lower case."""
    frames: NDArray[np.uint64]
    """The characters before and behind, see `Frame`."""
    begins_small: NDArray[np.bool_]
    follows_small: NDArray[np.bool_]
    """All letters but the first are small."""
    capitals: NDArray[np.bool_]
    """All letters are capitals."""
    repeats: NDArray[np.bool_]
    """A letter comes three times in a row, capital or small."""
    doubles: NDArray[np.bool_]
    """Two letters side by side come twice in a row each, capital or small."""


class Frame(NamedTuple):
    """What is around a word's letters, and what decides how it comes off them."""

    before: str
    behind: str
    begins_small: bool
    ends_small: bool
    ends_in_capitals: bool
    """Its last two letters are capitals."""

    @classmethod
    def of(cls, number: int) -> "Frame":
        """Return what a number in `Framed.frames` says."""
        data = number.to_bytes(8, "little")
        flags = data[7]
        return cls(
            data[:_MOST_BEFORE].rstrip(b"\0").decode(),
            data[_MOST_BEFORE:7].rstrip(b"\0").decode(),
            bool(flags & 1),
            bool(flags & 2),
            bool(flags & 4),
        )


def framed(chunks: Chunks, places: Indices) -> Framed:
    """Return which of the chunks at these places are words between up to three and four marks."""
    sizes = np.minimum(chunks.ends[places] - chunks.starts[places], LONGEST + 1)
    first, second = bytes_of(chunks, places, sizes)
    lower = first | _CASE, second | _CASE
    letter = _mask(*map(_is_small, lower))
    lowest = letter & (~letter + np.uint64(1))
    lengths = _count(letter)
    begins = _count(lowest - np.uint64(1))
    at = np.flatnonzero(
        (letter > 0)
        & (letter & (letter + lowest) == 0)
        & ((first | second) & _HIGH == 0)
        & (_count(_mask(_is_seen(first), _is_seen(second))) == sizes)
        & (sizes <= LONGEST)
        & (begins <= _MOST_BEFORE)
        & (sizes - begins - lengths <= _MOST_BEHIND)
    )
    first, second, letter, lowest = first[at], second[at], letter[at], lowest[at]
    sizes, lengths, begins = sizes[at], lengths[at], begins[at]
    small = _mask(_is_small(first), _is_small(second)) & letter
    begins_small = small & lowest > 0
    highest = lowest << (lengths - 1).astype(np.uint64)
    last_two = highest | (highest >> np.uint64(1)) & letter
    letters = shifted(first, second, begins, lengths)
    lower = letters[0] | _CASE, letters[1] | _CASE
    behind, _ = shifted(first, second, begins + lengths, sizes - begins - lengths)
    same = _same(*lower, lengths)
    flags = (
        begins_small.astype(np.uint64)
        | (small & highest > 0).astype(np.uint64) << np.uint64(1)
        | ((small & last_two == 0) & (lengths > 1)).astype(np.uint64) << np.uint64(2)
    )
    before = first & ((np.uint64(1) << (8 * begins).astype(np.uint64)) - np.uint64(1))
    return Framed(
        places=at,
        sizes=sizes,
        lengths=lengths,
        letters=letters,
        lower=shifted(*lower, np.zeros_like(lengths), lengths),
        frames=before | behind << np.uint64(8 * _MOST_BEFORE) | flags << np.uint64(56),
        begins_small=begins_small,
        follows_small=(small | lowest) == letter,
        capitals=small == 0,
        repeats=same & (same >> np.uint64(1)) > 0,
        doubles=same & (same >> np.uint64(2)) > 0,
    )


def _is_small(eight: Halves) -> Mask:
    """Return the high bit of each byte from a to z; of bytes of ASCII alone."""
    high = eight | _HIGH
    return (high - _SMALL_A) & ~(high - _BEHIND_Z) & _HIGH


def _is_seen(eight: Halves) -> Mask:
    """Return the high bit of each byte that is neither a space nor a control character."""
    return ((eight | _HIGH) - _FIRST_SEEN) & _HIGH


def _count(mask: Mask) -> NDArray[np.int64]:
    """Return how many bits of each mask are set."""
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(mask).astype(np.int64)
    # numpy 1, which Seldon's Python wrapper requires.
    bits = np.unpackbits(np.ascontiguousarray(mask).view(np.uint8).reshape(len(mask), 8), axis=1)
    counts: NDArray[np.int64] = bits.sum(axis=1, dtype=np.int64)
    return counts


def _mask(first: Mask, second: Mask) -> Mask:
    """Gather the high bits of 16 bytes."""
    low = ((first >> np.uint64(7)) * _GATHER) >> np.uint64(56)
    return low | (((second >> np.uint64(7)) * _GATHER) >> np.uint64(56)) << np.uint64(8)


def _same(first: Halves, second: Halves, lengths: NDArray[np.int64]) -> Mask:
    """Return which bytes of each word are the same as the next."""
    eight, rest = np.uint64(8), np.uint64(56)
    next_first, next_second = first >> eight | second << rest, second >> eight
    same = _mask(_is_zero(first ^ next_first), _is_zero(second ^ next_second))
    return same & ((np.uint64(1) << (lengths - 1).astype(np.uint64)) - np.uint64(1))


def _is_zero(eight: Halves) -> Mask:
    """Return the high bit of each byte that is 0; bytes of ASCII alone."""
    return ~(eight + _EACH * np.uint64(0x7F)) & _HIGH
