"""Positions in a cleaned text, led back to the text as it was sent."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from textmod_model.text import alignment
from textmod_model.text.alignment import Alignment, Edits
from textmod_model.text.cleaning import tidy
from textmod_model.text.evasion import LONGEST_TEXT, undisguise
from textmod_model.training import dataset

DATA = Path(__file__).parents[2].parent / "shared" / "data"

PIECES = r"""&gt; &amp;lt; &amp;amp;lt; &nbsp; &#39; &#x41; &#x41 &gtfoo &notit; &fjlig; &nvlt;
&#99999999; &#0; &#45;&#45; <U+2019> <u+0020> <U+110000> &lt;U+0041&gt; -- --- ]( [a](http://x.y)
\ \_ a\](b â€™ Ã© Ã¤ é ü 😀 שלום مرحبا i-d-i-o-t 1d10t s.t.u.p.i.d 𝐢𝐝𝐢𝐨𝐭 ѕtupid ｉｄｉｏｔ ⓘ F U C K
TTTHHH you stupid idiot the and & ; # < > -"""
# What no editor shows, or shows as it is.
UNSEEN = (
    "\x85", "\x92", "\xad", "\u200b", "\ufeff", "\ud83d", "\ude00", "\ud83d\ude00", "\0",
    "a\u0301\u0316", "👩\u200d👩\u200d👧", "\u202eabc", "\u202eab\u202c", "\u202edcba\u202cx",
)  # fmt: skip
pieces = st.sampled_from([*PIECES.split(), *UNSEEN])
sent_texts = st.one_of(
    st.lists(st.one_of(pieces, st.sampled_from([" ", "\n", "\u3000", "\u200d"])), max_size=25).map(
        "".join
    ),
    st.lists(pieces, max_size=25).map(" ".join),
    st.text(),
    st.text(st.characters(), max_size=40),  # lone surrogates too
)


def undisguised(text: str) -> Alignment:
    found = alignment.tidied(text)
    alignment.undisguise(found)
    return found


@pytest.fixture(scope="module")
def comments() -> list[str]:
    path = DATA / "reddit_science_comments.csv"
    if not path.exists():
        pytest.skip("the real comments are not here")
    return dataset.read(path).texts


def check(found: Alignment, text: str) -> None:
    """Every character comes from inside the text, and later ones from no earlier place.

    A space that cleaning put between two characters has an empty span.
    """
    spans = [found.source(at, at + 1) for at in range(len(found.text))]
    assert all(0 <= span.begin <= span.end <= len(text) for span in spans)
    assert all(one.begin <= two.begin and one.end <= two.end for one, two in pairwise(spans)), spans
    chunks = [found.source(*match.span()) for match in re.finditer(r"\S+", found.text)]
    assert all(span.begin < span.end for span in chunks)
    if spans:
        assert found.source(0, len(found.text)) == (spans[0].begin, spans[-1].end)


@given(sent_texts)
@example("\u202edcba dlo\u202c")
@example("\ud83d\ude00")
@example("/\\\\|\\|d th/\\t |\\/|oro|\\| and\\/or \\\\\\/")
@example("<!-- -->i<!-- a b -->d<!---->i<!-->o<!-- x -->t<!-- y --> &lt;!-- z -- > <!--")
@settings(max_examples=500)
def test_the_steps_make_the_same_text_and_lead_back(text: str) -> None:
    found = alignment.tidied(text)
    assert found.text == tidy(text)
    check(found, text)
    alignment.undisguise(found)
    assert found.text == undisguise(tidy(text))
    check(found, text)


def test_the_steps_make_the_same_texts_of_real_comments(comments: list[str]) -> None:
    for text in comments:
        found = alignment.tidied(text)
        assert found.text == tidy(text)
        alignment.undisguise(found)
        assert found.text == undisguise(tidy(text))


@pytest.mark.parametrize(
    ("sent", "scored", "said"),
    [
        pytest.param("so &gt;that&amp;lt; is", ">that<", "&gt;that&amp;lt;", id="entities"),
        pytest.param("don<U+2019>t you", "don’t", "don<U+2019>t", id="escape"),
        pytest.param("donâ€™t you", "don’t", "donâ€™t", id="read as Windows-1252"),
        pytest.param("a well--known one", "known", "known", id="dashes"),
        pytest.param("a well--known one", "-", "--", id="dash"),
        pytest.param("see [this](http://a.b) now", "(http://a.b)", "(http://a.b)", id="link"),
        pytest.param("see [this](http://a.b) now", "[this]", "[this]", id="words of a link"),
        pytest.param(r"it \_is\_ so", "_is_", r"_is\_", id="backslashes"),
        pytest.param("a id\u200biot b", "idiot", "id\u200biot", id="invisible"),
        pytest.param("a \ud83d\ude00 b", "😀", "\ud83d\ude00", id="surrogates"),
        pytest.param("an id<!-- -->iot b", "idiot", "id<!-- -->iot", id="comment"),
        pytest.param("&nbsp;&nbsp;yes", "yes", "yes", id="white space"),
    ],
)
def test_a_word_of_the_clean_text_is_found_in_the_one_sent(
    sent: str, scored: str, said: str
) -> None:
    found = alignment.tidied(sent)
    begin = found.text.index(scored)
    span = found.source(begin, begin + len(scored))
    assert sent[span.begin : span.end] == said


@pytest.mark.parametrize(
    ("sent", "read", "said"),
    [
        pytest.param("you i-d-i-o-t, really", "idiot,", "i-d-i-o-t,", id="hyphens"),
        pytest.param("so s\u200dt\u200du\u200dpid, 𝐢𝐝iot", "idiot", "𝐢𝐝iot", id="styles"),
        pytest.param("you are an &#105;d10t", "idiot", "&#105;d10t", id="entity and signs"),
        pytest.param("y o u a r e s t u p i d", "stupid", "s t u p i d", id="set apart"),
        pytest.param("you stuuuuuupid", "stupid", "stuuuuuupid", id="repeats"),
        pytest.param("yyoouu ssttuuppiidd", "stupid", "ssttuuppiidd", id="doubles"),
        pytest.param("yoouu arree sttuppiid", "stupid", "sttuppiid", id="some doubles"),
    ],
)
def test_a_disguised_word_is_found_in_the_text_sent(sent: str, read: str, said: str) -> None:
    found = undisguised(sent)
    begin = found.text.index(read)
    span = found.source(begin, begin + len(read))
    assert sent[span.begin : span.end] == said


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    text = "1d10t " * (LONGEST_TEXT // 6 + 100)
    found = undisguised(text)
    assert found.text == undisguise(text)
    assert found.source(len(found.text) - 6, len(found.text) - 1) == (len(text) - 6, len(text) - 1)


def test_edits_of_no_length_keep_what_is_beside_them_apart() -> None:
    edits = Edits()
    edits.add(1, 3, 0)  # a[bc]d → ad
    edits.add(4, 4, 1)  # ad → ad+
    assert edits.source(0, 1) == (0, 1)
    assert edits.source(1, 2) == (3, 4)
    assert edits.source(0, 2) == (0, 4)


@pytest.mark.parametrize("piece", ["&amp;lt; ", "<U+2019>", "--", "\\a", "Ã© ", "i-d ", "(((("])
def test_the_cost_is_linear(piece: str) -> None:
    text = piece * (2**18 // len(piece))
    found = alignment.tidied(text)
    assert found.text == tidy(text)
    for match in re.finditer(r"\S+", found.text):
        found.source(*match.span())


def test_a_text_that_needs_no_cleaning_has_no_steps() -> None:
    recorded: Callable[[str], int] = lambda text: len(alignment.tidied(text)._steps)  # noqa: E731
    assert recorded("plain words, nothing else") == 0
    assert recorded("one &gt; step") == 1
