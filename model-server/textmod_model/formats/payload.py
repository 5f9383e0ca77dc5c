"""Parsing that several formats share: UTF-8, JSON, a field by its path, lists of strings."""

import json
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence
from typing import Final

import orjson

from textmod_model.formats.message import Decoded, RefusedError

MAX_TEXTS_PER_MESSAGE = 10_000
"""A message of a mebibyte can hold hundreds of thousands of empty texts; nobody means that."""

MISSING = object()

_MOST_DIGITS: Final = sys.int_info.default_max_str_digits
_SHORTEST_WIDE: Final = 7  # bytes, without NULs at the end: four characters of UTF-16
_CONTROLS: Final = bytes((*range(9), *range(14, 27), 28, 29, 30, 31))  # no text is half controls


def utf8(raw: bytes) -> str:
    """Decode a text; raises RefusedError NotUtf8."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise RefusedError("NotUtf8", f"byte {error.start} is not valid UTF-8.") from None


def plain_text(raw: bytes) -> str:
    """Decode a value that is a text as a whole; raises RefusedError NotUtf8.

    UTF-16 and UTF-32 without a byte order mark are often valid UTF-8, of NULs and other controls at
    every other byte. NULs at the end are the padding of a field.
    """
    if b"\0" in raw:
        unpadded = raw.rstrip(b"\0")
        if len(unpadded) >= _SHORTEST_WIDE and any(
            _half_controls(unpadded[start::2]) for start in (0, 1)
        ):
            raise RefusedError("NotUtf8", "the value is UTF-16 or UTF-32, or no text.")
    return utf8(raw)


def _half_controls(some: bytes) -> bool:
    """Tell whether NULs are among the bytes, and at least half are controls."""
    return b"\0" in some and 2 * len(some.translate(None, _CONTROLS)) <= len(some)


def parse_json(raw: bytes) -> object:
    """Parse a JSON document; raises RefusedError NotUtf8 or NotJson.

    The strict fast parser comes first, the forgiving one of the standard library takes what it
    refuses: lone surrogates in escapes, NaN, integers beyond 64 bits. A byte order mark before the
    document is not part of it (RFC 8259, section 8.1). Integers of more digits than the interpreter
    converts are infinite: a number beside the text must not decide whether the text is found.
    """
    raw = raw.removeprefix(BOM_UTF8)
    try:
        return orjson.loads(raw)
    except ValueError:
        text = utf8(raw)
    try:
        return json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        where = f" (at character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
        raise RefusedError("NotJson", f"the message is not valid JSON{where}.") from None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def dumps(document: object) -> bytes:
    """Write JSON; what only the forgiving parser took in, only the forgiving writer writes.

    Lone surrogates and integers beyond 64 bits, for instance. Raises RefusedError WrongSchema.
    """
    try:
        return orjson.dumps(document)
    except TypeError:
        pass
    try:
        return json.dumps(document, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise RefusedError("WrongSchema", "meta can't be written back as JSON.") from None


def find(document: object, path: Sequence[str]) -> object:
    """Return the value at a path of names, or MISSING."""
    value = document
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


def field(document: object, path: Sequence[str]) -> object:
    """Return the value at a path; raises RefusedError NoTextField if there is none."""
    value = find(document, path)
    if value is MISSING:
        raise RefusedError("NoTextField", f"the message has no field {'.'.join(path)}.")
    return value


def document_text(document: object, path: Sequence[str]) -> Decoded:
    """Return the one text of a document, and the document's id; raises RefusedError."""
    if not isinstance(document, dict):
        raise RefusedError("WrongSchema", "the message must be a JSON object.")
    text = field(document, path)
    if not isinstance(text, str):
        raise RefusedError("TextNotString", f"the field {'.'.join(path)} must be a string.")
    name = document.get("id")
    named = isinstance(name, str | int) and not isinstance(name, bool) and name != ""
    return Decoded((text,), None, name if named else None)


def strings(values: Iterable[object], where: str) -> tuple[str, ...]:
    """Return the strings of a list and of the lists in it, in order; raises RefusedError.

    As numpy's ravel, two levels deep.
    """
    texts: list[str] = []
    for value in values:
        for item in value if isinstance(value, list) else (value,):
            if not isinstance(item, str):
                raise RefusedError("TextNotString", f"{where} must hold nothing but strings.")
            texts.append(item)
    if not texts:
        raise RefusedError("NoText", f"{where} holds no text.")
    if len(texts) > MAX_TEXTS_PER_MESSAGE:
        raise RefusedError(
            "TooManyTexts",
            f"{where} holds {len(texts)} texts, more than the {MAX_TEXTS_PER_MESSAGE} allowed.",
        )
    return tuple(texts)


def texts_of(payload: object, path: Sequence[str] = ("body",)) -> tuple[str, ...]:
    """Return the texts of a string, of bytes, of (nested) lists of strings, or of a field.

    Raises RefusedError.
    """
    if isinstance(payload, bytes | bytearray):
        return (utf8(bytes(payload)),)
    if isinstance(payload, dict):
        payload = field(payload, path)
    return strings(payload if isinstance(payload, list) else [payload], "the payload")
