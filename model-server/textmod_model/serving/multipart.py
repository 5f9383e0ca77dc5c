"""The fields of a form that came as multipart/form-data (RFC 7578).

Time is linear in the size of the body whatever it holds; the standard library's parser takes
minutes for one header of some kilobytes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from textmod_model.formats.message import RefusedError

MOST_PARTS: Final = 100
LONGEST_HEAD: Final = 4096
"""Bytes of a part's headers."""

_BOUNDARY: Final = re.compile(
    r';\s*boundary=(?:"(?P<quoted>[^"]{1,70})"|(?P<token>[^\s;,"]{1,70}))', re.IGNORECASE
)
_DISPOSITION: Final = re.compile(rb"^content-disposition:([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_NAME: Final = re.compile(rb';[ \t]*name=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_FILE: Final = re.compile(rb";[ \t]*filename\*?=", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """One field of a form."""

    name: str
    content: bytes
    file: bool
    """Whether it has a file's name."""


def parts(content_type: str, body: bytes) -> Iterator[Part]:
    """Yield the named fields of a form; none if the header names no boundary.

    Raises RefusedError for a form that is cut, or larger than anybody means.
    """
    named = _BOUNDARY.search(content_type)
    if named is None:
        return
    boundary = (named["quoted"] or named["token"]).encode("latin-1", "replace")
    _, *found = (b"\r\n" + body).split(b"\r\n--" + boundary, MOST_PARTS + 1)
    for part in found:
        if part.startswith(b"--"):
            return
        yield from _part(part)
    reason = "has too many fields" if len(found) > MOST_PARTS else "ends without its boundary"
    raise RefusedError("WrongSchema", f"the form {reason}.")


def _part(part: bytes) -> Iterator[Part]:
    """Yield a part if it has a name."""
    head, blank, content = part[: LONGEST_HEAD + 4].partition(b"\r\n\r\n")
    if not blank:
        raise RefusedError("WrongSchema", "a field of the form has no end of its headers.")
    disposition = _DISPOSITION.search(head)
    name = _NAME.search(disposition[1]) if disposition else None
    if disposition is None or name is None:
        return
    content = part[len(head) + len(blank) :]
    text = (name[1] if name[1] is not None else name[2]).decode("utf-8", "replace")
    yield Part(text, content, _FILE.search(disposition[1]) is not None)
