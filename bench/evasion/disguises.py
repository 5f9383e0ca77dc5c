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


def behind(*marks: str) -> Callable[[str, random.Random], str]:
    """Put one of these behind the letter."""
    return lambda letter, draw: letter + draw.choice(marks)


def by_table(table: Mapping[str, str]) -> Callable[[str, random.Random], str]:
    """Replace the letter, or its small form, by the table."""
    return lambda letter, _: table.get(letter, table.get(letter.lower(), letter))


def named(style: str) -> Callable[[str, random.Random], str]:
    """Replace the letter by the one that Unicode names after the style."""

    def replace(letter: str, _: random.Random) -> str:
        size = "SMALL" if letter.islower() else "CAPITAL"
        name = style.format(size=size, letter=letter.upper())
        try:
            return unicodedata.lookup(name)
        except KeyError:  # a few mathematical letters are older than their alphabet
            return unicodedata.lookup(name.removeprefix("MATHEMATICAL "))

    return replace


def coded(form: str) -> Callable[[str, random.Random], str]:
    """Replace the letter by its code in this form."""
    return lambda letter, _: form.format(ord(letter))


def composed(*marks: str) -> Callable[[str, random.Random], str]:
    return lambda letter, draw: unicodedata.normalize("NFC", letter + draw.choice(marks))


def _zalgo(letter: str, draw: random.Random) -> str:
    return letter + "".join(chr(draw.randrange(0x300, 0x370)) for _ in range(draw.randint(2, 6)))


def pairs(targets: str, sources: str = _SMALL) -> dict[str, str]:
    return dict(zip(sources, targets, strict=True))


_SMALL_CAPITALS: Final = pairs("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀsᴛᴜᴠᴡxʏᴢ")
_SUPERSCRIPTS: Final = pairs("ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖqʳˢᵗᵘᵛʷˣʸᶻ")
_TURNED: Final = pairs("ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz")
_CHEROKEE: Final = pairs("ᎪᏏᏟᎠᎬᎰᎶᎻᎥᎫᏦᏞᎷᏁᎾᏢᏄᏒᏚᎢᏌᏙᏔᏡᎩᏃ")
_ETHIOPIC: Final = pairs("ልጌርዕቿቻኗዘጎጋጕረጠክዐየዒዪነፕሁሀሠሸሃጊ")
_SYLLABICS: Final = pairs("ᗩᗷᑕᗪEᖴGᕼIᒍKᒪᗰᑎOᑭᑫᖇᔕTᑌᐯᗯ᙭Yᘔ")
_STROKES: Final = pairs("Ⱥƀȼđɇꞙǥħɨɉꝁłɱꞥøᵽꝗɍꞩŧʉvwxɏƶ")
CYRILLIC: Final = pairs("асеһіјорѕхуԁԛԝАВСЕНІЈКМОРЅТХУ", "acehijopsxydqwABCEHIJKMOPSTXY")
_GREEK: Final = pairs("αειονρυκτχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeiovpuktxABEZHIKMNOPTYX")
_ARMENIAN_AND_OTHERS: Final = {
    "a": "ɑ", "g": "ց", "o": "օ", "u": "ս", "n": "ո", "h": "հ", "i": "ı", "y": "ү", "v": "ѵ",
    "s": "ꜱ", "l": "ⅼ", "d": "ԁ", "c": "ϲ", "e": "ҽ", "p": "ⲣ",
}  # fmt: skip
LEET: Final = pairs("43105789", "aeiostbg")
SIGNS: Final = {"a": "@", "s": "$", "i": "!", "e": "€", "l": "|", "c": "(", "t": "+"}

DISGUISES: Final = (
    Disguise("zero width joiner", "lossless", behind("\u200d")),
    Disguise("zero width non-joiner", "lossless", behind("\u200c")),
    Disguise("zero width space", "lossless", behind("\u200b")),
    Disguise("invisible separator", "lossless", behind("\u2063")),
    Disguise("grapheme joiner", "lossless", behind("\u034f")),
    Disguise("soft hyphen", "lossless", behind("\u00ad")),
    Disguise("tag characters", "lossless", behind(*map(chr, range(0xE0061, 0xE007B)))),
    Disguise("variation selectors", "lossless", behind(*map(chr, range(0xFE00, 0xFE10)))),
    Disguise("bidi controls", "lossless", behind("\u200e", "\u2066", "\u2069", "\u202a", "\u202c")),
    Disguise("full width", "lossless", named("FULLWIDTH LATIN {size} LETTER {letter}")),
    Disguise("mathematical", "lossless", named("MATHEMATICAL BOLD {size} {letter}")),
    Disguise("double struck", "lossless", named("MATHEMATICAL DOUBLE-STRUCK {size} {letter}")),
    Disguise("circled", "lossless", named("CIRCLED LATIN {size} LETTER {letter}")),
    Disguise("squared", "lossless", named("NEGATIVE SQUARED LATIN CAPITAL LETTER {letter}")),
    Disguise("regional indicators", "lossless", named("REGIONAL INDICATOR SYMBOL LETTER {letter}")),
    Disguise("small capitals", "lossless", by_table(_SMALL_CAPITALS)),
    Disguise("superscripts", "lossless", by_table(_SUPERSCRIPTS)),
    Disguise("percent-encoded", "lossless", coded("%{:02X}")),
    Disguise("escapes of two digits", "lossless", coded("\\x{:02x}")),
    Disguise("escapes of four digits", "lossless", coded("\\u{:04x}")),
    Disguise("marks of other scripts", "lossless", behind("\u064e", "\u05b0", "\u0e49", "\u093f")),
    Disguise("zalgo", "lossless", _zalgo),
    Disguise("strike-through", "lossless", behind("\u0336")),
    Disguise("acute accents", "lossless", composed("\u0301")),
    Disguise("umlauts and hooks", "lossless", composed("\u0308", "\u0309", "\u0323", "\u030c")),
    Disguise("two accents", "lossless", composed("\u0302\u0301")),
    Disguise("strokes", "lossless", by_table(_STROKES)),
    Disguise("case swapped", "lossless", lambda letter, _: letter.swapcase()),
    Disguise("upper case", "lossless", lambda letter, _: letter.upper()),
    Disguise("Cyrillic", "lookalike", by_table(CYRILLIC)),
    Disguise("Greek", "lookalike", by_table(_GREEK)),
    Disguise("other scripts", "lookalike", by_table(_ARMENIAN_AND_OTHERS)),
    Disguise("Cherokee", "lookalike", by_table(_CHEROKEE)),
    Disguise("Ethiopic", "lookalike", by_table(_ETHIOPIC)),
    Disguise("Canadian syllabics", "lookalike", by_table(_SYLLABICS)),
    Disguise("turned", "lookalike", by_table(_TURNED)),
    Disguise("1337", "lookalike", by_table(LEET)),
    Disguise("signs for letters", "lookalike", by_table(SIGNS)),
    Disguise("letters three times", "lookalike", lambda letter, _: letter * 3),
    Disguise("doubled", "lookalike", lambda letter, _: letter * 2),
    Disguise(
        "doubled, alternating case", "lookalike", lambda letter, _: letter.upper() + letter.lower()
    ),
    Disguise("doubled, case swapped", "lookalike", lambda letter, _: letter + letter.swapcase()),
    Disguise(
        "twice or three times", "lookalike", lambda letter, draw: letter * draw.choice((2, 3))
    ),
    Disguise("space behind", "apart", behind(" ")),
    Disguise("dot behind", "apart", behind(".")),
    Disguise("dash behind", "apart", behind("-")),
    Disguise("underscore behind", "apart", behind("_")),
    Disguise("star behind", "apart", behind("*")),
    Disguise("newline behind", "apart", behind("\n")),
    Disguise("narrow space behind", "apart", behind("\u2009", "\u00a0")),
    Disguise("two spaces behind", "apart", behind("  ")),
    Disguise("dash between spaces behind", "apart", behind(" - ")),
    Disguise("dot and space behind", "apart", behind(". ")),
    Disguise("several marks behind", "apart", behind(*".*-/|")),
    Disguise("emoji behind", "apart", behind("🔥", "👏", "✨")),
    Disguise("digits behind", "apart", behind(*"0123456789")),
    Disguise("apostrophe behind", "apart", behind("'")),
    Disguise("tags behind", "apart", behind("<b></b>")),
)
