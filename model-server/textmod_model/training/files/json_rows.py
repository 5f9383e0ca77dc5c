"""Reads JSON Lines, and arrays of JSON objects."""

import io
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from textmod_model.training.files.table import DatasetError, Row, Table, always, printable

_FIRST_OBJECTS: Final = 100  # of a JSON file, that name its columns


def json_table(path: Path, text: str, notes: list[str]) -> Table:
    """Return the table of JSON objects. Raises DatasetError, also while its rows are read."""
    array = text.lstrip().startswith("[")
    objects = _elements(path, text) if array else _objects(path, text)
    first = list(itertools.islice(objects, _FIRST_OBJECTS))
    if not first:
        raise DatasetError(f"{path} is empty: give JSON Lines, one object a line.")
    if not array and len(first) == 1 and _holds_rows(first[0][1]):
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
            yield Row(values, always(f"{unit} {number}"))

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
