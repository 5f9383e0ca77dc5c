"""Ways in which people hide what they write from a model and not from a reader.

Each disguises one letter; a text is disguised by a share of its letters, chosen by a seed.
"""

import random
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["lossless", "lookalike", "apart"]

_SMALL: Final = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Disguise:
    """One transformation: what becomes of a letter."""

    name: str
    kind: Kind
    letter: Callable[[str, random.Random], str]

    def apply(self, text: str, share: float, seed: int) -> str:
        """Return the text with this share of its ASCII letters disguised."""
        draw = random.Random(seed)  # noqa: S311  # a repeatable measurement
        return "".join(
            self.letter(character, draw)
            if character.isascii() and character.isalpha() and draw.random() < share
            else character
            for character in text
        )


def _behind(*marks: str) -> Callable[[str, random.Random], str]:
    """Put one of these behind the letter."""
    return lambda letter, draw: letter + draw.choice(marks)


def _table(table: Mapping[str, str]) -> Callable[[str, random.Random], str]:
    """Replace the letter, or its small form, by the table."""
    return lambda letter, _: table.get(letter, table.get(letter.lower(), letter))


def _named(style: str) -> Callable[[str, random.Random], str]:
    """Replace the letter by the one that Unicode names after the style."""

    def replace(letter: str, _: random.Random) -> str:
        size = "SMALL" if letter.islower() else "CAPITAL"
        name = style.format(size=size, letter=letter.upper())
        try:
            return unicodedata.lookup(name)
        except KeyError:  # a few mathematical letters are older than their alphabet
            return unicodedata.lookup(name.removeprefix("MATHEMATICAL "))

    return replace


def _coded(form: str) -> Callable[[str, random.Random], str]:
    """Replace the letter by its code in this form."""
    return lambda letter, _: form.format(ord(letter))


def _composed(*marks: str) -> Callable[[str, random.Random], str]:
    return lambda letter, draw: unicodedata.normalize("NFC", letter + draw.choice(marks))


def _zalgo(letter: str, draw: random.Random) -> str:
    return letter + "".join(chr(draw.randrange(0x300, 0x370)) for _ in range(draw.randint(2, 6)))


def _pairs(targets: str, sources: str = _SMALL) -> dict[str, str]:
    return dict(zip(sources, targets, strict=True))


_SMALL_CAPITALS: Final = _pairs("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀsᴛᴜᴠᴡxʏᴢ")
_SUPERSCRIPTS: Final = _pairs("ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖqʳˢᵗᵘᵛʷˣʸᶻ")
_TURNED: Final = _pairs("ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz")
_CHEROKEE: Final = _pairs("ᎪᏏᏟᎠᎬᎰᎶᎻᎥᎫᏦᏞᎷᏁᎾᏢᏄᏒᏚᎢᏌᏙᏔᏡᎩᏃ")
_ETHIOPIC: Final = _pairs("ልጌርዕቿቻኗዘጎጋጕረጠክዐየዒዪነፕሁሀሠሸሃጊ")
_SYLLABICS: Final = _pairs("ᗩᗷᑕᗪEᖴGᕼIᒍKᒪᗰᑎOᑭᑫᖇᔕTᑌᐯᗯ᙭Yᘔ")
_STROKES: Final = _pairs("Ⱥƀȼđɇꞙǥħɨɉꝁłɱꞥøᵽꝗɍꞩŧʉvwxɏƶ")
_CYRILLIC: Final = _pairs("асеһіјорѕхуԁԛԝАВСЕНІЈКМОРЅТХУ", "acehijopsxydqwABCEHIJKMOPSTXY")
_GREEK: Final = _pairs("αειονρυκτχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeiovpuktxABEZHIKMNOPTYX")
_ARMENIAN_AND_OTHERS: Final = {
    "a": "ɑ", "g": "ց", "o": "օ", "u": "ս", "n": "ո", "h": "հ", "i": "ı", "y": "ү", "v": "ѵ",
    "s": "ꜱ", "l": "ⅼ", "d": "ԁ", "c": "ϲ", "e": "ҽ", "p": "ⲣ",
}  # fmt: skip
_LEET: Final = _pairs("43105789", "aeiostbg")
_LEET_SIGNS: Final = {"a": "@", "s": "$", "i": "!", "e": "€", "l": "|", "c": "(", "t": "+"}

DISGUISES: Final = (
    Disguise("zero width joiner", "lossless", _behind("\u200d")),
    Disguise("zero width non-joiner", "lossless", _behind("\u200c")),
    Disguise("zero width space", "lossless", _behind("\u200b")),
    Disguise("invisible separator", "lossless", _behind("\u2063")),
    Disguise("grapheme joiner", "lossless", _behind("\u034f")),
    Disguise("soft hyphen", "lossless", _behind("\u00ad")),
    Disguise("tag characters", "lossless", _behind(*map(chr, range(0xE0061, 0xE007B)))),
    Disguise("variation selectors", "lossless", _behind(*map(chr, range(0xFE00, 0xFE10)))),
    Disguise(
        "bidi controls", "lossless", _behind("\u200e", "\u2066", "\u2069", "\u202a", "\u202c")
    ),
    Disguise("full width", "lossless", _named("FULLWIDTH LATIN {size} LETTER {letter}")),
    Disguise("mathematical", "lossless", _named("MATHEMATICAL BOLD {size} {letter}")),
    Disguise("double struck", "lossless", _named("MATHEMATICAL DOUBLE-STRUCK {size} {letter}")),
    Disguise("circled", "lossless", _named("CIRCLED LATIN {size} LETTER {letter}")),
    Disguise("squared", "lossless", _named("NEGATIVE SQUARED LATIN CAPITAL LETTER {letter}")),
    Disguise(
        "regional indicators", "lossless", _named("REGIONAL INDICATOR SYMBOL LETTER {letter}")
    ),
    Disguise("small capitals", "lossless", _table(_SMALL_CAPITALS)),
    Disguise("superscripts", "lossless", _table(_SUPERSCRIPTS)),
    Disguise("percent-encoded", "lossless", _coded("%{:02X}")),
    Disguise("escapes of two digits", "lossless", _coded("\\x{:02x}")),
    Disguise("escapes of four digits", "lossless", _coded("\\u{:04x}")),
    Disguise("marks of other scripts", "lossless", _behind("\u064e", "\u05b0", "\u0e49", "\u093f")),
    Disguise("zalgo", "lossless", _zalgo),
    Disguise("strike-through", "lossless", _behind("\u0336")),
    Disguise("acute accents", "lossless", _composed("\u0301")),
    Disguise("umlauts and hooks", "lossless", _composed("\u0308", "\u0309", "\u0323", "\u030c")),
    Disguise("two accents", "lossless", _composed("\u0302\u0301")),
    Disguise("strokes", "lossless", _table(_STROKES)),
    Disguise("case swapped", "lossless", lambda letter, _: letter.swapcase()),
    Disguise("upper case", "lossless", lambda letter, _: letter.upper()),
    Disguise("Cyrillic", "lookalike", _table(_CYRILLIC)),
    Disguise("Greek", "lookalike", _table(_GREEK)),
    Disguise("other scripts", "lookalike", _table(_ARMENIAN_AND_OTHERS)),
    Disguise("Cherokee", "lookalike", _table(_CHEROKEE)),
    Disguise("Ethiopic", "lookalike", _table(_ETHIOPIC)),
    Disguise("Canadian syllabics", "lookalike", _table(_SYLLABICS)),
    Disguise("turned", "lookalike", _table(_TURNED)),
    Disguise("1337", "lookalike", _table(_LEET)),
    Disguise("signs for letters", "lookalike", _table(_LEET_SIGNS)),
    Disguise("letters three times", "lookalike", lambda letter, _: letter * 3),
    Disguise("doubled", "lookalike", lambda letter, _: letter * 2),
    Disguise(
        "doubled, alternating case", "lookalike", lambda letter, _: letter.upper() + letter.lower()
    ),
    Disguise("doubled, case swapped", "lookalike", lambda letter, _: letter + letter.swapcase()),
    Disguise(
        "twice or three times", "lookalike", lambda letter, draw: letter * draw.choice((2, 3))
    ),
    Disguise("space behind", "apart", _behind(" ")),
    Disguise("dot behind", "apart", _behind(".")),
    Disguise("dash behind", "apart", _behind("-")),
    Disguise("underscore behind", "apart", _behind("_")),
    Disguise("star behind", "apart", _behind("*")),
    Disguise("newline behind", "apart", _behind("\n")),
    Disguise("narrow space behind", "apart", _behind("\u2009", "\u00a0")),
    Disguise("two spaces behind", "apart", _behind("  ")),
    Disguise("dash between spaces behind", "apart", _behind(" - ")),
    Disguise("dot and space behind", "apart", _behind(". ")),
    Disguise("several marks behind", "apart", _behind(*".*-/|")),
    Disguise("emoji behind", "apart", _behind("🔥", "👏", "✨")),
    Disguise("digits behind", "apart", _behind(*"0123456789")),
    Disguise("apostrophe behind", "apart", _behind("'")),
    Disguise("tags behind", "apart", _behind("<b></b>")),
)
