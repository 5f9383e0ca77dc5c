"""Reads CSV files, with a header and any of four delimiters."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from textmod_model.training.files.table import DatasetError, Row, Table

MAX_FIELD: Final = 16 * 1024 * 1024
"""Longest field of a CSV file, in characters."""
# Excel takes the delimiter of a CSV file from such a first line, which is not part of its table.
_EXCEL_DELIMITER: Final = re.compile(r'"?sep=(?P<mark>[,;|\t])"?(?:\r\n?|\n)', re.IGNORECASE)


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


def csv_table(path: Path, text: str, notes: list[str]) -> Table:
    """Return the table of a CSV file. Raises DatasetError, also while its rows are read."""
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
