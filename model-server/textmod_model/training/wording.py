"""What a report calls a model's features: as a person would say them."""

from typing import Final

from textmod_model.text.cleaning import FIRST_WORD, LAST_WORD, URL_WORD
from textmod_model.training.files import printable

MARKS_SAID: Final = {
    "long": "long words", "short": "short words", "capital": "capitalized words",
    "shouted": "words in capitals", "address": "addresses", "digit": "words with digits",
    "not ASCII": "words beyond ASCII", "bracket": "square brackets",
    "list or quote": "list or quotation signs", "opens quotation": "opening quotation marks",
    "ends ?": "question marks at the end", "ends !": "exclamation marks at the end",
    "ends .": "full stops at the end", "ends ,": "commas at the end",
    "I": "“I”, “me”, “my”", "you": "“you”, “we”, “they”", "length": "length",
}  # fmt: skip
"""Of a word's marks, `text.features.MARKS`."""
_LONGEST: Final = 40  # characters of a name beside a plot
_SHARE: Final = " / root of length"
_COUNT: Final = "log of "
_SQUARED: Final = ", squared"


def mark(name: str) -> str:
    """Return the mark that a feature of the shape counts; another feature's name as it is."""
    return name.removesuffix(_SHARE).removeprefix(_COUNT).removesuffix(_SQUARED)


def said(name: str) -> str:
    """Return a feature's name as a person would say it.

    Takes the names of `pipeline.coefficients`.
    """
    shown = printable(_name(name), _LONGEST + 1)
    return shown[:_LONGEST] + "…" if len(shown) > _LONGEST else shown


def _name(name: str) -> str:
    if name.endswith(_SHARE):
        return f"share of {MARKS_SAID.get(mark(name), mark(name))}"
    if name.startswith(_COUNT):
        found = MARKS_SAID.get(mark(name), mark(name))
        return f"{found}, squared" if name.endswith(_SQUARED) else found
    if name.startswith(("at most ", "over ")) and name.endswith(" chunks"):
        return name.replace("over", "more than").replace("chunks", "words")
    if name.startswith("…") and name.endswith("…"):
        letters = name[1:-1].replace(" ", "␣")
        return f"letters “{letters}”"
    return _words(name.split(" "))


def _words(words: list[str]) -> str:
    """Name an n-gram of words; the edges of a text and addresses are no words of it."""
    first, last = words[0] == FIRST_WORD, words[-1] == LAST_WORD
    inner = words[first : len(words) - last]
    shown = " ".join("[address]" if word == URL_WORD else word for word in inner)
    shown = "an address" if shown == "[address]" else f"“{shown}”"
    if not inner:
        return "an empty text"
    if first and last:
        return f"nothing but {shown}"
    return f"{shown} first" if first else f"{shown} last" if last else shown
