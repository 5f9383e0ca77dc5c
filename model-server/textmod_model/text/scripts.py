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
_FEW: Final = 2
# Formulas and names have Greek letters beside Latin ones (Δt, μm), and no others.
_BESIDE_LATIN: Final = re.compile(
    r"[A-Za-z](?=[^\W\d_\x00-\u03ff])|[^\W\d_\x00-\u03ff](?=[A-Za-z])"
)


def is_mixed(chunk: str) -> bool:
    """Tell whether a letter of another script than Greek is beside one that it looks like."""
    return any(
        any(options(character)[1] == "letters" for character in chunk[at : at + 2])
        for at in map(re.Match.start, _BESIDE_LATIN.finditer(chunk))
    )


def to_latin(draft: Draft, *, is_meant: bool) -> None:
    """Write letters that words of both scripts have as what they look like, in such words alone.

    A word with another letter of its script stays as it is. `is_meant` says that several words are
    surely written so; without, the words of both scripts have to say it, and pieces of words that
    were set apart are read with them.
    """
    if draft.text.isascii():
        return
    beyond = {chunk for chunk in draft.text.split() if not chunk.isascii()}
    mixed = [chunk for chunk in beyond if _LATIN.search(chunk) and _letters(chunk)]
    surely = list(filter(is_mixed, mixed))
    whole = [chunk for chunk in beyond if not _LATIN.search(chunk) and _letters(chunk)]
    if surely and len(surely) >= sum(len(chunk) > _FEW for chunk in whole):
        mixed += (chunk for chunk in whole if len(chunk) <= _FEW)
    elif not is_meant:
        return
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


def without_accents(draft: Draft) -> bool:
    """Leave out the accents of all letters of a draft; return whether there were some."""
    plain = {
        letter: looks[0]
        for letter in set(draft.text)
        if not letter.isascii()
        and (looks := options(letter)[0])
        and options(letter)[1] == "accents"
    }
    if plain:
        some = re.compile(f"[{re.escape(''.join(sorted(plain)))}]")
        draft.sub(some, lambda match: plain[match[0]])
    return bool(plain)


def _letters(chunk: Iterable[str]) -> str:
    """Return the letters of other scripts that look like Latin ones."""
    return "".join(
        character
        for character in chunk
        if not character.isascii() and character.isalpha() and options(character)[1] != "accents"
    )
