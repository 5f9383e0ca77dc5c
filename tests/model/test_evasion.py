"""Texts that were written for people and not for a model, and texts that only look so."""

import random
import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmod_model.text import between as between_letters
from textmod_model.text import characters, evasion, joined, readings, vocabulary
from textmod_model.text.cleaning import clean, tidy
from textmod_model.text.draft import Draft
from textmod_model.text.evasion import SUSPECT, is_suspect, origins, suspicion, undisguise

PLAIN = "you are a stupid idiot, this is bullshit garbage"


def behind(mark: str) -> Callable[[str], str]:
    return lambda text: "".join(c + mark if c.isalpha() else c for c in text)


def between(*marks: str) -> Callable[[str], str]:
    """Put the marks behind letters by turns."""
    return lambda text: "".join(
        c + marks[at % len(marks)] if c.isalpha() else c for at, c in enumerate(text)
    )


def coded(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form.format(ord(c)) if c.isalpha() else c for c in text)


def styled(name: str) -> Callable[[str], str]:
    return lambda text: "".join(
        unicodedata.lookup(name.format(c.upper())) if c.isalpha() else c for c in text
    )


def mapped(sources: str, targets: str) -> Callable[[str], str]:
    return lambda text: text.translate(str.maketrans(sources, targets))


DISGUISES = {
    "zero width joiner": behind("\u200d"),
    "zero width non-joiner": behind("\u200c"),
    "invisible times": behind("\u2062"),
    "grapheme joiner": behind("\u034f"),
    "Mongolian vowel separator": behind("\u180e"),
    "tag character": behind("\U000e0041"),
    "variation selector 17": behind("\U000e0100"),
    "left-to-right isolate": behind("\u2066"),
    "control character": behind("\x02"),
    "marks of direction around words": lambda text: re.sub("\\w+", "\u200f\\g<0>\u200e", text),
    "marks of direction": between("\u200f", "\u200e", "\u061c"),
    "shown in reverse": lambda text: f"\u202e{text[::-1]}\u202c",
    "full width": styled("FULLWIDTH LATIN SMALL LETTER {}"),
    "fraktur": styled("MATHEMATICAL BOLD FRAKTUR SMALL {}"),
    "monospace": styled("MATHEMATICAL MONOSPACE SMALL {}"),
    "circled": styled("CIRCLED LATIN SMALL LETTER {}"),
    "negative circled": styled("NEGATIVE CIRCLED LATIN CAPITAL LETTER {}"),
    "in brackets": styled("PARENTHESIZED LATIN SMALL LETTER {}"),
    "regional indicators": styled("REGIONAL INDICATOR SYMBOL LETTER {}"),
    "strike-through": behind("\u0336"),
    "enclosed": behind("\u20dd"),
    "zalgo": behind("\u0301\u0316\u0347\u0489"),
    "Arabic marks": between("\u064e", "\u0651"),
    "Hebrew marks": between("\u05b0", "\u05bc"),
    "Thai marks": between("\u0e49", "\u0e34"),
    "marks of Devanagari": between("\u0901", "\u093f", "\u093c"),
    "marks of kana": between("\u3099"),
    "percent-encoded": coded("%{:02X}"),
    "percent-encoded in small letters": coded("%{:02x}"),
    "escapes of four digits": coded("u{:04x}"),
    "escapes of two digits": coded("x{:02x}"),
    "escapes of eight digits": coded("\\U{:08x}"),
    "escapes in braces": coded("\\u{{{:x}}}"),
    "escapes in braces, padded": coded("\\x{{{:04X}}}"),
    "percent and four digits": coded("%u{:04X}"),
    "percent-encoded twice": coded("%25{:02x}"),
    "quoted-printable": coded("={:02X}"),
    "octal escapes": coded("\\{:03o}"),
    "escapes of letters of another script": lambda text: "".join(
        f"\\u{ord(c):04x}" if not c.isascii() else c
        for c in text.translate(str.maketrans("aeiopcyxs", "аеіорсухѕ"))
    ),
    "acute": lambda text: unicodedata.normalize("NFC", behind("\u0301")(text)),
    "dot below": lambda text: unicodedata.normalize("NFC", behind("\u0323")(text)),
    "two marks": lambda text: unicodedata.normalize("NFC", behind("\u0302\u0301")(text)),
    "marks without a composed letter": lambda text: unicodedata.normalize(
        "NFC", behind("\u030c")(text)
    ),
    "strokes": mapped("abdegilortuz", "ⱥƀđɇǥɨłøɍŧʉƶ"),
    "Cyrillic": mapped("aeiopcyxs", "аеіорсухѕ"),
    "Greek": mapped("aeiotuvy", "αειοτυνγ"),
    "Armenian": mapped("uohg", "սօհց"),
    "Cherokee": mapped("abdeghilorstuy", "ᎪᏏᎠᎬᎶᎻᎥᏞᎾᏒᏚᎢᏌᎩ"),
    "Lisu": mapped("aeiouhlnrstp", "ꓮꓰꓲꓳꓴꓧꓡꓠꓣꓢꓔꓑ"),
    "Tifinagh": mapped("eioltu", "ⴹⵊⵔⵏⵜⵡ"),
    "faux Cyrillic": mapped("aefhinortu", "аєғҥіиоятц"),
    "in a mirror": mapped("aceghjrst", "ɒɔɘϱʜꞁɿƨƚ"),
    "Ethiopic": mapped("abdeghilorstuy", "ልጌዕቿኗዘጎረዐዪነፕሁሃ"),
    "Canadian syllabics": mapped("abdlprsu", "ᗩᗷᗪᒪᑭᖇᔕᑌ"),
    "phonetic": mapped("abdehioprstuy", "ɐɓɖəɦɪɵƥɽʂʈʉʏ"),
    "Georgian": mapped("adehilorstuy", "ႠძႤႹიႨჿჩႽႵႮႸ"),
    "runes": mapped("abdeghilorstu", "ᚨᛒᛞᛖᚷᚺᛁᛚᛟᚱᛋᛏᚢ"),
    "ideographs": mapped("abdeghiloprstuy", "卂乃刀乇厶卄工乚口尸尺丂丅凵丫"),
    "letters with hooks": mapped("abdeghilorstuy", "ąცɖɛɠɧıƖơཞʂɬųყ"),
    "1337": mapped("aeiostbg", "43105789"),
    "signs": mapped("aeislt", "@€!$|+"),
    "three times": lambda text: "".join(c * 3 if c.isalpha() else c for c in text),
    "doubled": lambda text: "".join(c * 2 if c.isalpha() else c for c in text),
    "doubled in another style": lambda text: "".join(
        c + unicodedata.lookup(f"MATHEMATICAL BOLD SMALL {c.upper()}") if c.isalpha() else c
        for c in text
    ),
    "doubled in another script": lambda text: "".join(
        c + c.translate(str.maketrans("aeiopcyxs", "аеіорсухѕ")) if c.isalpha() else c for c in text
    ),
    "dots": behind("."),
    "stars": behind("*"),
    "two signs": behind("-~"),
    "middle dots": behind("·"),
    "emoji": behind("🔥"),
    "several marks": between(".", "*", "-", "/", "|"),
    "several emoji": between("🔥", "👏", "✨"),
    "emoji that are joined": between("\u200d🔥", "\u200d😀"),
    "digits": between("7", "1", "4"),
    "apostrophes": between("'"),
    "apostrophes that are letters": behind("ʼ"),
    "superscript digits": between("²", "³"),
    "letters of other scripts": between("ー", "ㅣ", "〇", "ء", "あ"),
    "one that looks like a Latin letter": behind("の"),
    "tags": between("<b></b>"),
    "tags around letters": lambda text: "".join(f"<i>{c}</i>" if c.isalpha() else c for c in text),
    "comments": behind("<!-- -->"),
    "comments with words": behind("<!--none-->"),
    "empty comments": between("<!-->", "<!--->", "<!---->"),
    "entities that are not seen": between("&#8203;", "&zwnj;", "&shy;", "&NoBreak;"),
    "tags that close themselves": behind("<i/>"),
    "tags in square brackets": lambda text: "".join(
        f"[b]{c}[/b]" if c.isalpha() else c for c in text
    ),
    "brackets": lambda text: "".join(f"({c})" if c.isalpha() else c for c in text),
    "stars around letters": lambda text: "".join(f"*{c}*" if c.isalpha() else c for c in text),
}


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_a_disguised_text_is_read(disguise: Callable[[str], str]) -> None:
    disguised = disguise(PLAIN)
    assert disguised != PLAIN
    tidied = tidy(disguised)
    assert tidied == PLAIN or is_suspect(tidied)
    assert undisguise(tidied).replace(".,", ",").rstrip(".") == PLAIN
    assert clean(disguised) == undisguise(tidied)


@pytest.mark.parametrize(
    "gap", [" ", "\n", "\r\n", "\u2009", "\u3000", "\u3164", "  ", " \t ", " - ", ". ", " / ", ", "]
)
def test_letters_set_apart_are_joined(gap: str) -> None:
    apart = behind(gap)(PLAIN)
    assert is_suspect(apart)
    assert undisguise(apart).split() == PLAIN.split()


@pytest.mark.parametrize(
    "gaps",
    [
        pytest.param((" ", "   ", "  "), id="one to three spaces"),
        pytest.param(("\t", " ", "  "), id="tabs or spaces"),
        pytest.param((" ", "_", "\n", "|"), id="white space or marks"),
        pytest.param((".", " "), id="dots or spaces"),
    ],
)
def test_letters_set_apart_by_turns_are_joined(gaps: tuple[str, ...]) -> None:
    apart = between(*gaps)(
        "you are a stupid idiot and this is bullshit or garbage of the worst kind"
    )
    assert {"stupid", "bullshit", "garbage", "worst"} <= set(clean(apart).split())


@pytest.mark.parametrize("mark", [*"_-.,|~*+=/&·→🔥ー²", "__"])
def test_marks_in_place_of_white_space_are_read_as_such(mark: str) -> None:
    for text in ("you are a stupid idiot, and this isn't even wrong", "(you are such a fool!)"):
        disguised = tidy(text.replace(" ", mark))
        assert is_suspect(disguised)
        assert undisguise(disguised) == (text.replace(", ", " ") if mark == "," else text)
    many = " ".join(["you are a stupid idiot"] * 500)
    assert clean(many.replace(" ", mark)) == many
    half = "you_are a_stupid_idiot and this_is the_worst_kind of garbage_in here"
    assert undisguise(half) == half.replace("_", " ")


def test_one_letter_of_another_script_within_a_word_is_left_out() -> None:
    assert clean("you are such a stuーpid idiot") == "you are such a stupid idiot"
    assert clean("What an idーioーtー!") == "What an idiot!"
    assert clean("you are such a stu丨pid idiot") == "you are such a stu丨pid idiot", "an i?"


@pytest.mark.parametrize(
    "text",
    [
        "This is a state-of-the-art, up-to-date device, says my mother-in-law, as far as I know",
        "See snake_case_name_of_this in my_file_name.py, and it is used at least there, I think",
        "私はiPhoneのbatteryとCPUのfanを買った。pythonのcode、AとB、DVDやCDの100枚 of it",
        "http://a.b/you-are-a-stupid-idiot and /r/what_is_it or me@some-where-else.org",
        "#you,#are,#a,#stupid,#idiot",
        "well...you...know...what...this...is",
        "A.B.C.D.E. and x-y-z-a-b-c in 1-2-3-4-5",
    ],
)
def test_marks_between_words_mostly_stay(text: str) -> None:
    assert undisguise(text) == text


@pytest.mark.parametrize("word", ["x{62}x{61}x{64}", "u{62}u{61}u{64}", "%62%61%64"])
def test_three_escapes_are_read_wherever_the_word_ends(word: str) -> None:
    assert undisguise(f"it was a {word} day") == "it was a bad day"


def test_letters_set_apart_without_a_wider_gap_between_words() -> None:
    spaced = " ".join(PLAIN.replace(" ", "").replace(",", ""))
    assert {"stupid", "idiot", "bullshit", "garbage"} <= set(undisguise(spaced).split())


@pytest.mark.parametrize(
    ("text", "read"),
    [
        pytest.param("sTuPiD iDiOt yOu aRe", "Stupid idiot you are", id="mixed case"),
        pytest.param("tHIS IS BULLSHIT. gO AWAY", "This is bullshit. Go away", id="swapped case"),
        pytest.param(
            "THIS IS ALL BULLSHIT. GO AWAY NOW, YOU IDIOT",
            "This is all bullshit. Go away now, you idiot",
            id="capitals",
        ),
        pytest.param("you b!tch", "you bitch", id="one sign"),
        pytest.param("what a st.upid thing", "what a stupid thing", id="one dot"),
        pytest.param("you іdiot", "you idiot", id="one letter of another script"),
        pytest.param("you st<b></b>upid idiot", "you stupid idiot", id="one empty element"),
        pytest.param("you st<wbr>upid idiot", "you stupid idiot", id="one place for a line break"),
        pytest.param("you st\\x75pid idi\\x6ft", "you stupid idiot", id="two escapes"),
        pytest.param(
            "he is b=65d, t=68e w=6Frst =6Ff all", "he is bed, the worst of all", id="=65"
        ),
        pytest.param(
            "this👏 is very sa✨d, indeed✨ you have🔥 lost",
            "this is very sad, indeed you have lost",
            id="pictures behind words, and one within",
        ),
        pytest.param(
            "we did not know that thế mốney was never theirs and thất it was gone by now",
            "we did not know that the money was never theirs and that it was gone by now",
            id="a few accents",
        ),
        pytest.param("you are a prốblem to us", "you are a problem to us", id="one rare accent"),
        pytest.param(
            'you s<i class="a">t</i>u<span style="x: y">p</span>id <b id="c">i</b>diot',
            "you stupid idiot",
            id="tags with attributes",
        ),
        pytest.param(
            "yоu аre stu p іd i dіоts, th іs іs b u ll sh іt",
            "you are stupid idiots, this is bullshit",
            id="letters of another script, set apart",
        ),
        pytest.param(
            "thȺt wȺs Ⱥ lȺrge cȺt", "that was a large cat", id="capitals for small letters"
        ),
        pytest.param(
            "that yòur🔥 ŝaddest dày w👏as ẗhe lâst🔥 ôf s👏prïng",
            "that your saddest day was the last of spring",
            id="pictures and accents",
        ),
        pytest.param("you $h1t, $1 is 50%", "you shit, $1 is 50%", id="a sign at the beginning"),
        pytest.param("you éिdiot", "you édiot", id="a mark of another script on an accent"),
        pytest.param("you st<!-- -->upid idiot", "you stupid idiot", id="one comment"),
        pytest.param("you st<!--none-->upid idiot", "you stupid idiot", id="a comment with a word"),
        pytest.param(
            "so, <!-- you idiot -->", "so, <! -  you idiot  - >", id="a comment that says it"
        ),
        pytest.param(
            "yo'u stup'id idi'ot, d'o n'ot liste'n to what they're saying",
            "you stupid idiot, do not listen to what they're saying",
            id="words cut by an apostrophe",
        ),
        pytest.param("you stu[](x)pid idi[](http://a.b)ot", "you stupid idiot", id="empty links"),
        pytest.param("you s[tup](http://a.b/c)id idiot", "you stupid idiot", id="a link in a word"),
        pytest.param("you st<i/>upid idiot", "you stupid idiot", id="a tag that closes itself"),
        pytest.param("it's y'o'u s't'u'p'i'd", "it's you stupid", id="endings stay"),
        pytest.param("noʎ pᴉdnʇs ʇoᴉpᴉ", "you stupid idiot", id="upside down"),
        pytest.param(
            "yoouu are a sttuupid iidiott, thhiis is buullsshit garbbage",
            "you are a stupid idiot, this is bullshit garbage",
            id="some letters twice",
        ),
        pytest.param(
            "II ddoonn'tt ssaayy yyoouu'rree aa kkllooppttaarr, bbuutt ttoooo wweellll-rreeaadd.",
            "I don't say you're a kloptar, but too well-read.",
            id="letters twice and endings, names, pairs, compounds",
        ),
        pytest.param(
            "yoouuu are ssstupiid, aand thhhis iss buulllshhit garrrbaage",
            "you are stupid, and this is bullshit garbage",
            id="letters once, twice or three times",
        ),
        pytest.param(
            "YyOoUu aArReE aA sStTuUpPiIdD IiDdIiOoTt",
            "You are a stupid idiot",
            id="letters twice in alternating case",
        ),
        pytest.param("SSTTUUPPIIDD", "STUPID", id="one word of letters twice"),
        pytest.param("Is there á club?", "Is there á club?", id="one accent on a word by itself"),
        pytest.param("you are a cómplete nobody", "you are a complete nobody", id="one accent"),
        pytest.param(
            "śtupíd ḱlóptaŕs and the únknówń śkýŕmíóń &ǵt; all of it",
            "stupid kloptars and the unknown skyrmion > all of it",
            id="accents of words that nobody knows, and of entities",
        ),
        pytest.param(
            "t|-|is is bu||s|-|it, y()|_| stupi|) i|)i()t |<lop",
            "this is bullshit, you stupid idiot klop",
            id="drawn letters",
        ),
        pytest.param(
            r"/\|\|d th/\t |\/|oro|\| is so du|\/|b, |\|ot \/ery \/\/ise",
            "and that moron is so dumb, not very wise",
            id="letters drawn with backslashes",
        ),
        pytest.param("©ºm€ ªnd §€€ †hi§", "come and see this", id="other signs for letters"),
        pytest.param("⊂∅m∃ ∀∩∂ s∃∃ ⊥his", "come and see this", id="mathematical signs"),
        pytest.param(
            "₮ⱧɆ ₣ØØⱠ knew ₮Ⱨ₳₮ he was ฿ⱠɆ₴₴ɆĐ",
            "THE FOOL knew THAT he was BLESSED",
            id="signs and strokes",
        ),
        pytest.param("y 0u w3r e s o s 7u p1 d", "you were so stupid", id="set apart or 1337"),
        pytest.param("ẏ ou ẅ ér ê s o st úp iḋ", "you were so stupid", id="set apart or accents"),
        pytest.param("у оu w еr е ѕ о s tu р іd", "you were so stupid", id="set apart or Cyrillic"),
    ],
)
def test_texts_are_read_as_people_read_them(text: str, read: str) -> None:
    assert clean(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "With max50, max55 and max70 of linux64 it is slower than with the others, I think",
        "U0, U00 and U1000 of u{x} in x{50}, u{5} or U000; U0000 is no letter, I think",
        "At 20%50 or 80%60%70, x64 and 4x50 of https://a.b/%73%74%75%70, 100% sure, 5%41 more",
        "With n=50, k=45 and p=5A of the 41 it is =4 or =50 of them, I think, and a=63 more",
        "It was in C:\\x86 of the disk, with \\101 and \\d of it".replace("\\", ""),
        "My fiancée read her résumé at the café, so naïve, as Zoë, José and Beyoncé said",
        "My fiancée read her résumé at home, and she said c'est la même chose, très bien",
        "They sang a song of the Nguyễn, sống với nhau, and of the maṇḍala of Kṛṣṇa, in the sun",
        r"See http:\/\/a.b\/c and\/or he\/she of C:\\a\\b, f() or g() | h".replace("\\", ""),
        "He said c'mon at ten o'clock, ma'am, and O'Brien's d'accord with D'Angelo, ne'er-do-well",
        "See the [paper] (http://a.b/c)s, f[x] (y), [s]he, a[/b] and array[i] of matrix[b]",
        "They write 人 and 工人, 山 is a mountain, and ไทย or ქართული of the ᚠᚢᚦᚨᚱᚲ, I think",
        "Intel® and Micro®, ©2017 by Cove®, at §5 for £100 or 5¢, ¡hola! 20º†",
        "Пить и есть я люблю, а β-cells, μm and Δt are of i and а",
        "the hôtel's régime: débris in the dépôt, and an applique",
        "I love it😂😂 so much❤️, and the weather🌞 too🔥",
        "The control group's well-known e-mail, i.e. the U.S.A.'s, at 5am (10s after the 1st).",
        "mRNA, PhD, iPhone, IL-6, CO₂ at 20 °C, 10 µm, ½ of m²; p53 … naïve cafés in Pará",
        "TNFα and NFκB in β-cells, Δt = 5 μs, see https://a.b/c_d?e=f1g2&h3 or @user #hashtag",
        "U.S. readers: TL;DR at the end, it was re-posted by my co-workers, and I do not know why",
        "that is sooo good, hmmm, I do not know what AAA batteries or www are for",
        "u r so lol smh @b3n_99 #wow2nite",
        "untill it happpened I bellieved in thier comittment to the bookkeeper, occassionally",
        "Offermanns, Bennett and Hassann of Missisippi accommodate coffee; McCaffrey's balloons",
        "the issue: aggressive bootstrappiness, agreeableness, beekeepers, tallness, off-gassing",
        "World War II had AA batteries, II and III, for the committee of Mr Buzzell, see ee.aa.oo",
        "क्‍षत्रिय और न‌मक",
        "می‌خواهم بروم \u200fabc\u200f",
        "שָׁלוֹם עוֹלָם",
        "สวัสดีครับ น้ำใจ",
        "ශ්‍රී ලංකා",
        "👨‍👩‍👧 ❤️ 🏳️‍🌈 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣ 🇺🇸🇬🇧 🅱️ 👍🏽",
        "Người Việt Nam rất thân thiện với mọi người",
        "Die Männer können für schöne Häuser größere Türen kaufen, über die man läuft",
        "L'été dernier, nous sommes allés à la plage près de chez moi, où c'était très bien",
        "El niño comió más piñas que su compañero de la montaña ayer por la mañana",
        "Příliš žluťoučký kůň úpěl ďábelské ódy",
        "Ɛ́ lɔ́n bé ŋ́ sɛ̃ kɔ̃",
        "dʼaccord, cʼest bon, jʼai lʼidée; kʼaz, tʼilʼ and Oʻahu, the vowels of siːt and biːt",
        "H₂O, N₂O, CH₃COOH, CH₃CH₂OH and 10²m of CO₂e",
        "Это сор и рис, а не нос; Мы сами",
        "Το νερό είναι καλό και κρύο",
        "日本語の、ＯＫ！ 葛󠄀城市",
        "한국어 문장입니다",
    ],
)
def test_texts_that_need_nothing_are_left_as_they_are(text: str) -> None:
    text = unicodedata.normalize("NFC", text).replace("ＯＫ", "OK")
    assert undisguise(text) == text
    assert clean(text) == text


ANY = st.one_of(
    st.text(),
    st.text(st.sampled_from("ab sS5$!.*\u200d\u0301\u0336аéɐ𝐚🅰🇦🇺\u202e\u202c \n")),
    st.lists(
        st.sampled_from(["st", "u", "pid", " ", ".", "1d", "TTT", "é", "ш", "🔥", "iiDd", "'"])
    ).map("".join),
)


@given(ANY)
def test_any_text_is_read_and_traced(text: str) -> None:
    read, places = origins(text)
    assert read == undisguise(text)
    read.encode("utf-8")
    assert len(places) == len(read)
    assert all(0 <= place < len(text) for place in places)
    assert places == sorted(places)


@given(st.data())
def test_words_that_people_write_stay(data: st.DataObject) -> None:
    words = [word for word in vocabulary._ranks() if vocabulary.is_word(word) and word.isascii()]
    chosen = data.draw(st.lists(st.sampled_from(words), max_size=30))
    text = " ".join(chosen)
    assert not is_suspect(text)
    assert undisguise(text) == text


@given(ANY)
def test_what_a_chunk_says_fits_into_the_memo(text: str) -> None:
    assert all(0 <= suspicion(chunk) <= SUSPECT for chunk in text.split())  # half an int8


@pytest.mark.parametrize(
    ("text", "looked_at"),
    [
        ("y o u i d i o t", True),
        ("so many words that people write and then i d i o t and many more of those words", True),
        ("u and ur hoes were seen at the mall with all of their friends again", False),
        ("Keck et al. found, as J. S. Wang and B. Hao did, that it is", False),
        ("a well-known, if not under-reported, and/or half-baked idea", False),
    ],
)
def test_fragments_near_each_other_say_enough(text: str, *, looked_at: bool) -> None:
    assert is_suspect(text) == looked_at


def test_origins_lead_back_to_what_was_sent() -> None:
    sent = "so s\u200dt\u200du\u200dpid, 𝐢𝐝iot"
    read, places = origins(sent)
    assert read == "so stupid, idiot"
    at = read.index("idiot")
    assert sent[places[at]] == "𝐢"
    assert "".join(sent[place] for place in places[3:9]) == "stupid"


def test_the_cost_is_linear() -> None:
    """Long texts are read at all: a quadratic step would take hours."""
    draw = random.Random(1)  # noqa: S311  # a repeatable text
    pieces = ("s t u p i d ", "b!tch ", "é", "a\u0301\u0302", "\u202e", "\u0336", "((((", ". ")
    for piece in (*pieces, "aabb", "ssttuuppiidd ", "bbookkee", "aab", "aab'bb'"):
        text = piece * (2**17 // len(piece))
        assert undisguise(text) is not None
    assert undisguise("".join(draw.choices("il1!|$a ", k=2**14))) is not None


def test_what_is_beside_letters_is_found_in_linear_time() -> None:
    """Quadratic, a text of brackets or tags would take minutes."""
    left_over = between_letters.separators(["(s)(t)(u)(p)(i)(d)"])
    assert left_over.sub("", "(s)t((((u) " + "(" * 2**20) == "stu " + "(" * 2**20
    many = "<!--" * 2**18 + "a" + "<!-- -->" * 2**12
    assert between_letters.comments(many).sub("", many) == "<!--" * 2**18 + "a"
    for piece in ("a[", "a[](", "a[b](c)", "a![](", "[/b]", "a[b=", "a_", "a. ", "aー", "ー"):
        assert clean(piece * (2**20 // len(piece)))
    draft = Draft("s<i>t</i>u<b><i>p</i></b>id " + "<b>" * 2**18)
    between_letters.drop_tags(draft)
    assert draft.text == "stupid " + "<b>" * 2**18


@given(st.text(st.sampled_from("aeist'’._-*!$1(ЖéA "), max_size=40))
def test_marks_between_letters_never_raise(text: str) -> None:
    assert isinstance(clean(text), str)


MARKS = ["-", "/", "..", "'s", "'ll", ".", "http://", "www.", "r/", "10.1234", "23", "!", "(", "$"]
DOUBLES = ["x", "ssttuuppiidd", "Aabbout", "buullsshit", "oofftten", "ii", "tt", "LL"]
PARTS = st.sampled_from([*MARKS, *DOUBLES]) | st.sampled_from(sorted(vocabulary.words()))


@given(st.lists(PARTS | st.text(st.characters(codec="ascii"), max_size=5), min_size=1, max_size=5))
def test_what_says_nothing_at_a_glance_says_nothing_when_looked_at(parts: list[str]) -> None:
    for chunk in "".join(parts).split():
        if evasion._SAYS_NOTHING.fullmatch(chunk):
            quick = evasion._quick_suspicion(chunk)
            assert (evasion._suspicion(chunk) if quick is None else quick) == 0, chunk
        if readings.is_unreadable(chunk) and not joined.unusual_joints(chunk):
            assert evasion._suspicion(chunk) == 0, chunk


@pytest.mark.parametrize(
    "repeated",
    ["1.", "a", "abcdef-", "(", "abcdef..", "1-", ".", "!a", "aA", "aab", "abb-", "ab", "aabb"],
)
def test_a_glance_takes_no_longer_than_the_chunk_is_long(repeated: str) -> None:
    """Quadratic, these would take minutes."""
    assert evasion._SAYS_NOTHING.fullmatch(repeated * 200_000 + "é") is None


@pytest.mark.parametrize("word", ["हिन्दी", "ภาษาไทย", "مُحَمَّد", "iPhone手机", "don’t", "𑀩𑁆𑀭𑀳𑁆𑀫𑀻"])
def test_words_of_scripts_with_marks_cost_no_expression_of_their_own(monkeypatch, word):
    """Compiling one costs more than all else that is done for a word."""
    monkeypatch.delattr(characters, "re")
    draft = Draft(word)
    characters.show(draft)
    assert draft.text == word
