"""Further disguises: letters of more scripts and styles, signs of several characters, mixtures.

They were not looked at while reading was built from those in `disguises`.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.evasion.disguises import (
    CYRILLIC,
    LEET,
    SIGNS,
    Disguise,
    behind,
    by_table,
    coded,
    composed,
    named,
    pairs,
)

Letter = Callable[[str, random.Random], str]

_WORD: Final = re.compile("[A-Za-z]{2,}")
_LISU: Final = {
    "a": "ꓮ", "b": "ꓐ", "c": "ꓚ", "d": "ꓓ", "e": "ꓰ", "f": "ꓝ", "g": "ꓖ", "h": "ꓧ", "i": "ꓲ",
    "j": "ꓙ", "k": "ꓗ", "l": "ꓡ", "m": "ꓟ", "n": "ꓠ", "o": "ꓳ", "p": "ꓑ", "r": "ꓣ", "s": "ꓢ",
    "t": "ꓔ", "u": "ꓴ", "v": "ꓦ", "w": "ꓪ", "x": "ꓫ", "y": "ꓬ", "z": "ꓜ",
}  # fmt: skip
_COPTIC: Final = {
    "a": "ⲁ", "b": "ⲃ", "c": "ⲥ", "e": "ⲉ", "h": "ⲏ", "i": "ⲓ", "k": "ⲕ", "m": "ⲙ", "n": "ⲛ",
    "o": "ⲟ", "p": "ⲣ", "t": "ⲧ", "u": "ⲩ", "w": "ⲱ", "x": "ⲭ", "y": "ⲩ",
}  # fmt: skip
_ARMENIAN: Final = {
    "d": "ժ", "e": "ҽ", "f": "ƒ", "g": "ց", "h": "հ", "j": "յ", "l": "լ", "n": "ո", "o": "օ",
    "p": "ք", "q": "զ", "r": "ր", "s": "ѕ", "t": "Է", "u": "ս",
}  # fmt: skip
_DESERET: Final = {"c": "𐐽", "l": "𐐛", "o": "𐐬", "s": "𐑈"}
_TIFINAGH: Final = {
    "e": "ⴹ", "i": "ⵊ", "l": "ⵏ", "o": "ⵔ", "q": "ⵕ", "t": "ⵜ", "u": "ⵡ", "v": "ⴸ", "x": "ⵝ",
}  # fmt: skip
_FAUX: Final = pairs("ДБСЄҒҤЇЈҠМИОРЯЅТЦѴШХҮ", "abcefhijkmnoprstuvwxy")
_CURRENCIES: Final = pairs("₳฿₵ĐɆ₣₲ⱧłJ₭Ⱡ₥₦Ø₱QⱤ₴₮ɄV₩ӾɎⱫ")
_MIRRORED: Final = pairs("ɒdɔbɘꟻϱʜiꞁʞlmnoqpɿƨƚυvwxγz")
_SUBSCRIPTS: Final = pairs("ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", "aehijklmnoprstuvx")
_SEVERAL_SIGNS: Final = {
    "h": "|-|", "k": "|<", "d": "|)", "o": "()", "u": "|_|", "b": "|3", "w": "vv", "f": "ph",
    "x": "><", "r": "|2",
}  # fmt: skip
_SIGNS_WITH_BACKSLASH: Final = {"a": "/\\", "m": "|\\/|", "n": "|\\|", "v": "\\/", "w": "\\/\\/"}
_STYLES: Final = (
    "MATHEMATICAL BOLD FRAKTUR {size} {letter}",
    "MATHEMATICAL SANS-SERIF BOLD ITALIC {size} {letter}",
    "MATHEMATICAL BOLD SCRIPT {size} {letter}",
    "MATHEMATICAL MONOSPACE {size} {letter}",
    "FULLWIDTH LATIN {size} LETTER {letter}",
    "CIRCLED LATIN {size} LETTER {letter}",
)
_INVISIBLE: Final = "\u200b\u200c\u200d\u2060\u2063\u00ad\u034f\ufe0f\u180e\u2062\U000e0020"


@dataclass(frozen=True)
class WordDisguise(Disguise):
    """What becomes of a word of two letters or more, a share of them."""

    def apply(self, text: str, share: float, seed: int) -> str:
        """Return the text with this share of its words disguised."""
        draw = random.Random(seed)  # noqa: S311  # a repeatable measurement
        return _WORD.sub(
            lambda match: self.letter(match[0], draw) if draw.random() < share else match[0], text
        )


def _one_of(*ways: Letter) -> Letter:
    """Disguise the letter in one of these ways."""
    return lambda letter, draw: draw.choice(ways)(letter, draw)


def _both(first: Letter, second: Letter) -> Letter:
    """Disguise the letter, then what became of it."""
    return lambda letter, draw: second(first(letter, draw), draw)


def _around(before: str, after: str) -> Letter:
    return lambda letter, _: before + letter + after


def _marks(least: int, most: int) -> Letter:
    def mark(letter: str, draw: random.Random) -> str:
        count = draw.randint(least, most)
        return letter + "".join(chr(draw.randrange(0x300, 0x370)) for _ in range(count))

    return mark


def _swapped(word: str, draw: random.Random) -> str:
    """Swap two letters side by side, not the first nor the last."""
    if len(word) < 4:
        return word
    at = draw.randrange(1, len(word) - 2)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _starred(word: str, _: random.Random) -> str:
    """Put a star for the first vowel behind the first letter."""
    return word[0] + re.sub("[aeiou]", "*", word[1:], count=1)


def _reversed(word: str, _: random.Random) -> str:
    return f"\u202e{word[::-1]}\u202c"


_invisible: Final = behind(*_INVISIBLE)
_accent: Final = composed("\u0301", "\u0300", "\u0302", "\u0303", "\u0308")
_cyrillic: Final = by_table(CYRILLIC)
_leet: Final = by_table(LEET)
_style: Final = _one_of(*map(named, _STYLES))

MORE: Final = (
    Disguise("octal escapes", "lossless", coded("\\{:03o}")),
    Disguise("quoted-printable", "lossless", coded("={:02X}")),
    Disguise("percent-encoded twice", "lossless", coded("%25{:02X}")),
    Disguise("entities", "lossless", coded("&#{};")),
    Disguise("entities encoded twice", "lossless", coded("&amp;#x{:x};")),
    Disguise("escapes of several kinds", "lossless", _one_of(*map(coded, (
        "\\x{:02x}", "\\u{:04x}", "%{:02x}", "&#{};"
    )))),
    Disguise("parenthesized", "lossless", named("PARENTHESIZED LATIN SMALL LETTER {letter}")),
    Disguise("negative circled", "lossless", named(
        "NEGATIVE CIRCLED LATIN CAPITAL LETTER {letter}"
    )),
    Disguise("subscripts", "lossless", by_table(_SUBSCRIPTS)),
    Disguise("styles mixed", "lossless", _style),
    Disguise("twenty marks", "lossless", _marks(20, 20)),
    Disguise("enclosing marks", "lossless", behind("\u20dd", "\u20de", "\u20e3", "\u20df")),
    Disguise("overlays", "lossless", behind("\u0335", "\u0337", "\u0338", "\u20e5", "\u0488")),
    Disguise("accents mixed", "lossless", _accent),
    Disguise("invisible mixed", "lossless", _invisible),
    Disguise("style and invisible", "lossless", _both(_style, _invisible)),
    Disguise("style or accent", "lossless", _one_of(_style, _accent)),
    Disguise("accent and invisible", "lossless", _both(_accent, _invisible)),
    WordDisguise("reversed by a control", "lossless", _reversed),
    Disguise("Lisu", "lookalike", by_table(_LISU)),
    Disguise("Coptic", "lookalike", by_table(_COPTIC)),
    Disguise("Armenian", "lookalike", by_table(_ARMENIAN)),
    Disguise("Deseret", "lookalike", by_table(_DESERET)),
    Disguise("Tifinagh", "lookalike", by_table(_TIFINAGH)),
    Disguise("Cyrillic in capitals", "lookalike", by_table(_FAUX)),
    Disguise("currencies", "lookalike", by_table(_CURRENCIES)),
    Disguise("mirrored", "lookalike", by_table(_MIRRORED)),
    Disguise("Cyrillic or 1337", "lookalike", _one_of(_cyrillic, _leet)),
    Disguise("accent or 1337", "lookalike", _one_of(_accent, _leet)),
    Disguise("Cyrillic or invisible", "lookalike", _one_of(_cyrillic, _invisible)),
    Disguise("1337 or signs", "lookalike", _one_of(_leet, by_table(SIGNS))),
    Disguise("signs of several characters", "lookalike", by_table(_SEVERAL_SIGNS)),
    Disguise("signs with backslashes", "lookalike", by_table(_SIGNS_WITH_BACKSLASH)),
    Disguise("letters five times", "lookalike", lambda letter, _: letter * 5),
    WordDisguise("letters swapped", "lookalike", _swapped),
    WordDisguise("a star for a vowel", "lookalike", _starred),
    Disguise("tilde behind", "apart", behind("~")),
    Disguise("slash behind", "apart", behind("/")),
    Disguise("bar behind", "apart", behind("|")),
    Disguise("middle dot or bullet behind", "apart", behind("·", "•", "∙", "‧")),
    Disguise("comma behind", "apart", behind(",")),
    Disguise("plus or equals behind", "apart", behind("+", "=")),
    Disguise("hearts and stars behind", "apart", behind("♥", "★", "❤️", "✧")),
    Disguise("joined emoji behind", "apart", behind("👩\u200d🚀", "🏳️\u200d🌈", "👍🏽")),
    Disguise("tab behind", "apart", behind("\t")),
    Disguise("square brackets around", "apart", _around("[", "]")),
    Disguise("quotes around", "apart", _around('"', '"')),
    Disguise("bold around", "apart", _around("**", "**")),
    Disguise("underscores around", "apart", _around("__", "__")),
    Disguise("tags around", "apart", _around("<b>", "</b>")),
    Disguise("tags with attributes around", "apart", _around('<span class="x">', "</span>")),
    Disguise("dash behind and accent", "apart", _both(_accent, behind("-"))),
    Disguise("dot behind or 1337", "apart", _one_of(behind("."), _leet)),
    Disguise("space behind or Cyrillic", "apart", _one_of(behind(" "), _cyrillic)),
    Disguise("emoji behind or accent", "apart", _one_of(behind("🔥", "👏"), _accent)),
)  # fmt: skip
