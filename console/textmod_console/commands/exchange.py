"""`textmod-console export` and `import`: decisions as JSONL, CSV or Label Studio's JSON."""

import argparse
import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO, cast

from textmod_console.commands import opening
from textmod_console.errors import ConfigurationError, DataError
from textmod_console.exchange import FORMATS
from textmod_console.exchange.rows import Given, moment_of
from textmod_console.settings import Settings
from textmod_console.store import auditing, transfer
from textmod_console.store.database_desk import now_utc
from textmod_console.store.engine import Database
from textmod_console.store.transfer import Imported

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from textmod_console.commands import Subparsers

BATCH = 200
"""Rows in one transaction; on SQLite reviewers wait while it runs."""


def add(subparsers: "Subparsers") -> None:
    """Add both commands."""
    out = subparsers.add_parser("export", help="write decisions to a file")
    out.add_argument("--since", help="from this moment on, such as 2026-11-27T00:00:00Z")
    out.add_argument(
        "--texts", action="store_true", help="with the texts: the file is then as private as they"
    )
    out.set_defaults(run=opening.command(_export))
    into = subparsers.add_parser(
        "import", help="take decisions from a file, each once however often it is imported"
    )
    into.set_defaults(run=opening.command(_import))
    for parser in (out, into):
        parser.add_argument("--format", choices=sorted(FORMATS), default="jsonl")
        opening.add_actor(parser)
        parser.add_argument("file", type=Path, help="- for standard output or input")


def _export(arguments: argparse.Namespace, settings: Settings) -> int:
    since = moment_of(arguments.since, "--since")
    with closing(opening.whole_database(settings)) as database:
        try:
            count = _write(arguments, database, since)
        except OSError as error:
            message = f"{arguments.file} can't be written: {error.strerror}."
            raise ConfigurationError(message) from None
    sys.stderr.write(f"exported {count} decisions\n")
    return 0


def _write(arguments: argparse.Namespace, database: Database, since: datetime | None) -> int:
    with _open(arguments.file, "w") as file, database.read() as connection:
        rows = transfer.count(connection, since)
        detail = {"format": arguments.format, "rows": rows, "texts": arguments.texts}
        # Before the first row: the reader of a pipe may stop half-way.
        _append(database, arguments, "export", detail)
        found = transfer.rows(connection, since, texts=arguments.texts)
        count = FORMATS[arguments.format].write(file, found)
        file.flush()
    return count


def _import(arguments: argparse.Namespace, settings: Settings) -> int:
    found = Imported()
    with (
        closing(opening.whole_database(settings)) as database,
        _open(arguments.file, "r") as file,
    ):
        given = FORMATS[arguments.format].read(file)
        try:
            while batch := _batch(arguments.file, given):
                with database.write() as connection:
                    transfer.take(connection, batch, now_utc(), found)
        finally:  # also where a line cannot be read: the batches before its own were taken
            detail = {"format": arguments.format, "rows": found.added}
            _append(database, arguments, "import", detail)
            _report(found)
    return 65 if found.refused else 0


def _report(found: Imported) -> None:
    for sentence in found.refused:
        sys.stderr.write(f"{sentence}\n")
    sys.stderr.write(
        f"imported {found.added} decisions; {found.known} were known,"
        f" {len(found.refused)} refused\n"
    )


def _batch(path: Path, given: Iterator[Given]) -> list[Given]:
    try:
        return list(itertools.islice(given, BATCH))
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8: save it as UTF-8.") from None


def _open(path: Path, mode: Literal["r", "w"]) -> "AbstractContextManager[TextIO]":
    if str(path) == "-":
        return nullcontext(sys.stdout if mode == "w" else sys.stdin)
    try:
        return cast(
            "TextIO",
            open(path, mode, encoding="utf-8", newline="", opener=_own),
        )
    except OSError as error:
        raise ConfigurationError(f"{path} can't be opened: {error.strerror}.") from None


def _own(path: str, flags: int) -> int:
    """Open a file that is made for its owner alone: it may hold texts."""
    return os.open(path, flags, 0o600)


def _append(
    database: Database, arguments: argparse.Namespace, act: str, detail: Mapping[str, object]
) -> None:
    with database.write() as connection:
        auditing.append(connection, now_utc(), opening.actor(arguments), act, detail=detail)
