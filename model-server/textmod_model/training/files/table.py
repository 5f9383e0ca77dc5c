"""What every kind of file is read as."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field


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


def printable(text: str, most: int) -> str:
    """Return up to `most` characters, those that a terminal would not show as escapes."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[:most])


def always(place: str) -> Callable[[int], str]:
    """Return a `place` that is the same for every column of a row."""
    return lambda _: place
