"""What a person reads of an HTML comment, and where in the source it stands."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmod_model.serving.markup import visible


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain", "plain"),
        ("<p>a</p><p>b</p>", " a  b "),
        ("an <b>id</b>iot", "an idiot"),
        ("a<br/>b", "a b"),
        ("AT&amp;T &#105;&#x6f; &unknown; &", "AT&T io &unknown; &"),
        ("1 < 2 > 0", "1 < 2 > 0"),
        ("a <!-- b > c --> d", "a  d"),
        ("<SCRIPT>x</Script>y", "  y"),
        ("<style>x", " "),
        ("İ<title>x</title>y", "İ  y"),
        ("<b", "<b"),
        ("<!doctype html>a", "a"),
    ],
)
def test_markup_is_left_out(source, text):
    assert visible(source).text == text


@given(st.lists(st.sampled_from(["<", ">", "<b>", "<p>", "&amp;", "&", "a", "é", "<!--", "-->"])))
def test_every_character_has_a_place_in_the_source(pieces):
    source = "".join(pieces)
    text, begins, ends = visible(source)
    assert len(text) == len(begins) == len(ends)
    assert all(0 <= begin < end <= len(source) for begin, end in zip(begins, ends, strict=True))
    assert begins == sorted(begins)
    assert ends == sorted(ends)


@pytest.mark.parametrize("piece", ["<", "<!--", "< >", "<script>", "&", "<b", "<!", "</"])
def test_the_worst_markup_costs_little(piece):
    began = time.process_time()
    visible(piece * (20_480 // len(piece)))
    assert time.process_time() - began < 0.5
