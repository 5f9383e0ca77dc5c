import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from textmod_model.text import features


@given(st.lists(st.text(st.characters(exclude_categories=["Z", "Cc", "Cs"]), min_size=1)))
def test_grams_are_those_of_scikit_learns_char_wb(chunks: list[str]) -> None:
    """But one: scikit-learn counts a chunk shorter than the n-gram once, we not at all."""
    text = " ".join(chunks).lower()
    reference = CountVectorizer(analyzer="char_wb", ngram_range=(3, 4)).build_analyzer()
    expected = [gram for gram in reference(text) if len(gram) >= 3]
    ours = features.grams_of_text(text)
    assert sorted(set(ours)) == sorted(set(expected))


@pytest.mark.parametrize(
    ("chunk", "marks"),
    [
        ("word", []),
        ("a", ["short"]),
        ("Interesting", ["long", "capital"]),
        ("NASA", ["shouted"]),
        ("really?", ["ends ?"]),
        ("I", ["short", "capital", "I"]),
        ("your", ["you"]),
        ("http://a.b/1", ["long", "address"]),
        ("10%", ["short", "digit"]),
        (">quote", ["list or quote"]),
        ("[removed]", ["long", "bracket"]),
        ("“so", ["short", "opens quotation", "not ASCII"]),
    ],
)
def test_marks(chunk: str, marks: list[str]) -> None:
    assert sorted(features.MARKS[mark] for mark in features.marks(chunk)) == sorted(marks)
