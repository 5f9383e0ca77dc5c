"""The tokenizer without spaCy against spaCy itself."""

import os
import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokenizer import Tokenizer

from textmod_model import pipeline
from textmod_model.text.chunks import ChunkTokenizer
from textmod_model.text.rules import Rules
from textmod_model.training.compiler import spacy_rules

# What spaCy's rules are about, so that random strings meet them.
ATOMS = [
    *string.ascii_letters, *string.digits, *string.punctuation, *"’‘“”…—–·°£€²µ、。「」§😀é科ю",
    "'s", "’S", "n't", "'ll", "...", "..", "--", "://", "http://", "https://", "www.", ".com",
    ".co.uk", "@", "km/h", "US$", "C$", "e.g.", "i.e.", "a.m.", "p.m.", "Dr.", "Mr.", "U.S.",
    ":)", ":-(", "<3", "O.o", "¯\\(ツ)/¯", "don't", "cannot", "gonna", "I'm", "10", "1,000", "5km",
    "well", "known", "The", "NASA", "AA", "Aa", "^_^", "(*_*)", "v.v.", "\u0301", "\ufffd",
]  # fmt: skip
# Words between marks: words of special cases and parts of them too.
WORDS = [
    "the", "well", "known", "NASA", "A", "I", "Mr", "Dr", "eg", "don", "dont", "cant",
    "ll", "em", "s", "S", "d", "D", "o", "O", "x", "xD", "km", "h", "ca", "nt", "gonna",
    "ve", "re", "Jan", "a", "m", "p", "US", "U", "Ph", "vs", "Inc", "neutral", "quicklyX",
    "XYZ", "Xy", "XX", "E", "http", "mailto", "km2", "DC10", "X3", "D3", "covid19",
]  # fmt: skip
# Numbers, those of special cases too, and parts of addresses.
NUMBERS = [
    "0", "1", "3", "8", "10", "12", "33", "65", "77", "255", "1990", "2005", "1,000", "0.3",
    "7:45", "9/10", "93.184.216.34", "10.0.0.1", "5km", "4km²", "5mbar", "9km/h", "100k", "1970s",
]  # fmt: skip
MARKS_BEFORE = "([{\"'“‘*_<>#~$"
MARKS_BEHIND = "%,.!?:;)]}\"'”’*_>+$"
WHITE_SPACE = [" ", " ", " ", "  ", "\n", "\r\n", "\t", "\xa0", " \n ", "\u2003", "\x1c"]

chunks = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=8).map("".join)
characters = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def spacy_tokenizer() -> Tokenizer:
    return pipeline.language(pipeline.BLANK_ENGLISH).tokenizer


@pytest.fixture(scope="module")
def tokenizer(spacy_tokenizer: Tokenizer) -> ChunkTokenizer:
    return ChunkTokenizer(Rules.from_json(spacy_rules(spacy_tokenizer).to_json()))


def check_chunk(tokenizer: ChunkTokenizer, spacy_tokenizer: Tokenizer, chunk: str) -> None:
    expected = spacy_tokenizer(chunk)
    assert list(tokenizer.chunk(chunk).tokens) == [token.text for token in expected], chunk
    for token in expected:
        assert tokenizer.like_url(token.text) == token.like_url, token.text


def spacy_words(spacy_tokenizer: Tokenizer, text: str) -> list[str]:
    return [token.text for token in spacy_tokenizer(text) if not token.is_space]


@given(chunks | characters)
@settings(max_examples=500)
def test_a_chunk_has_the_tokens_that_spacy_finds(
    tokenizer: ChunkTokenizer, spacy_tokenizer: Tokenizer, chunk: str
) -> None:
    if not any(map(str.isspace, chunk)):
        check_chunk(tokenizer, spacy_tokenizer, chunk)


def framed(draw: random.Random) -> str:
    """Words or numbers between marks."""
    before = draw.choices(MARKS_BEFORE, k=draw.choice((0, 0, 1, 1, 2, 3)))
    words = draw.choices(draw.choice((WORDS, NUMBERS)), k=draw.choice((1, 1, 1, 2, 3)))
    joined = "".join(word + draw.choice("--//.,:") for word in words)[:-1]
    genitive = draw.choice(("", "", "", "'s", "’s", "'S", "’S"))
    behind = draw.choices(MARKS_BEHIND, k=draw.choice((0, 0, 1, 1, 2, 3)))
    return "".join([*before, joined, genitive, *behind])


def test_words_between_marks_are_split_as_spacy_does(
    tokenizer: ChunkTokenizer, spacy_tokenizer: Tokenizer
) -> None:
    draw = random.Random(7)  # noqa: S311  # a repeatable test
    for _ in range(10_000):
        check_chunk(tokenizer, spacy_tokenizer, framed(draw))


@pytest.mark.parametrize(
    "chunk", ["93.184.216.34/55-66", "93.184.216.34:80/55-66,", "93.184.216.34-55", "8.8.4.4.",
              "2017-01-22.", "17:45-18:30", "$250,000-$300,000", "44%-55%)."]
)  # fmt: skip
def test_numbers_and_addresses_are_told_apart_as_spacy_does(
    tokenizer: ChunkTokenizer, spacy_tokenizer: Tokenizer, chunk: str
) -> None:
    check_chunk(tokenizer, spacy_tokenizer, chunk)


def test_every_special_case_is_split_as_spacy_does(
    tokenizer: ChunkTokenizer, spacy_tokenizer: Tokenizer
) -> None:
    for case in spacy_tokenizer.rules:
        if not case.isspace():
            for chunk in (case, f"{case}.", f"({case})", f"x{case}", f'"{case}",', case + case):
                check_chunk(tokenizer, spacy_tokenizer, chunk)


@given(st.lists(st.tuples(chunks, st.sampled_from(WHITE_SPACE)), max_size=8))
@settings(max_examples=500)
def test_a_text_has_the_tokens_that_spacy_finds(
    tokenizer: ChunkTokenizer, spacy_tokenizer: Tokenizer, parts: list[tuple[str, str]]
) -> None:
    text = "".join(chunk + space for chunk, space in parts)
    assert tokenizer.text(text) == spacy_words(spacy_tokenizer, text)


@given(st.lists(chunks, min_size=1, max_size=6))
@settings(max_examples=500)
def test_a_chunk_keeps_its_tokens_among_others_unless_it_depends_on_them(
    tokenizer: ChunkTokenizer, spacy_tokenizer: Tokenizer, parts: list[str]
) -> None:
    check_row(tokenizer, spacy_tokenizer, parts)


def check_row(tokenizer: ChunkTokenizer, spacy_tokenizer: Tokenizer, parts: list[str]) -> bool:
    """Check a row of chunks; tell whether one of them may depend on its neighbours."""
    alone = [tokenizer.chunk(chunk) for chunk in parts]
    whole = range(len(parts))
    runs = {tokenizer.tokenized_with(parts, at, whole) for at in whole if alone[at].fragile} - {
        range(at, at + 1) for at in whole
    }
    tokens: list[str] = []
    for at in whole:
        [run] = [run for run in runs if at in run] or [range(at, at + 1)]
        if len(run) == 1:
            tokens += alone[at].tokens
        elif at == run.start:
            tokens += tokenizer.text(" ".join(parts[run.start : run.stop]))
    assert tokens == spacy_words(spacy_tokenizer, " ".join(parts)), parts
    return bool(runs)


def test_a_neighbour_can_change_a_chunk(
    tokenizer: ChunkTokenizer, spacy_tokenizer: Tokenizer
) -> None:
    """Why chunks are not always on their own: ``):`` is one token, before ``((`` it is two."""
    assert spacy_words(spacy_tokenizer, "x): y") == ["x", "):", "y"]
    assert spacy_words(spacy_tokenizer, "x): ((") == ["x", ")", ":", "(", "("]
    assert tokenizer.chunk("x):").fragile
    assert tokenizer.tokenized_with(["a", "x):", "y"], 1, range(3)) == range(1, 2)
    assert tokenizer.tokenized_with(["a", "x):", "((", "b"], 1, range(4)) == range(1, 3)
    assert tokenizer.tokenized_with(["a", "x):", "((", "b"], 1, range(2)) == range(1, 2)
    assert tokenizer.tokenized_with(["a", "x):", "y" * 129], 1, range(3)) == range(1, 3)


@pytest.mark.slow
def test_millions_of_chunks_have_the_tokens_that_spacy_finds(
    tokenizer: ChunkTokenizer, spacy_tokenizer: Tokenizer
) -> None:
    """TEXTMOD_CHUNKS chunks (default: a million), and as many in rows."""
    draw = random.Random(20261123)  # noqa: S311  # a repeatable test
    total = int(os.environ.get("TEXTMOD_CHUNKS", "1000000"))
    rows = 0
    for _ in range(total // 5):
        parts = ["".join(draw.choices(ATOMS, k=draw.randint(1, 7))) for _ in range(3)]
        parts += [framed(draw), framed(draw)]
        draw.shuffle(parts)
        for chunk in parts:
            check_chunk(tokenizer, spacy_tokenizer, chunk)
        rows += not check_row(tokenizer, spacy_tokenizer, parts)
    assert rows > total // 10
