"""What every format reads and writes."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TextIO, get_args

from textmod_console.errors import DataError
from textmod_console.events import Decision, DecisionName

_NAMES: Final[dict[str, DecisionName]] = {name.casefold(): name for name in get_args(DecisionName)}


@dataclass(frozen=True, slots=True)
class Given:
    """A decision that was read from a file."""

    place: str
    """Where in the file, for a message: `line 3`."""
    item: str
    decision: DecisionName
    labels: Mapping[str, float] = field(default_factory=dict)
    """Empty: what the decision says of the item's own label."""
    actor: str = "import"
    at: datetime | None = None
    note: str | None = None
    reason: str | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        """Raise DataError for a character that no database and no event can hold."""
        for value in (self.item, self.actor, self.note, self.reason, self.id, *self.labels):
            if value and any(one == "\x00" or "\ud800" <= one <= "\udfff" for one in value):
                raise DataError(f"{self.place}: a field holds a NUL or half of a character.")


@dataclass(frozen=True, slots=True)
class Exported:
    """A decision that is written to a file, with the text where that was asked for."""

    decision: Decision
    label: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Format:
    """How files of one kind are read and written. Reading raises DataError, with the place."""

    read: Callable[[TextIO], Iterator[Given]]
    write: Callable[[TextIO, Iterable[Exported]], int]


def json_of(text: str, place: str) -> object:
    """Return a JSON value; None if it is not JSON. Raises DataError for a name given twice."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            name = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise DataError(f"{place}: an object has two values named {name[:40]!r}.")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None


def known_decision(value: object) -> DecisionName | None:
    """Return the decision of a name, in whatever case; None for what is none."""
    return _NAMES.get(value.strip().casefold()) if isinstance(value, str) else None


def decision_name(value: object, place: str) -> DecisionName:
    """Return the decision that a file names, in whatever case."""
    found = known_decision(value)
    if found is None:
        raise DataError(f"{place}: the decision must be one of {', '.join(_NAMES.values())}.")
    return found


def required(value: object, name: str, place: str) -> str:
    """Return a field that must hold characters that every database can hold."""
    if not isinstance(value, str) or not value.strip() or "\x00" in value:
        raise DataError(f"{place}: {name} is missing.")
    return value


def optional(value: object, name: str, place: str) -> str | None:
    """Return a text; None if it is missing or empty. Raises DataError if it is not text."""
    if value is not None and not isinstance(value, str):
        raise DataError(f"{place}: {name} must be text, in quotation marks.")
    return value or None


def moment_of(value: object, place: str) -> datetime | None:
    """Return a moment of RFC 3339, taken for UTC where it names no zone; None for nothing."""
    if value is None or value == "":
        return None
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is not None and found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        moved = None if found is None else found.astimezone(UTC)
    except OverflowError:  # before the year 1 or after 9999, in UTC
        moved = None
    if moved is None:
        raise DataError(f"{place}: the moment must be like 2026-11-27T10:00:00Z.")
    return moved
