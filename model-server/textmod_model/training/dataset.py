"""Labelled comments from a file: the Kaggle r/science layout, ``text,label``, several labels."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Final

from textmod_model.training import files
from textmod_model.training.files import DatasetError, Row, Table, printable

__all__ = ["NO_TEXT", "Dataset", "DatasetError", "digest", "read"]

# Column names that are recognised without a flag, tried in this order.
_TEXT_COLUMNS: Final = ("BODY", "body", "text", "comment")
_LABEL_COLUMNS: Final = ("REMOVED", "removed", "label")
_LABELS: Final = {
    "0": 0.0, "kept": 0.0, "false": 0.0, "f": 0.0, "no": 0.0, "n": 0.0, "0.0": 0.0,
    "1": 1.0, "removed": 1.0, "true": 1.0, "t": 1.0, "yes": 1.0, "y": 1.0, "1.0": 1.0,
}  # fmt: skip
_MISSING: Final = ("", "nan", "na", "n/a", "null", "none")
# What tools write for a text that is not there: pandas' own list, Hive's and MySQL's NULL, and a
# formula that Excel could not work out (a text that began with = or -).
NO_TEXT: Final = frozenset(
    {
        "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "NaN", "nan", "-NaN", "-nan", "NULL", "null",
        "None", "\\N", "#NAME?",
    }
)  # fmt: skip
LONGEST_NAME: Final = 253
"""Characters of a label's name, as many as a policy's `label` takes."""
CLASSES: Final = ("kept", "removed")
"""Names of the two sides of a file's only label, where none are given."""
_NOT_SO: Final = ("reject", "ignore")
"""Answers of Prodigy's annotators to the question whether a row has its label."""
_WORD: Final = re.compile(r"\w+")
_NAMED: Final = 3  # places that a note names


@dataclass(frozen=True)
class Dataset:
    """Labelled comments. `texts` and `targets` have one entry a row."""

    texts: list[str]
    labels: list[int]
    """Of the first label: 1 where most said yes."""
    digest: str
    """``sha256:`` and the digest of the rows, independent of the file's layout and encoding."""
    names: tuple[str, ...] = ("removed",)
    """Of the labels."""
    targets: list[tuple[float, ...]] = field(default_factory=list)
    """Share of those who said yes to each label, from 0 to 1; empty: `labels` is all there is."""
    weights: list[float] = field(default_factory=list)
    """How many judged each row, over the mean; empty: 1 each."""
    notes: tuple[str, ...] = ()
    """What was left out or repaired, a sentence each."""
    left_out: tuple[int, ...] = ()
    """Places, from 0, of the file's rows that have no text; blank lines are no rows."""

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def several(self) -> bool:
        """Whether there is more than one label."""
        return len(self.names) > 1

    def row_numbers(self) -> list[int]:
        """Return for each text the number of its row in the file, from 1."""
        out = set(self.left_out)
        return [at + 1 for at in range(len(self) + len(out)) if at not in out]

    def groups(self) -> list[int]:
        """Return a number for each row, the same for texts of the same words.

        Words are runs of letters and digits, in lower case; a text without any is itself.
        """
        numbers: dict[bytes, int] = {}
        return [numbers.setdefault(_signature(text), len(numbers)) for text in self.texts]


def _signature(text: str) -> bytes:
    words = " ".join(_WORD.findall(text.lower())) or "".join(text.split())
    return hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def read(
    path: Path,
    *,
    text_column: str | None = None,
    label_columns: Sequence[str] = (),
    votes_column: str | None = None,
    labelled: bool = True,
) -> Dataset:
    """Read a CSV, JSON Lines or Parquet file.

    A label is 0 or 1 (``kept`` or ``removed``, ``false`` or ``true``, ``no`` or ``yes``, whatever
    the case) or a share from 0 to 1. With `votes_column`, how many judged the row, a label column
    with a value above 1 holds counts of those who said yes. Several `label_columns` are several
    labels.

    Rows that say nothing are skipped. Rows without a text (or with ``NA``, ``NULL`` and the
    like) are left out, and `Dataset.notes` says how many. Raises DatasetError for all else that is
    not as it should be, with its line; with `labelled`, also for a label that all rows have, or
    none.
    Without, a file needs no labels: if no `label_columns` are asked for and it has none of a known
    name, `Dataset.names` is empty.
    """
    table = files.read(path)
    columns = _Columns(path, table, text_column, label_columns, votes_column, labelled=labelled)
    texts: list[str] = []
    values: list[tuple[float, ...]] = []
    votes: list[float] = []
    places: list[tuple[Row, tuple[float, ...]]] = []
    without_text: list[str] = []
    left_out: list[int] = []
    for row in table.rows:
        if row.blank():
            continue
        text, found, judges = columns.take(row)
        if not text.strip() or text in NO_TEXT:
            without_text.append(row.place(columns.text))
            left_out.append(len(texts) + len(left_out))
            continue
        texts.append(text)
        values.append(found)
        votes.append(judges)
        if votes_column is not None:
            places.append((row, found))
    if without_text and not texts:
        raise DatasetError(
            f"{path}: none of its {_counted(len(without_text), 'row')} has a text in the column "
            f"{table.columns[columns.text]}."
        )
    notes = [*table.notes, *columns.notes]
    if votes_column is not None:
        values = _shares(path, columns, places, votes)
        notes += _perhaps_counts(columns.names, [found for _, found in places], votes)
    if without_text:
        notes.append(f"{_counted(len(without_text), 'row')} without a text left out: "
                     f"{_some(without_text)}")  # fmt: skip
    if not texts:
        raise DatasetError(f"{path} has no rows below its header.")
    if labelled:
        _expect_both_sides(path, columns.names, values)
    data = _dataset(columns.names, texts, values)
    data = replace(data, weights=_weights(votes), left_out=tuple(left_out))
    return replace(data, notes=(*notes, *_repeated(data)))


def _expect_both_sides(
    path: Path, names: tuple[str, ...], targets: list[tuple[float, ...]]
) -> None:
    for number, name in enumerate(names):
        if len({target[number] >= 0.5 for target in targets}) < 2:
            raise DatasetError(_one_sided(path, name, names != CLASSES[1:]))


def _dataset(names: tuple[str, ...], texts: list[str], targets: list[tuple[float, ...]]) -> Dataset:
    labels = [int(target[0] >= 0.5) for target in targets if names]
    plain = len(names) == 1 and all(value in {0.0, 1.0} for (value,) in targets)
    return Dataset(
        texts=texts,
        labels=labels,
        digest=digest(texts, labels) if plain else digest_of_shares(texts, targets),
        names=names,
        targets=[] if plain or not names else targets,
    )


def _one_sided(path: Path, name: str, named: bool) -> str:
    if named:
        return f"{path} needs rows with the label {name!r} (1) and without it (0)."
    return f"{path} needs rows of both labels: kept (0) and removed (1)."


def _weights(votes: list[float]) -> list[float]:
    if len(set(votes)) < 2:
        return []
    mean = sum(votes) / len(votes)
    return [count / mean for count in votes]


def _repeated(data: Dataset) -> Iterator[str]:
    """Say how many rows repeat, and how many of these contradict each other."""
    groups = data.groups()
    sizes = Counter(groups)
    again = len(groups) - len(sizes)
    if not again:
        return
    sides: dict[int, set[object]] = {}
    targets = data.targets or data.labels or [None] * len(groups)
    for group, target in zip(groups, targets, strict=True):
        sides.setdefault(group, set()).add(target)
    apart = sum(len(seen) > 1 for seen in sides.values())
    note = f"{_counted(again, 'row')} of {len(groups):,} repeat the words of another row"
    if apart:
        note += f", {_counted(apart, 'text')} with labels that differ"
    yield f"{note}; a training keeps such rows in one fold"


def digest(texts: Sequence[str], labels: Sequence[int]) -> str:
    """Return ``sha256:<hex>`` over the rows in order."""
    hasher = hashlib.sha256()
    for text, label in zip(texts, labels, strict=True):
        data = text.encode("utf-8", "surrogatepass")
        hasher.update(b"%d %d " % (label, len(data)) + data)
    return f"sha256:{hasher.hexdigest()}"


def digest_of_shares(texts: Sequence[str], targets: Sequence[tuple[float, ...]]) -> str:
    """Return ``sha256:<hex>`` over rows whose labels are shares."""
    hasher = hashlib.sha256()
    for text, target in zip(texts, targets, strict=True):
        data = text.encode("utf-8", "surrogatepass")
        hasher.update(f"{' '.join(map(repr, target))} {len(data)} ".encode() + data)
    return f"sha256:{hasher.hexdigest()}"


class _Columns:
    """Which columns hold what; takes a row's values."""

    def __init__(
        self,
        path: Path,
        table: Table,
        text: str | None,
        labels: Sequence[str],
        votes: str | None,
        *,
        labelled: bool,
    ) -> None:
        self._path = path
        self._table = table
        self.text = self._find(text, _TEXT_COLUMNS, "--text-column")
        if labels:
            self._refuse_unnamable(labels)
            self.labels = [self._find(name, (), "--label") for name in labels]
            self.names = tuple(labels)
        elif labelled or self._has(_LABEL_COLUMNS):
            self.labels = [self._find(None, _LABEL_COLUMNS, "--label")]
            self.names = (CLASSES[1],)
        else:
            self.labels, self.names = [], ()
        self._votes = None if votes is None else self._find(votes, (), "--votes")
        answers = bool(self.labels) and "answer" in table.columns
        self._answer = table.columns.index("answer") if answers else None
        self.notes = list(self._chosen(text, _TEXT_COLUMNS, "--text-column"))
        if self.labels and not labels:
            self.notes += self._chosen(None, _LABEL_COLUMNS, "--label-column")
        used = [self.text, *self.labels, *([] if self._votes is None else [self._votes])]
        if len(set(used)) < len(used):
            raise DatasetError(
                f"{path}: one column cannot be two of text, label and votes: a model would learn "
                "what it is to find."
            )

    def _refuse_unnamable(self, labels: Sequence[str]) -> None:
        """Raise DatasetError for a name that no policy, metric or header could call."""
        for name in labels:
            if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
                raise DatasetError(
                    f"{self._path}: '{printable(name, 40)}' cannot be a label's name: rename the "
                    f"column with 1 to {LONGEST_NAME} printable characters."
                )

    def _find(self, wanted: str | None, known: Sequence[str], flag: str) -> int:
        columns = self._table.columns
        for name in [wanted] if wanted is not None else chain(known, self._in_other_case(known)):
            if columns.count(name) > 1:
                raise DatasetError(f"{self._path} has {columns.count(name)} columns named {name}.")
            if name in columns:
                return columns.index(name)
        raise DatasetError(
            f"{self._path} has no column {wanted or ' or '.join(known)}; it has "
            f"{printable(', '.join(columns), 200)}: name the right one with {flag}."
        )

    def _chosen(self, wanted: str | None, known: Sequence[str], flag: str) -> Iterator[str]:
        """Say which of several columns of known names was taken."""
        found = [name for name in known if name in self._table.columns]
        if wanted is None and len(found) > 1:
            yield f"the column {found[0]} was read, not {' or '.join(found[1:])}: {flag} names one"

    def _has(self, known: Sequence[str]) -> bool:
        return any(name in self._table.columns for name in known) or any(self._in_other_case(known))

    def _in_other_case(self, known: Sequence[str]) -> Iterator[str]:
        """Yield the columns of known names in another case. Raises DatasetError for two of one."""
        for name in known:
            found = [one for one in self._table.columns if one.casefold() == name.casefold()]
            if len(set(found)) > 1:
                raise DatasetError(
                    f"{self._path} has the columns {' and '.join(dict.fromkeys(found))}: name the "
                    "right one with --text-column or --label."
                )
            yield from found[:1]

    def take(self, row: Row) -> tuple[str, tuple[float, ...], float]:
        """Return a row's text, the values of its labels and how many judged it."""
        value = row.values[self.text]
        if not isinstance(value, str | None):
            raise DatasetError(f"{self._at(row, self.text)}: the text {value!r:.40} is no string.")
        judges = 1.0
        if self._votes is not None:
            judges = self._number(row, self._votes, "number of votes")
            if judges < 1:
                raise DatasetError(f"{self._at(row, self._votes)}: {judges:g} votes, at least 1.")
        if self._answer is not None and row.values[self._answer] in _NOT_SO:
            raise DatasetError(
                f"{self._at(row, self._answer)}: Prodigy's answer is "
                f"'{row.values[self._answer]}', so the label is not what was found: leave such "
                "rows out, or write their labels as 0 and 1."
            )
        limit = 1.0 if self._votes is None else judges
        labels = tuple(self._label(row, at, limit) for at in self.labels)
        if len(row.lines) > 1:
            self._refuse_swallowed(row)
        return value or "", labels, judges

    def _refuse_swallowed(self, row: Row) -> None:
        """Raise DatasetError if every line of the row is a row of its own."""
        lines = files.apart(row, self._table.delimiter)
        if len(lines) > 1 and all(self._is_row(fields) for fields in lines):
            raise DatasetError(
                f"{self._at(row, 0)}: a quotation mark opens a field here and takes in the next "
                f"{_counted(len(lines) - 1, 'row')}: a quotation mark is missing or too many."
            )

    def _is_row(self, fields: Sequence[str]) -> bool:
        return len(fields) == len(self._table.columns) and all(
            _value(fields[at]) is not None for at in self.labels
        )

    def _label(self, row: Row, at: int, limit: float) -> float:
        value = _value(row.values[at])
        if value is None or not 0 <= value <= max(limit, 1.0):
            shown = "" if row.values[at] is None else printable(str(row.values[at]).strip(), 40)
            where = f"{self._at(row, at)}: the label '{shown}' in the column "
            where += printable(self._table.columns[at], LONGEST_NAME)
            if shown.lower() in _MISSING:
                raise DatasetError(f"{where} is missing: fill it in, or leave the row out.")
            other = "" if limit == 1 else f", nor a count of up to {limit:g} votes"
            raise DatasetError(
                f"{where} is neither 0/kept nor 1/removed, nor a share between them{other}."
            )
        return value

    def _number(self, row: Row, at: int, what: str) -> float:
        value = _value(row.values[at])
        if value is None:
            raise DatasetError(f"{self._at(row, at)}: the {what} {row.values[at]!r:.40} is none.")
        return value

    def _at(self, row: Row, column: int) -> str:
        return f"{self._path}, {row.place(column)}"


def _value(value: object) -> float | None:
    """Return the number that a label or a count is, None if it is none."""
    if isinstance(value, bool | int | float):
        try:
            number = float(value)
        except OverflowError:  # an integer beyond 1e308
            return None
    else:
        told = "" if value is None else str(value).strip().lower()
        if told in _LABELS:
            return _LABELS[told]
        try:
            number = float(told)
        except ValueError:
            return None
        if "_" in told:  # Python's way to write 1_000
            return None
    return number if math.isfinite(number) else None


def _shares(
    path: Path,
    columns: _Columns,
    places: Sequence[tuple[Row, tuple[float, ...]]],
    votes: Sequence[float],
) -> list[tuple[float, ...]]:
    """Turn counts of votes into shares, label by label; shares stay as they are."""
    found = [values for _, values in places]
    for at in range(len(columns.names)):
        counts = [values[at] for values in found]
        if max(counts, default=0.0) <= 1:
            continue
        for (row, _), count in zip(places, counts, strict=True):
            if count != int(count):
                raise DatasetError(
                    f"{path}, {row.place(columns.labels[at])}: {count:g} is no count of votes, "
                    f"which other rows of {columns.names[at]} have."
                )
        found = [
            (*values[:at], values[at] / judges, *values[at + 1 :])
            for values, judges in zip(found, votes, strict=True)
        ]
    return found


def _perhaps_counts(
    names: Sequence[str], values: Sequence[tuple[float, ...]], votes: Sequence[float]
) -> Iterator[str]:
    """Name the labels whose 1 may be all votes or one: 0 and 1 alone, where several judged."""
    for at, name in enumerate(names):
        column = [found[at] for found in values]
        judges = [count for count, value in zip(votes, column, strict=True) if value == 1]
        if set(column) <= {0.0, 1.0} and max(judges, default=0.0) > 1:
            yield (
                f"the column {name} has nothing above 1, so its 1 was read as all votes of a row: "
                "if it counts votes, divide it by their number"
            )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + "s" * (number != 1)


def _some(places: Sequence[str]) -> str:
    named = ", ".join(places[:_NAMED])
    return f"{named} and {len(places) - _NAMED:,} more" if len(places) > _NAMED else named
