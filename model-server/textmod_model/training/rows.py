"""Read the rows of a file, whatever its kind: CSV, JSON Lines or Parquet.

A row keeps its place in the file, so that an error can name it.
Damage is an error that names its line. Repairs are notes.
"""

import codecs
import csv
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow

MAX_FIELD: Final = 16 * 1024 * 1024
"""Longest field of a CSV file, in characters."""
_PARQUET_MAGIC: Final = b"PAR1"
_JSON_SUFFIXES: Final = (".jsonl", ".ndjson", ".json")
_PARQUET_ROWS: Final = 4096
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
# Excel takes the delimiter of a CSV file from such a first line, which is not part of its table.
_EXCEL_DELIMITER: Final = re.compile(r'"?sep=(?P<mark>[,;|\t])"?(?:\r\n?|\n)', re.IGNORECASE)
_JSON_BEGINS: Final = re.compile(r'\s*(?:\[\s*)?\{\s*"')  # and no header of a CSV file
_FIRST_OBJECTS: Final = 100  # of a JSON file, that name its columns
# One character in UTF-8 that is not ASCII, and any byte that ASCII lacks.
_UTF8_CHARACTER: Final = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_MANY_FOREIGN: Final = 0.25  # share of the bytes beyond ASCII: languages of Windows-1252 have less
_MANY_NULS: Final = 0.1  # share of the bytes: text in UTF-16 without a byte order mark has more


class DatasetError(ValueError):
    """A file that cannot be read as labelled comments; the message says where and what to do."""


@dataclass(frozen=True)
class Row:
    """The values of one row, as many as the table has columns."""

    values: Sequence[object]
    place: Callable[[int], str]
    """Return where in the file the value of a column stands, such as ``line 7``."""
    lines: Sequence[str] = ()
    """The lines of a CSV file that the row was read from."""

    def blank(self) -> bool:
        """Tell whether the row says nothing."""
        return all(value is None or not str(value).strip() for value in self.values)


@dataclass(frozen=True)
class Table:
    """A file's rows, read as they are asked for."""

    columns: list[str]
    rows: Iterator[Row]
    notes: list[str] = field(default_factory=list)
    """What was repaired, a sentence each."""
    delimiter: str = ","


def read(path: Path) -> Table:
    """Open a file by its content and its name. Raises DatasetError, also while rows are read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error
    if data.startswith(_PARQUET_MAGIC):
        return _parquet(path)
    for magic, what in _OTHER_FILES.items():
        if data.startswith(magic):
            raise DatasetError(f"{path} is {what}.")
    notes: list[str] = []
    text = _decoded(path, data, notes)
    if path.suffix.lower() in _JSON_SUFFIXES or _JSON_BEGINS.match(text):
        return _json_lines(path, text, notes)
    return _csv(path, text, notes)


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


def printable(text: str, most: int) -> str:
    """Return up to `most` characters, those that a terminal would not show as escapes."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[:most])


def _line_ends(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")


def _some(first: Sequence[str], total: int) -> str:
    """Name the first few of many."""
    named = ", ".join(first[:_NAMED])
    return f"{named} and {total - _NAMED:,} more" if total > _NAMED else named


# --- CSV --------------------------------------------------------------------------------------


class _Lines(Iterator[str]):
    """The lines of a text: how many were read, and those of the current record."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self.record: list[str] = []
        self.count = 0

    def __next__(self) -> str:
        line = next(self._lines)
        self.count += 1
        self.record.append(line)
        return line


def _csv(path: Path, text: str, notes: list[str]) -> Table:
    csv.field_size_limit(MAX_FIELD)
    lines = _Lines(text)
    said = _EXCEL_DELIMITER.match(text)
    if said:
        next(lines)
    delimiter = said["mark"] if said else _delimiter(text)
    records = _records(path, lines, delimiter)
    header = next(records, None)
    if header is None:
        raise DatasetError(f"{path} is empty: give a CSV file with a header row.")
    columns = _names(header[1])
    return Table(columns, _csv_rows(path, records, columns), notes, delimiter)


def _names(header: Sequence[str]) -> list[str]:
    """Return the names of a header's columns, without byte order marks."""
    return [name.strip().strip("\ufeff").strip() for name in header]


def _delimiter(text: str) -> str:
    """Return what separates the columns of a file's first line that says something."""
    header = next((line for line in io.StringIO(text) if line.strip()), "")
    counts = {mark: header.count(mark) for mark in ",\t;|"}
    return max(counts, key=lambda mark: counts[mark])


def _records(
    path: Path, lines: _Lines, delimiter: str
) -> Iterator[tuple[int, list[str], list[str]]]:
    """Yield the line on which each record begins, its values and its lines; blank lines skipped."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.record = []
        begins = lines.count + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DatasetError(_sentence(path, begins, lines.count, error)) from error
        if any(value.strip() for value in values):
            yield begins, values, lines.record


def _sentence(path: Path, begins: int, ends: int, error: csv.Error) -> str:
    """Return the sentence for an error in a record."""
    reason = str(error)
    if "unexpected end of data" in reason:
        return (
            f"{path}, line {begins}: a quotation mark opens a field here and nothing closes it: "
            'close it, or double it ("") if it belongs to the text.'
        )
    if "field larger" in reason:
        return (
            f"{path}, line {begins}: a field of more than {MAX_FIELD:,} characters: a quotation "
            "mark may be missing."
        )
    if "expected after" in reason:
        where = f"line {ends}" + (f" (of the row that begins on line {begins})" * (ends > begins))
        return (
            f"{path}, {where}: more text behind a closing quotation mark: double the quotation "
            'marks ("") that belong to a text.'
        )
    return f"{path}, line {ends}: {reason}."


def _csv_rows(
    path: Path, records: Iterator[tuple[int, list[str], list[str]]], columns: list[str]
) -> Iterator[Row]:
    for begins, values, lines in records:
        if len(values) != len(columns):
            raise DatasetError(
                f"{path}, line {begins}: {len(values)} fields, the header has {len(columns)}: "
                "put quotation marks around a text with commas."
            )
        # In a file of one column a text may be a name; not behind a byte order mark.
        joined = len(columns) > 1 or values[0].startswith("\ufeff")
        if joined and _names(values) == columns:
            raise DatasetError(
                f"{path}, line {begins}: the header is here again, as in files that were joined: "
                "leave this line out."
            )
        yield Row(values, _line_of(begins, values), lines)


def _line_of(begins: int, values: list[str]) -> Callable[[int], str]:
    """Return the line of each column of a record that may have line breaks in its fields."""

    def place(column: int) -> str:
        before = sum(_breaks(value) for value in values[:column])
        return f"line {begins + before}"

    return place


def _breaks(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def apart(row: Row, delimiter: str) -> list[list[str]]:
    """Return the fields of each line of a row as if it were a row of its own, blank lines left out.

    Where every line of a long field is a complete row, a quotation mark is missing or too many.
    """
    return [
        [field.strip(' "') for field in line.rstrip("\r\n").split(delimiter)]
        for line in row.lines
        if line.strip()
    ]


# --- JSON Lines and Parquet -------------------------------------------------------------------


def _json_lines(path: Path, text: str, notes: list[str]) -> Table:
    array = text.lstrip().startswith("[")
    objects = _elements(path, text) if array else _objects(path, text)
    first = list(itertools.islice(objects, _FIRST_OBJECTS))
    if not first:
        raise DatasetError(f"{path} is empty: give JSON Lines, one object a line.")
    if len(first) == 1 and _holds_rows(first[0][1]):
        raise DatasetError(
            f"{path} is one object with all rows: write an array of objects or one object a line, "
            "in pandas with to_json(path, orient='records')."
        )
    columns = list(dict.fromkeys(name for _, found in first for name in found))
    unit = "row" if array else "line"

    def rows() -> Iterator[Row]:
        for number, found in itertools.chain(first, objects):
            if isinstance(found, _Repeated):
                raise DatasetError(
                    f"{path}, {unit} {number}: the object has two values named "
                    f"{printable(found.name, 40)}: keep the right one."
                )
            values = [found.get(name) for name in columns]
            yield Row(values, _always(f"{unit} {number}"))

    return Table(columns, rows(), notes)


class _Repeated(dict[str, object]):
    """A JSON object with two values of one name, of which it holds the last."""

    name = ""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the object of its names and values; a `_Repeated` if two of them have one name."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated = _Repeated(found)
    repeated.name = Counter(name for name, _ in pairs).most_common(1)[0][0]
    return repeated


def _holds_rows(found: dict[str, object]) -> bool:
    """Tell whether an object is a whole table, by columns or within a field; a row has a text."""
    values = found.values()
    return any(isinstance(value, dict | list) for value in values) and not any(
        isinstance(value, str) for value in values
    )


def _always(place: str) -> Callable[[int], str]:
    return lambda _: place


def _objects(path: Path, text: str) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield the number and the object of each line that is not blank."""
    for number, line in enumerate(io.StringIO(text), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}, line {number}: {_no_json(line, error)}.") from error
        if not isinstance(found, dict):
            raise DatasetError(
                f"{path}, line {number}: not a JSON object: {line[:40]!r}: give one object a line."
            )
        yield number, found


def _no_json(line: str, error: ValueError | RecursionError) -> str:
    """Say why a line is not one JSON document."""
    if isinstance(error, RecursionError):
        return "not JSON: nested too deeply"
    if not isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error}"
    if not line[error.pos :].strip() and line.lstrip().startswith("{"):
        return "not JSON: an object does not end on its line: give one object a line, or an array"
    if error.msg == "Extra data":
        return f"not JSON: a second document at character {error.colno}: give one object a line"
    return f"not JSON: {error.msg} (character {error.colno})"


def _elements(path: Path, text: str) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield the number and the object of each element of a JSON array."""
    try:
        found = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}, line {error.lineno}: not JSON: {error.msg}.") from error
    except RecursionError as error:
        raise DatasetError(f"{path}: not JSON: nested too deeply.") from error
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON: {error}.") from error
    for number, element in enumerate(found, start=1):
        if not isinstance(element, dict):
            raise DatasetError(f"{path}, row {number}: not a JSON object: {element!r:.40}.")
        yield number, element


def _parquet(path: Path) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise DatasetError(f"{path} is Parquet: install textmoderation[train].") from error
    try:
        file = parquet.ParquetFile(path)
        columns = list(file.schema_arrow.names)
    except (ArrowException, OSError) as error:
        raise DatasetError(f"{path} is damaged: {_one_line(error)}.") from error

    def rows() -> Iterator[Row]:
        number = 0
        try:
            for batch in file.iter_batches(_PARQUET_ROWS):
                for values in zip(*map(_python, batch.columns), strict=True):
                    number += 1
                    yield Row(values, _always(f"row {number}"))
        except (ArrowException, OSError, UnicodeDecodeError) as error:
            raise DatasetError(
                f"{path} is damaged after row {number}: {_one_line(error)}."
            ) from error

    return Table(columns, rows())


class _Unread:
    """A value of a type that is neither a text nor a number, such as a time; not None."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __repr__(self) -> str:
        return f"of the type {self._kind}"


def _python(column: "pyarrow.Array") -> list[object]:
    """Return a column's values; those of other types than texts and numbers only as `_Unread`.

    Not all of them have a value in Python (dates after the year 9999, nanoseconds).
    """
    from pyarrow import types

    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if any(
        is_kind(kind)
        for is_kind in (
            types.is_string, types.is_large_string, types.is_string_view, types.is_boolean,
            types.is_integer, types.is_floating, types.is_decimal, types.is_null,
        )
    ):  # fmt: skip
        return list(column.to_pylist())
    unread = _Unread(str(column.type))
    return [unread if there else None for there in column.is_valid().to_pylist()]


def _one_line(error: Exception) -> str:
    return printable(" ".join(str(error).split()).rstrip("."), 300)
