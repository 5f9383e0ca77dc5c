"""The audit chain: each record's digest covers the record and the digest before it. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from textmod_console.errors import DataError


@dataclass(frozen=True, slots=True)
class Record:
    """One recorded act. `detail` is JSON with sorted keys; it holds no text of a user."""

    number: int
    at: int
    """Microseconds since 1970."""
    actor: str
    act: str
    item: str | None
    detail: str

    def digest(self, before: str) -> str:
        """Return the digest of this record behind the one whose digest is `before`."""
        parts = [before, self.number, self.at, self.actor, self.act, self.item, self.detail]
        # JSON keeps the parts apart: no two different lists are written the same way.
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def written(detail: Mapping[str, Any] | None) -> str:
    """Return the detail as a record holds it."""
    return json.dumps(dict(detail or {}), sort_keys=True, ensure_ascii=True)


def verify(records: Iterable[tuple[Record, str]], end: tuple[int, str]) -> int:
    """Check records in order, with their stored digests, against the chain's known end.

    Returns:
        the number of records.

    Raises:
        DataError: a record was changed, dropped, swapped or added.
    """
    number, before = 0, ""
    for record, digest in records:
        if record.number != number + 1:
            message = f"the audit chain is broken: record {number + 1} is missing."
            raise DataError(message)
        if record.digest(before) != digest:
            message = (
                f"the audit chain is broken at record {record.number}: it, or the record before"
                " it, was changed."
            )
            raise DataError(message)
        number, before = record.number, digest
    if (number, before) != end:
        message = (
            f"the audit chain is broken at its end: {number} records are here, and {end[0]} were"
            " written."
        )
        raise DataError(message)
    return number
