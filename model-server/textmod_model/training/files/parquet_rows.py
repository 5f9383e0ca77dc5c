"""Reads Parquet files, a batch at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from textmod_model.training.files.table import DatasetError, Row, Table, always, printable

if TYPE_CHECKING:
    import pyarrow

_PARQUET_ROWS: Final = 4096


def parquet_table(path: Path) -> Table:
    """Return the table of a Parquet file. Raises DatasetError, also while its rows are read."""
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
                    yield Row(values, always(f"row {number}"))
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
