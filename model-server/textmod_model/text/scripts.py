"""Letters of other scripts in a text of Latin: those that words of both scripts have.

What `readings` makes no word of, because it was set apart too or is a name, is still written in
letters that look like Latin ones.
"""

import re
from collections.abc import Iterable
from typing import Final

from textmod_model.text.draft import Draft
from textmod_model.text.letters import options

_CHUNK: Final = re.compile(r"\S+")
_LATIN: Final = re.compile("[A-Za-z]")
_FEWEST: Final = 3
"""Words of both scripts."""


def to_latin(draft: Draft) -> None:
    """Write letters that words of both scripts have as what they look like, in such words alone.

    A word with another letter of its script stays as it is.
    """
    if draft.text.isascii():
        return
    beyond = {chunk for chunk in draft.text.split() if not chunk.isascii()}
    mixed = [chunk for chunk in beyond if _LATIN.search(chunk) and _letters(chunk)]
    if len(mixed) < _FEWEST:
        return
    latin = {
        letter: looks[0]
        for letter in set("".join(map(_letters, mixed)))
        if (looks := options(letter)[0])[0].isascii()
    }
    instead = str.maketrans(latin)
    read = {
        chunk: chunk.translate(instead)
        for chunk in beyond
        if (letters := _letters(chunk)) and latin.keys() >= set(letters)
    }
    if read:
        draft.sub(_CHUNK, lambda match: read.get(match[0], match[0]))


def _letters(chunk: Iterable[str]) -> str:
    """Return the letters of other scripts that look like Latin ones."""
    return "".join(
        character
        for character in chunk
        if not character.isascii() and character.isalpha() and options(character)[1] != "accents"
    )
