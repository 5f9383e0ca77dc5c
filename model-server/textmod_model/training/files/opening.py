"""Opens a file by its content and its name, and decodes it."""

import codecs
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from textmod_model.training.files.csv_rows import csv_table
from textmod_model.training.files.json_rows import json_table
from textmod_model.training.files.parquet_rows import parquet_table
from textmod_model.training.files.table import DatasetError, Table

_PARQUET_MAGIC: Final = b"PAR1"
_JSON_SUFFIXES: Final = (".jsonl", ".ndjson", ".json")
# What begins otherwise than text does, and what it then is.
_OTHER_FILES: Final = {
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"BZh": "compressed with bzip2: unpack it first",
    b"\xfd7zXZ": "compressed with xz: unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it first",
    b"PK\x03\x04": "a ZIP archive or a spreadsheet: unpack it, or save it as CSV in UTF-8",
    b"\xd0\xcf\x11\xe0": "a spreadsheet: save it as CSV in UTF-8",
    b"SQLite format 3": "a database: export the table as CSV in UTF-8",
}
_NAMED: Final = 3  # lines that a note names
_JSON_BEGINS: Final = re.compile(r'\s*(?:\[\s*)?\{\s*"')  # and no header of a CSV file
# One character in UTF-8 that is not ASCII, and any byte that ASCII lacks.
_UTF8_CHARACTER: Final = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_MANY_FOREIGN: Final = 0.25  # share of the bytes beyond ASCII: languages of Windows-1252 have less
_MANY_NULS: Final = 0.1  # share of the bytes: text in UTF-16 without a byte order mark has more


def read(path: Path) -> Table:
    """Open a file by its content and its name. Raises DatasetError, also while rows are read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error
    if data.startswith(_PARQUET_MAGIC):
        return parquet_table(path)
    for magic, what in _OTHER_FILES.items():
        if data.startswith(magic):
            raise DatasetError(f"{path} is {what}.")
    notes: list[str] = []
    text = _decoded(path, data, notes)
    if path.suffix.lower() in _JSON_SUFFIXES or _JSON_BEGINS.match(text):
        return json_table(path, text, notes)
    return csv_table(path, text, notes)


def _decoded(path: Path, data: bytes, notes: list[str]) -> str:
    """Decode a file as UTF-8, what is not UTF-8 in it as Windows-1252.

    A file with more stray bytes than characters in UTF-8 is Windows-1252 as a whole.
    """
    wide = _wide(data)
    if wide:
        try:
            return data.decode(wide)
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"{path} begins as {wide.upper()} and is damaged at byte {error.start:,}: save it "
                "as UTF-8."
            ) from error
    if data.count(0) > _MANY_NULS * len(data):
        raise DatasetError(
            f"{path} is not text, or UTF-16 without a byte order mark: save it as UTF-8."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    data = data.removeprefix(codecs.BOM_UTF8)
    characters = sum(1 for _ in _UTF8_CHARACTER.finditer(data))
    places: list[int] = []

    def repair(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)  # noqa: S101  # for the type checker
        places.append(error.start)
        byte = error.object[error.start : error.start + 1]
        return byte.decode("cp1252", errors="replace"), error.start + 1

    codecs.register_error("textmod-cp1252", repair)
    text = data.decode("utf-8", errors="textmod-cp1252")
    if len(places) > characters:
        if len(places) > _MANY_FOREIGN * len(data):
            notes.append(
                "the file is not UTF-8 and was read as Windows-1252, which has few such texts: "
                "if it is in another encoding, save it as UTF-8"
            )
        return data.decode("cp1252", errors="replace")
    lines = _some([f"{1 + _line_ends(data[:at]):,}" for at in places[:_NAMED]], len(places))
    notes.append(f"bytes that are not UTF-8 were read as Windows-1252 on line {lines}")
    return text


def _wide(data: bytes) -> str:
    """Return the encoding of more than a byte a character that a file begins with."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    return "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ""


def _line_ends(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")


def _some(first: Sequence[str], total: int) -> str:
    """Name the first few of many."""
    named = ", ".join(first[:_NAMED])
    return f"{named} and {total - _NAMED:,} more" if total > _NAMED else named
