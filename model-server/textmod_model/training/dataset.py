"""Read labelled comments from CSV: the Kaggle r/science layout and plain ``text,label``."""

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Column names that are recognised without a flag, tried in this order.
_TEXT_COLUMNS: Final = ("BODY", "body", "text", "comment")
_LABEL_COLUMNS: Final = ("REMOVED", "removed", "label")
_LABELS: Final = {
    "0": 0, "kept": 0, "false": 0, "0.0": 0,
    "1": 1, "removed": 1, "true": 1, "1.0": 1,
}  # fmt: skip
_MAX_FIELD: Final = 16 * 1024 * 1024


class DatasetError(ValueError):
    """A file that cannot be read as labelled comments; the message says where and what to do."""


@dataclass(frozen=True)
class Dataset:
    """Labelled comments. `texts` and `labels` have one entry a row; a label 1 means removed."""

    texts: list[str]
    labels: list[int]
    digest: str
    """``sha256:`` and the digest of the rows, independent of the file's layout and encoding."""

    def __len__(self) -> int:
        return len(self.texts)


def read_csv(
    path: Path, *, text_column: str | None = None, label_column: str | None = None
) -> Dataset:
    """Read a CSV file with a header row.

    The bytes are read as UTF-8 and, where they are not, as Windows-1252 (a byte that is neither
    becomes U+FFFD). Rows whose text is empty or ``NA`` are left out, as pandas would. Raises
    DatasetError if the file, a column, a label or one of the two classes is missing.
    """
    rows = csv.reader(io.StringIO(_decode(path), newline=""), strict=False)
    csv.field_size_limit(_MAX_FIELD)
    header = next(rows, None)
    if not header:
        raise DatasetError(f"{path} is empty: give a CSV file with a header row.")
    text_at = _column(path, header, text_column, _TEXT_COLUMNS, "--text-column")
    label_at = _column(path, header, label_column, _LABEL_COLUMNS, "--label-column")
    texts: list[str] = []
    labels: list[int] = []
    for line, text, label in _fields(path, rows, text_at, label_at):
        value = _LABELS.get(label.strip().lower())
        if value is None:
            raise DatasetError(
                f"{path}, line {line}: the label {label[:40]!r} is neither 0/kept nor 1/removed."
            )
        if text and text != "NA":
            texts.append(text)
            labels.append(value)
    if len(set(labels)) < 2:
        raise DatasetError(f"{path} needs rows of both labels: kept (0) and removed (1).")
    return Dataset(texts, labels, digest(texts, labels))


def digest(texts: Sequence[str], labels: Sequence[int]) -> str:
    """Return ``sha256:<hex>`` over the rows in order."""
    hasher = hashlib.sha256()
    for text, label in zip(texts, labels, strict=True):
        data = text.encode("utf-8", "surrogatepass")
        hasher.update(b"%d %d " % (label, len(data)) + data)
    return f"sha256:{hasher.hexdigest()}"


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _column(
    path: Path, header: list[str], wanted: str | None, known: Sequence[str], flag: str
) -> int:
    for name in [wanted] if wanted is not None else known:
        if name in header:
            return header.index(name)
    raise DatasetError(
        f"{path} has no column {wanted or ' or '.join(known)}; it has {', '.join(header)}: "
        f"name the right one with {flag}."
    )


def _fields(
    path: Path, rows: Iterator[list[str]], text_at: int, label_at: int
) -> Iterator[tuple[int, str, str]]:
    """Yield line number, text and label of each row."""
    line = 1
    try:
        for line, row in enumerate(rows, start=2):
            if not row:
                continue
            if len(row) <= max(text_at, label_at):
                raise DatasetError(
                    f"{path}, row {line}: {len(row)} fields, fewer than the header names."
                )
            yield line, row[text_at], row[label_at]
    except csv.Error as error:
        raise DatasetError(f"{path}, after row {line}: {error}.") from error
