"""Texts cut into pieces: nothing is lost, nothing is hidden, whatever an explanation claims."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmod_console.pages.marking import MAX_MARKERS, Segment, features, has_markers, segments


def _explained(*spans: tuple[int, int, float], offsets: str = "CodePoint") -> dict[str, object]:
    return {
        "offsets": offsets,
        "spans": [{"begin": b, "end": e, "weight": w} for b, e, w in spans],
    }


def _text(parts: tuple[Segment, ...]) -> str:
    return "".join(p.text for part in parts for p in part.pieces)


def test_spans_are_cut_by_code_points() -> None:
    found = segments("😀 bad words here", _explained((2, 5, 1.31), (12, 16, -0.4)))
    assert [(_text((p,)), p.weight, p.strength) for p in found] == [
        ("😀 ", None, 0),
        ("bad", 1.31, 4),
        (" words ", None, 0),
        ("here", -0.4, 1),
    ]
    assert found[1].signed == "+1.31"
    assert found[3].signed == "−0.40"


def test_spans_in_utf_16_units_are_cut_at_the_same_words() -> None:
    found = segments("😀 bad words", _explained((3, 6, 1.0), offsets="Utf16"))
    assert [_text((p,)) for p in found] == ["😀 ", "bad", " words"]


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("\u202e", "RLO"), ("\u2066", "LRI"), ("\u200b", "ZWSP"), ("\u200d", "ZWJ"),
        ("\u00ad", "SHY"), ("\ufeff", "BOM"), ("\x00", "U+0000"), ("\x1b", "U+001B"),
        ("\u2028", "LINE SEP"), ("\u3164", "HANGUL FILLER"), ("\U000e0041", "TAG A"),
        ("\ud800", "U+D800"), ("\x7f", "U+007F"), ("\x85", "U+0085"), ("\r", "U+000D"),
        ("\ufe0f", "VS16"), ("\ufe00", "VS1"), ("\u180b", "FVS1"), ("\u2065", "U+2065"),
        ("\ufff0", "U+FFF0"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_named(character: str, name: str) -> None:
    found = segments(f"a{character}b")
    assert has_markers(found)
    assert [(p.text, p.marker) for p in found[0].pieces] == [
        ("a", False),
        (name, True),
        ("b", False),
    ]


DEFAULT_IGNORABLE = (
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""Unicode's DerivedCoreProperties: what a font draws nothing for."""


def test_every_character_that_fonts_draw_nothing_for_is_named() -> None:
    drawn = [
        hex(code)
        for first, last in DEFAULT_IGNORABLE
        for code in range(first, last + 1)
        if not has_markers(segments(f"a{chr(code)}b"))
    ]
    assert drawn == []


@pytest.mark.parametrize(
    "text",
    [
        "plain\ttext\n", "👩‍👧‍👦", "ünïcode", "שלום", "e\u0301", "lines\r\nof a form\r\n",
        "❤️ ©️ ↔️ ‼️ 〰️ ☺︎", "1️⃣ #️⃣", "👩🏽‍⚕️", "🏳️‍🌈", "❤️‍🔥", "👁️‍🗨️", "🏴‍☠️", "🧑🏿‍❤️‍💋‍🧑🏻", "🇩🇪",
    ],
)  # fmt: skip
def test_what_can_be_seen_stays_as_it_is(text: str) -> None:
    found = segments(text)
    assert not has_markers(found)
    assert _text(found) == text


def test_long_runs_and_many_markers_are_bounded() -> None:
    found = segments("a" + "\u200b\u200c" * 5000 + "b")
    assert [p.text for p in found[0].pieces] == ["a", "ZWSP, ZWNJ × 10000", "b"]
    alternating = segments("a\u200b" * (MAX_MARKERS + 500))
    assert sum(p.marker for p in alternating[0].pieces) == MAX_MARKERS


@pytest.mark.parametrize(
    "spans",
    [None, "all", [None], [{}], [{"begin": "0", "end": 1, "weight": 1}], [{"begin": 0, "end": 1}]],
)
def test_spans_that_are_none_underline_nothing(spans: object) -> None:
    found = segments("text", {"offsets": "CodePoint", "spans": spans})
    assert [part.weight for part in found] == [None]


@pytest.mark.parametrize(
    "given",
    ["all", [None], [{}], {"a": 1}, [{"name": None, "weight": 1}], [{"name": "n", "weight": "x"}]],
)
def test_features_that_are_none_are_passed_over(given: object) -> None:
    known = {"name": "exclamation marks", "weight": -1e300}
    assert features({"features": given}) == ()
    assert features({"features": [*given, known] if isinstance(given, list) else [known]}) == (
        ("exclamation marks", -99.0),
    )


_any_text = st.text(st.characters(exclude_categories=[]), max_size=60)
_spans = st.lists(st.tuples(st.integers(-5, 70), st.integers(-5, 70), st.floats()), max_size=8)


@given(_any_text, _spans)
def test_every_character_is_shown_once(text: str, spans: list[tuple[int, int, float]]) -> None:
    """Property: the visible characters of the pieces are those of the text, in order."""
    found = segments(text, _explained(*spans))
    plain = segments(text)
    visible = "".join(p.text for s in found for p in s.pieces if not p.marker)
    assert visible == "".join(p.text for s in plain for p in s.pieces if not p.marker)
    assert not any(ord(c) in range(0x202A, 0x202F) for c in visible)
