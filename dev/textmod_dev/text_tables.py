"""The tables that the model server reads disguised text with: English words, and look-alikes.

    python -m textmod_dev.text_tables FOLDER

Words come from spacy-lookups-data (MIT): the probabilities of a million lexemes, counted in a
decade of public comments. Look-alikes come from Unicode's confusables (UTS 39) as the package
confusable-homoglyphs (MIT) has them. `make text-tables` runs this where both are installed.
"""

import gzip
import json
import math
import re
import sys
import unicodedata
from collections import defaultdict
from importlib.resources import files
from pathlib import Path

WORDS = 40_000
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Looks that the confusables leave out, because no identifier would be taken for another: what one
# writes faux Cyrillic and Greek with, letters in the mirror, and letters of Lisu and Tifinagh.
FAUX = {
    "a": "αдДΔΛ", "b": "βвьЬъѢБ", "c": "ϲҫ", "d": "ԁδ", "e": "εєҽзЭэξΣЄԑⴹ", "f": "ƒғϝꟻ",
    "g": "ցԍϱǫ", "h": "нћһђҥңԩ", "i": "ιіїιłꓲᛁⵏⵊ", "j": "јꞁ", "k": "κкќҡқҝ", "l": "ⅼ", "m": "мΜм",
    "n": "ηпийИПŋηИℕ", "o": "оοσθфӨⴰⵔ", "p": "ρрþ", "q": "ԛⵕ", "r": "яЯгѓґЯɿ", "s": "ѕςƨꙅⵢ",
    "t": "τтҭƚⵜ", "u": "υцџսμⵡ", "v": "νѵⴸ", "w": "ωшщѡԝѱψ", "x": "χхжҳⵝ", "y": "γуүўчҮ", "z": "ζʐ",
    "I": "ΙІӀ",
}  # fmt: skip
# The letters a to z of fonts that generators of "fancy text" put together from other scripts, and
# of phonetic alphabets; a space where a font has none of its own.
ALPHABETS = (
    "卂乃匚刀乇下厶卄工丁长乚从几口尸 尺丂丁凵リ山乂丫乙",
    "ﾑ乃ᄃり乇ｷムんﾉﾌズﾚﾶ刀のｱゐ尺丂ｲひ√WﾒﾘZ",
    "ค๒ς๔єŦﻮђเןкɭ๓ภ๏קợгรtยשฬאץz",
    "α๖¢ ∂ﾓ   ว  ๅ  ຖ໐  ຣ  ຟ   ",
    "ልጌርዕቿቻኗዘጎጋጕረጠክዐየዒዪነፕሁሀሠሸሃጊ",
    "ል  ዕ  ፘዘ   ር ከወየ   ፐ ህ ሀ ጊ",
    "ᗩᗷᑕᗪ ᖴ ᕼ ᒍ ᒪᗰᑎ ᑭᑫᖇᔕ ᑌᐯᗯ᙭ ᘔ",
    "ᗅ ᑢᗞᗴ ᘜᑋ   ᒺᙢᘉ ᕵᕴ ᔑ ᑘᐻᘺ   ",
    "ᎪᏏᏟᎠᎬᎰᎶᎻᎥᎫᏦᏞᎷᏁᎾᏢᎤᏒᏚᎢᏌᏙᏔ ᎩᏃ",
    "ᏗᏰ ᎴᏋᎦ ᏂᎨᏠᏥ ᎷᏬᎧ Ꭴ ᏕᏖᏬᏉᏇ ᎽᏃ",
    "ձҍçժҽƒցհíյҟӀʍղօքզɾʂէմѵա ყՀ",
    "ա  ԺεƑՑիɨʝ լʍռօ ԳՐ ԵՄՎա×Վ ",
    "ⲁⲃⲥⲇⲉ ⳓⲏⲓⳗⲕ𝓵ⲙⲛⲟⲣ ꞅ ⲧⲩⳳⲱⲭⲯⲍ",
    "ɐɓɕɖəɸɠɦɪʝʞɭɱɳɵ ʠɽʂʈʉʋʍ ʏʐ",
    "ɒʙɔ ɘ ɢʜɨʄ ʟɰɲɔ  ʁʃ ʊʌ   ʑ",
    "ꍏꌃꉓꀸꍟꎇꁅꃅꀤꀭꀘ꒒ꂵꈤꂦꉣꆰꋪꌗ꓄ꀎꃴꅏꊼꌩꁴ",
    "ꋫ ꏳꂠꏂꄙꍌ   ꀗ꒒ꎭꁹꄲꉣ ꌅꌚꋖꌈ  ꉧꐔꑓ",
)


def main(folder: Path) -> None:
    (folder / "words.txt").write_text("\n".join(words()) + "\n", encoding="utf-8")
    lines = (f"{letter} {''.join(sorted(looks))}" for letter, looks in look_alikes().items())
    (folder / "lookalikes.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def words() -> list[str]:
    """Return the most frequent words, in small letters, the most frequent first."""
    source = files("spacy_lookups_data") / "data" / "en_lexeme_prob.json.gz"
    lexemes = json.loads(gzip.decompress(source.read_bytes()))
    probabilities: dict[str, float] = defaultdict(float)
    for lexeme, log_probability in lexemes.items():
        # Letters of Latin, at least two; a word that people write long is not its own reading.
        if re.fullmatch(r"[a-zA-Z\u00c0-\u024f]{2,}", lexeme) and not re.search(
            r"(.)\1\1", lexeme.lower()
        ):
            probabilities[lexeme.lower()] += math.exp(log_probability)
    return sorted(probabilities, key=lambda word: (-probabilities[word], word))[:WORDS]


def look_alikes() -> dict[str, set[str]]:
    """Return the characters that look like each ASCII letter, but are no style of it."""
    from confusable_homoglyphs import confusables  # type: ignore[import-not-found]

    alike: dict[str, set[str]] = {letter: set(FAUX.get(letter, "")) for letter in LETTERS}
    for alphabet in ALPHABETS:
        for letter, character in zip(LETTERS, alphabet, strict=False):
            if character.isalpha() and not character.isascii():
                alike[letter].add(character)
    for letter in LETTERS:
        for entry in confusables.confusables_data.get(letter, ()):
            character = entry["c"]
            if len(character) != 1 or character.isascii():
                continue
            if unicodedata.normalize("NFKC", character).isascii():
                continue  # NFKC reads it already
            if unicodedata.category(character)[0] in "LN":
                alike[letter].add(character)
    return alike


if __name__ == "__main__":
    main(Path(sys.argv[1]))
