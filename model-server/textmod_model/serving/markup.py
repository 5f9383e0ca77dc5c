"""The text of an HTML comment, with the place of each of its characters in what was sent."""

import html
import re
from typing import NamedTuple

_ENTITY = re.compile(r"&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_NAME = re.compile(r"/?\s*([A-Za-z][A-Za-z0-9-]*)")
_INLINE = re.compile(
    r"(a|abbr|b|bdi|bdo|big|cite|code|del|dfn|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike"
    r"|strong|sub|sup|tt|u|var|wbr)"
)
"""Tags that stand within words; any other separates what is before it from what is after it."""
_SILENT = frozenset(("script", "style", "template", "title"))
"""Elements whose content nobody reads."""


class Visible(NamedTuple):
    """A text as a person reads it."""

    text: str
    begins: list[int]
    """Where in the source each character begins."""
    ends: list[int]
    """Where in the source each character ends."""


def visible(source: str) -> Visible:
    """Return the text without tags and comments, its character references read. Linear in time."""
    parts: list[str] = []
    begins: list[int] = []
    ends: list[int] = []

    def say(text: str, begin: int, end: int) -> None:
        """Add a text that the source spells between `begin` and `end`."""
        parts.append(text)
        plain = len(text) == end - begin
        begins.extend(range(begin, end) if plain else [begin] * len(text))
        ends.extend(range(begin + 1, end + 1) if plain else [end] * len(text))

    def say_with_entities(begin: int, end: int) -> None:
        for found in _ENTITY.finditer(source, begin, end):
            say(source[begin : found.start()], begin, found.start())
            say(html.unescape(found[0]), found.start(), found.end())
            begin = found.end()
        say(source[begin:end], begin, end)

    at = 0
    while (opens := source.find("<", at)) >= 0:
        closes = _end_of_tag(source, opens)
        if closes < 0:
            break
        say_with_entities(at, opens)
        named = _NAME.match(source, opens + 1)
        if named is None and source[opens + 1 : opens + 2] not in ("!", "?"):
            say("<", opens, opens + 1)  # such as `a < b`
            at = opens + 1
            continue
        name = named[1].lower() if named else "!"
        if not _INLINE.fullmatch(name) and name != "!":
            say(" ", opens, closes)
        if name in _SILENT and source[opens + 1] != "/":
            ending = re.compile(f"</{name}", re.IGNORECASE).search(source, closes)
            closes = ending.start() if ending else len(source)
        at = closes
    say_with_entities(at, len(source))
    return Visible("".join(parts), begins, ends)


def _end_of_tag(source: str, opens: int) -> int:
    """Return where the tag or comment that opens there is over; -1: nowhere."""
    if source.startswith("<!--", opens):
        closes = source.find("-->", opens + 4)
        return -1 if closes < 0 else closes + 3
    closes = source.find(">", opens)
    return -1 if closes < 0 else closes + 1
