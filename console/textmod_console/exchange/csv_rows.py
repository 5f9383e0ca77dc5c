"""CSV with a header. Read: item and decision, and actor, at, note, reason, id if there are any."""

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, TextIO

from textmod_console.errors import DataError
from textmod_console.exchange.rows import Exported, Given, decision_name, moment_of, required

COLUMNS: Final = (
    "id", "item", "decision", "label", "share", "actor", "actorKind", "at", "probability",
    "score", "note", "reason", "model", "policyVersion", "supersedes", "text",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_LARGEST: Final = 1 << 26
"""Characters of a cell: more than the largest message of a topic. Python's own limit is 131,072."""


def read(file: TextIO) -> Iterator[Given]:
    """Yield the decision of each row."""
    csv.field_size_limit(_LARGEST)
    header = next((line for line in file if line.strip()), "")
    header = header.removeprefix("\ufeff")
    marked = header.strip().strip('"').casefold()
    skipped = 0
    if marked.startswith("sep="):  # Excel's way to name the delimiter
        header, skipped = next(file, ""), 1
    delimiter = max(",;\t", key=header.count)
    rows = csv.DictReader(chain([header.casefold()], file), strict=True, delimiter=delimiter)
    try:
        if not {"item", "decision"} <= set(rows.fieldnames or ()):
            raise DataError("line 1: the header must name the columns item and decision.")
        for row in rows:
            place = f"line {skipped + rows.line_num}"
            if not any(isinstance(value, str) and value.strip() for value in row.values()):
                continue
            if any(row.get(None) or ()):  # fields without a column
                raise DataError(
                    f"{place}: more fields than the header has: put quotation marks around a note"
                    " with a comma."
                )
            yield Given(
                place=place,
                item=required(_plain(row.get("item")), "item", place),
                decision=decision_name(row.get("decision"), place),
                actor=_plain(row.get("actor")) or "import",
                at=moment_of(row.get("at"), place),
                note=_plain(row.get("note")) or None,
                reason=_plain(row.get("reason")) or None,
                id=row.get("id") or None,
            )
    except csv.Error as error:
        raise DataError(f"line {skipped + rows.line_num}: {error}.") from None


def write(file: TextIO, rows: Iterable[Exported]) -> int:
    """Write the rows below a header; returns how many."""
    table = csv.writer(file)
    table.writerow(COLUMNS)
    count = 0
    for row in rows:
        one, label = row.decision, row.label or next(iter(row.decision.labels), "")
        table.writerow(
            [
                one.id, _cell(one.item), one.decision, _cell(label), one.labels.get(label, ""),
                _cell(one.actor), one.actor_kind, one.at.isoformat(),
                one.selection.probability if one.selection else "", one.scores.get(label, ""),
                _cell(one.note), _cell(one.reason), one.model, one.policy_version or "",
                one.supersedes or "", _cell(row.text),
            ]
        )  # fmt: skip
        count += 1
    return count


def _cell(value: str | None) -> str:
    """Return the value so that no spreadsheet takes it for a formula."""
    return f"'{value}" if value and value.startswith(_FORMULA) else value or ""


def _plain(value: str | None) -> str:
    """Return what `_cell` was given."""
    value = value or ""
    return value[1:] if value.startswith("'") and value[1:].startswith(_FORMULA) else value
