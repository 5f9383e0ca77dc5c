"""spaCy's English tokenizer for one chunk of text, without spaCy.

A chunk is a run of characters without white space. spaCy splits a text into chunks first, then
each chunk by its rules, so that (with the exception of `Tokenized.fragile`) a chunk has the same
tokens wherever it stands, and a scorer may remember them.

This is spaCy 3.8's own algorithm (`Tokenizer._split_affixes`, `_attach_tokens` and
`_apply_special_cases` in spacy/tokenizer.pyx) over spaCy's own regular expressions and special
cases, which come with the model as data. It exists because spaCy takes seconds to import and
100 MiB to hold; tests compare it with spaCy on generated chunks.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import chain, pairwise
from typing import Final, NamedTuple

from textmod_model.text.cleaning import MAX_CHUNK
from textmod_model.text.rules import Rules

PLAIN_SUFFIXES: Final = frozenset(",!?:;()[]{}<>_#*&\"'`")
"""Marks that spaCy splits from the end of anything, one at a time."""
_SUFFIX_REACH: Final = 16
_ASCII_SUFFIX: Final = 5  # the longest of ASCII, such as km/h, and the digit before
_URL_STARTS: Final = ("http://", "https://")
_WHITE_SPACE: Final = re.compile(r"\s+")
# Words or a number between marks, such as ("well-known".) or ~1,000-1,200% or group's.
_FRAMED: Final = re.compile(
    r"""([(\[{"'“‘*_<>#~$]*)"""
    r"""([A-Za-z]+(?:[-/][A-Za-z]+)*|[A-Za-z]+[0-9]+"""
    r"""|[0-9]+(?:(?:[.,:/][0-9]+)*|(?:[.,-][0-9]+)*))"""  # 1.2.3.4/5-6 is an address
    r"""((?:['’][sS])?[%,.!?:;)\]}"'”’*_>]*)"""
)
_JOINTS: Final = re.compile(r"(-|/(?=[A-Za-z]))")
_WORDS: Final = re.compile(r"[A-Za-z]+[0-9]*|[0-9]+(?:[.,:/][0-9]+)*")
# Words of no special case, one of each kind that the rules about the marks around it tell apart.
_STAND_INS: Final = {
    "small": "neutral",
    "capital": "neutralX",
    "capitals": "NEUTRAL",
    "digit": "77",
}


class Tokenized(NamedTuple):
    """The tokens of a chunk."""

    tokens: Sequence[str]
    fragile: bool = False
    """The tokens may be others beside certain neighbours: tokenize the whole text instead."""


class ChunkTokenizer:
    """Tokenize chunks, and whole texts, as spaCy does."""

    def __init__(self, rules: Rules) -> None:
        self._specials = rules.specials
        self._patterns = rules.patterns
        self._pattern_sizes: dict[str, set[int]] = {}  # by a pattern's first token
        for pattern in rules.patterns:
            self._pattern_sizes.setdefault(pattern[0], set()).add(len(pattern))
        self._adjacent = {pair for pattern in rules.patterns for pair in pairwise(pattern)}
        cases = chain(rules.specials, chain.from_iterable(rules.patterns))
        self._words_of_cases = {word for case in cases for word in _WORDS.findall(case)}
        self._marks_before = lru_cache(maxsize=1024)(self._split_before)
        self._marks_behind = lru_cache(maxsize=1024)(self._split_behind)
        self._parts_again = lru_cache(maxsize=8192)(self._parts)  # for chunks met before
        self._domains = rules.top_level_domains
        self._sources = rules

    @cached_property
    def _prefix(self) -> Callable[[str], re.Match[str] | None]:
        # Every alternative is anchored: matching at the start finds what spaCy's search finds.
        return re.compile(self._sources.prefix).match

    @cached_property
    def _suffix(self) -> Callable[..., re.Match[str] | None]:  # of a str, and where to begin
        return re.compile(self._sources.suffix).search

    @cached_property
    def _infixes(self) -> Callable[[str], Iterator[re.Match[str]]]:
        return re.compile(self._sources.infix).finditer

    @cached_property
    def _is_url(self) -> Callable[[str], re.Match[str] | None]:
        return re.compile(self._sources.url).match

    def special_stems(self) -> set[str]:
        """Return the special cases, and what is left of each without its last character."""
        return {*self._specials, *(case[:-1] for case in self._specials)}

    def words_of_cases(self) -> set[str]:
        """Return what words between marks may not be for the marks to come off (`around`)."""
        return {*self._words_of_cases, *self.special_stems()}

    def chunk(self, chunk: str) -> Tokenized:
        """Tokenize one chunk, a str without white space."""
        plain = self.plain(chunk)
        return self.marked(chunk) if plain is None else Tokenized(plain)

    def plain(self, chunk: str) -> tuple[str, ...] | None:
        """Split an ASCII word with at most one mark behind it, None for any other chunk.

        Most chunks are such words. Letters alone match no affix, infix or address; a comma and its
        like come off the end of any word, a full stop off one that ends in a small letter. No
        pattern can apply: its tokens joined would be this chunk, a special case.
        """
        if not chunk.isascii() or chunk in self._specials:
            return None
        if chunk.isalpha():
            return (chunk,)
        word, last = chunk[:-1], chunk[-1]
        splits = last in PLAIN_SUFFIXES or (last == "." and word[-1:].islower())
        if splits and word.isalpha() and word not in self._specials:
            return (word, last)
        return None

    def marked(self, chunk: str) -> Tokenized:
        """Tokenize one chunk that is not `plain`."""
        framed = self._framed(chunk)
        return self._by_rules(chunk) if framed is None else framed

    def _by_rules(self, chunk: str) -> Tokenized:
        # Neighbours can only take a pattern's effect away: a sequence that spans the space between
        # chunks is no special case, but keeps shorter ones it overlaps from being chosen. A chunk
        # that no pattern changes is therefore never changed by its neighbours either.
        parts = self._specials.get(chunk) or self._split(chunk)
        fused = self._fuse(parts, [False] * len(parts))
        return Tokenized(fused, fragile=fused != list(parts))

    def _framed(self, chunk: str) -> Tokenized | None:
        """Split words or a number between marks, None for any other chunk.

        Every special case and pattern with a letter or digit in it has one of `_words_of_cases`, so
        none can apply to others. Hyphens part words and numbers, slashes words alone. The marks
        before and behind then come off as they do of any other word of the same kind.
        """
        match = _FRAMED.fullmatch(chunk)
        if match is None:
            return None
        before, core, after = match.groups()
        words = _JOINTS.split(core)
        if not self._words_of_cases.isdisjoint(words):
            return None
        fragile = False
        if before:
            marks = self._marks_before(before, _STAND_INS[_kind(core[0])])
            if marks is None:
                return None
            words[:0] = marks.tokens[:-1]
            fragile = marks.fragile
        if after:
            marks = self._marks_behind(_STAND_INS[_kind(core[-2:])], after)
            if marks is None:
                return None
            words += marks.tokens[1:]
            fragile |= marks.fragile
        return Tokenized(words, fragile)

    def _split_before(self, before: str, word: str) -> Tokenized | None:
        """Split marks before a word, None if they do not come off it; the word is the last."""
        tokenized = self._by_rules(before + word)
        return tokenized if tokenized.tokens[-1] == word else None

    def _split_behind(self, word: str, after: str) -> Tokenized | None:
        """Split marks behind a word, None if they do not come off it; the word is the first."""
        tokenized = self._by_rules(word + after)
        return tokenized if tokenized.tokens[0] == word else None

    def around(
        self, before: str, behind: str, *, first: str, last: str
    ) -> tuple[Tokenized, Tokenized] | None:
        """Split marks before and behind letters, None if they may not come off as such marks do.

        `first` and `last` are what the letters begin and end with: `small`, `capital`, or
        `capitals` for an end of two. It holds for letters that are none of `words_of_cases`.
        """
        if not before and behind in PLAIN_SUFFIXES:
            return Tokenized(()), Tokenized((behind,))
        match = _FRAMED.fullmatch(before + _STAND_INS["small"] + behind)
        if match is None or match.groups() != (before, _STAND_INS["small"], behind):
            return None
        front = self._marks_before(before, _STAND_INS[first]) if before else Tokenized(("",))
        back = self._marks_behind(_STAND_INS[last], behind) if behind else Tokenized(("",))
        if front is None or back is None:
            return None
        return front._replace(tokens=front.tokens[:-1]), back._replace(tokens=back.tokens[1:])

    def tokenized_with(self, chunks: Sequence[str], at: int, within: range) -> range:
        """Return the run of chunks within which a fragile one is to be tokenized.

        Across the run's edges no pattern reaches, unless they are those of `within`. The chunks are
        taken to be joined by single spaces: anything else would only keep patterns from reaching
        across. A run of one has the chunk's own tokens.
        """
        first, last = at, at
        while first > within.start and self._may_join(chunks[first - 1], chunks[first]):
            first -= 1
        while last < within.stop - 1 and self._may_join(chunks[last], chunks[last + 1]):
            last += 1
        return range(first, last + 1)

    def _may_join(self, left: str, right: str) -> bool:
        if max(len(left), len(right)) > MAX_CHUNK:  # cut into pieces, and not looked at here
            return True
        return (self._parts_again(left)[-1], self._parts_again(right)[0]) in self._adjacent

    def text(self, text: str) -> list[str]:
        """Tokenize a whole text, white space left out."""
        tokens: list[str] = []
        spaced: list[bool] = []  # is the token followed by the space that joins it to the next
        end = 0
        for gap in _WHITE_SPACE.finditer(text):
            self._append(tokens, spaced, text[end : gap.start()])
            space = gap[0]
            if space[0] == " " and tokens:
                spaced[-1] = True
                space = space[1:]
            if space:
                tokens.append(space)
                spaced.append(False)
            end = gap.end()
        self._append(tokens, spaced, text[end:])
        return [token for token in self._fuse(tokens, spaced) if not token.isspace()]

    def _append(self, tokens: list[str], spaced: list[bool], chunk: str) -> None:
        if chunk:
            parts = self._parts_again(chunk)
            tokens.extend(parts)
            spaced.extend([False] * len(parts))

    def like_url(self, token: str) -> bool:
        """Tell whether a token looks like an address (spaCy's `lex_attrs.like_url`)."""
        if token.startswith(_URL_STARTS) or (token.startswith("www.") and len(token) >= 5):
            return True
        if "." not in token or token[0] == "." or token[-1] == "." or "@" in token:
            return False
        domain = token.rsplit(".", 1)[1].split(":", 1)[0]
        if domain.endswith("/") or (domain.isalpha() and domain in self._domains):
            return True
        return self._is_url(token) is not None

    def _parts(self, chunk: str) -> Sequence[str]:
        return self.plain(chunk) or self._specials.get(chunk) or self._split(chunk)

    def _split(self, chunk: str) -> list[str]:
        """Peel affixes off, then split at infixes (spaCy's `_split_affixes`, `_attach_tokens`)."""
        specials = self._specials
        prefixes: list[str] = []
        suffixes: list[str] = []
        left, before = chunk, -1
        while left and len(left) != before and left not in specials:
            before = len(left)
            if left.isascii() and left.isalpha():  # letters alone have no affixes
                break
            head = self._prefix_size(left)
            if head and left[head:] in specials:
                prefixes.append(left[:head])
                left = left[head:]
                break
            tail = self._suffix_size(left[head:])
            if tail and left[:-tail] in specials:
                suffixes.append(left[-tail:])
                left = left[:-tail]
                break
            if head:
                prefixes.append(left[:head])
            if tail and (not head or head + tail <= len(left)):
                suffixes.append(left[-tail:])
                left = left[head:-tail]
            else:
                left = left[head:]
        suffixes.reverse()
        return [*prefixes, *self._middle(left), *suffixes]

    def _prefix_size(self, left: str) -> int:
        # An ASCII letter begins no prefix but those of currencies, an ASCII digit none.
        if left[0].isascii() and left[0].isalnum() and "$" not in left:
            return 0
        match = self._prefix(left)
        return match.end() if match else 0

    def _suffix_size(self, left: str) -> int:
        if left[-1:] in PLAIN_SUFFIXES:
            return len(left[-1:])
        if not left:
            return 0
        reach = _suffix_reach(left[-_ASCII_SUFFIX:])
        if reach is not None:  # an expression that searches less is done sooner
            match = self._suffix(left, max(len(left) - reach, 0)) if reach else None
            return match.end() - match.start() if match else 0
        # Only full stops make suffixes of any length; all others are a few characters and look at
        # two before them. So the end of a long chunk tells, unless the match may begin before it.
        match = self._suffix(left[-_SUFFIX_REACH:])
        if match and match.start() <= 2 and len(left) > _SUFFIX_REACH:
            match = self._suffix(left)
        return match.end() - match.start() if match else 0

    def _middle(self, left: str) -> Sequence[str]:
        if not left:
            return ()
        special = self._specials.get(left)
        if special is not None:
            return special
        if left.isascii() and left.isalnum():
            return (left,)
        if "." in left and self._is_url(left):  # every address has a full stop
            return (left,)
        tokens: list[str] = []
        start = 0
        for match in self._infixes(left):
            if match.start() == 0:
                continue
            if match.start() != start:
                tokens.append(left[start : match.start()])
            if match.start() != match.end():
                tokens.append(match[0])
            start = match.end()
        if start < len(left):
            tokens.append(left[start:])
        return tokens

    def _fuse(self, tokens: Sequence[str], spaced: Sequence[bool]) -> list[str]:
        """Replace token sequences that make a special case (spaCy's `_apply_special_cases`)."""
        spans = self._pattern_spans(tokens)
        if not spans:
            return list(tokens)
        fused: list[str] = []
        done = 0
        for start, end in sorted(_chosen(spans)):
            fused += tokens[done:start]
            span = tokens[start:end]
            special = None
            if not any(spaced[start : end - 1]):
                special = self._specials.get("".join(span))
            fused += span if special is None else special
            done = end
        return [*fused, *tokens[done:]]

    def _pattern_spans(self, tokens: Sequence[str]) -> list[tuple[int, int]]:
        """Return start and end of every token sequence that is a pattern, overlaps included."""
        return [
            (start, start + size)
            for start, token in enumerate(tokens)
            for size in self._pattern_sizes.get(token, ())
            if start + size <= len(tokens) and tuple(tokens[start : start + size]) in self._patterns
        ]


def _suffix_reach(end: str) -> int | None:
    """Return how many of a chunk's last characters may be a suffix, by them; None if it is open.

    The last is none of `PLAIN_SUFFIXES`; of the other ASCII characters, letters end a suffix and
    the four below.
    """
    last = end[-1]
    if not end.isascii() or end[-2:] == "..":
        return None
    if last.isalpha():  # units stand behind a digit; the other suffix of letters is 's
        return 0 if end.isalpha() else _ASCII_SUFFIX
    return _ASCII_SUFFIX if last in ".+%$" else 0


def _kind(end: str) -> str:
    """Return the kind of a word with this end, or beginning: a key of `_STAND_INS`."""
    if end[-1].isdigit():
        return "digit"
    if end[-1].islower():
        return "small"
    return "capitals" if len(end) > 1 and end.isalpha() and end.isupper() else "capital"


def _chosen(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Choose spans that do not overlap, the longest first (`_filter_special_spans`)."""
    chosen: list[tuple[int, int]] = []
    seen: set[int] = set()
    for start, end in sorted(spans, key=lambda span: (span[0] - span[1], span[0])):
        if start not in seen and end - 1 not in seen:
            chosen.append((start, end))
        seen.update(range(start, end))
    return chosen
