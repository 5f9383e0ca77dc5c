import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from textmod_model.text import alignment
from textmod_model.text import cleaning as text
from textmod_model.text.cleaning import MAX_CHUNK, clean, pieces, tidy, word
from textmod_model.text.evasion import is_suspect, undisguise

# Any str there is, lone surrogates included, and the marks that cleaning looks for.
ANY_TEXT = st.one_of(
    st.text(st.characters()),
    st.text(st.sampled_from("ab &#;<>U+xX0123456789[]()\\-\0\r\n\ud83d\ude00é\u200b")),
    st.lists(
        st.sampled_from(
            ["&amp;", "&amp;gt;", "&#", "&#x", "1" * 50, "<U+2019>", "](", "[a](", "--", "\ud800"]
        )
    ).map("".join),
)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        pytest.param("plain words, kept", "plain words, kept", id="nothing to do"),
        pytest.param("a &lt; b &amp; c", "a < b & c", id="entities"),
        pytest.param("&amp;amp;gt; quote", "> quote", id="nested entities"),
        pytest.param("&#39;quoted&#x27;", "'quoted'", id="numeric entities"),
        pytest.param("don<U+2019>t", "don’t", id="escaped character"),
        pytest.param("<u+1F600>", "😀", id="escaped emoji"),
        pytest.param("<U+FFFFFF>", "\ufffd", id="escape beyond Unicode"),
        pytest.param("<U+D83D><U+DE00>", "😀", id="escaped surrogate pair"),
        pytest.param("cafÃ©", "café", id="UTF-8 read as Latin-1"),
        pytest.param("itâ€™s", "it’s", id="UTF-8 read as Windows-1252"),
        pytest.param("it\x92s", "it’s", id="C1 control meant as Windows-1252"),
        pytest.param("nai\u0308ve", "naïve", id="combining mark composed"),
        pytest.param("שלום مرحبا", "שלום مرحبا", id="right to left kept"),
        pytest.param("科学 です", "科学 です", id="CJK kept"),
        pytest.param("😀", "😀", id="emoji kept"),
        pytest.param("\ud83d\ude00", "😀", id="surrogate pair joined"),
        pytest.param("a\ud83db", "a\ufffdb", id="lone surrogate replaced"),
        pytest.param("vi\0ag\u200bra", "viagra", id="NUL and zero width removed"),
        pytest.param("this--that", "this - that", id="dashes"),
        pytest.param("[text](http://x.y)", "[text] (http://x.y)", id="Markdown link"),
        pytest.param("[text](http://x.y", "[text] (http://x.y", id="broken Markdown link"),
        pytest.param(r"\*not bold\*", "*not bold*", id="Markdown escapes"),
        pytest.param("", "", id="empty"),
    ],
)
def test_clean(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned
    # A new step of `tidy` has a case here, and explanations need it in `alignment` too.
    assert alignment.tidied(raw).text == tidy(raw)


@given(ANY_TEXT)
@example("&#" + "9" * 5000 + ";")  # more digits than int() takes
@example("&#x" + "f" * 5000 + ";")
def test_clean_never_raises_and_its_result_is_bounded_utf8(raw: str) -> None:
    cleaned = clean(raw)
    cleaned.encode("utf-8")
    assert "\0" not in cleaned
    assert all(len(chunk) <= MAX_CHUNK for chunk in cleaned.split())


@given(ANY_TEXT)
def test_clean_is_tidy_with_long_chunks_cut(raw: str) -> None:
    tidied = tidy(raw)
    assert alignment.tidied(raw).text == tidied
    read = undisguise(tidied) if is_suspect(tidied) else tidied
    for source, cleaned in ((read, clean(raw)), (tidied, clean(raw, undisguises=False))):
        assert cleaned.split() == [piece for chunk in source.split() for piece in pieces(chunk)]


@given(
    st.one_of(ANY_TEXT, st.text(st.sampled_from("aâ€™é’\x92\xad\u200b\u2060\ufeff\ud83d\ude00 ")))
)
def test_characters_that_need_no_repair_are_told_from_those_that_do(raw: str) -> None:
    repaired = text.INVISIBLE.sub("", text._repair_encoding(raw))
    assert raw.isascii() or text._repair_characters(raw) == repaired


def test_a_megabyte_of_one_character_becomes_chunks_of_bounded_length() -> None:
    cleaned = clean("(" * 2**20)
    assert cleaned.replace(" ", "") == "(" * 2**20
    assert set(map(len, cleaned.split())) == {MAX_CHUNK}


def test_the_expressions_have_no_nested_repeats() -> None:
    """What makes a regular expression super-linear: a repeat within a repeat, or two in a row."""
    sources = [value.pattern for value in vars(text).values() if isinstance(value, re.Pattern)]
    assert len(sources) == 5
    for source in sources:
        repeats = re.findall(r"(?<!\\)[*+]|\{\d+,\d*\}", source)
        assert len(repeats) <= 1, source


@pytest.mark.parametrize(
    ("lemma", "expected"), [("Word", "word"), ("!", ""), ("...", "..."), ("\n", ""), ("—", "—")]
)
def test_word(lemma: str, expected: str) -> None:
    assert word(lemma) == expected
