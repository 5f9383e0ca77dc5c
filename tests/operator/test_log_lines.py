"""What a broker or a pod says cannot forge a line of the operator's log."""

from __future__ import annotations

import io
import logging

import pytest

from textmod_operator.log_lines import LineFormatter, escaped

FORGED = "2026-11-28 07:00:00,000 INFO textmod_operator: leading"


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(LineFormatter())
    logger = logging.Logger("textmod_operator.test")  # noqa: LOG001 - of this test alone
    logger.addHandler(handler)
    return logger, written


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_a_message_is_one_line(log: tuple[logging.Logger, io.StringIO], end: str) -> None:
    logger, written = log
    logger.warning("reddit/science: %s", f"broker says{end}{FORGED}")
    [line] = written.getvalue().splitlines()
    assert "WARNING textmod_operator.test: reddit/science: broker says" in line


@pytest.mark.parametrize("control", ["\x1b[2J", "\x9b2J", "\x07", "\x00", "\x7f", "\u202e"])
def test_a_message_controls_no_terminal(
    log: tuple[logging.Logger, io.StringIO], control: str
) -> None:
    logger, written = log
    logger.warning("%s", control)
    assert control[0] not in written.getvalue()
    assert escaped(control).startswith("\\")


def test_no_line_of_a_traceback_begins_like_a_record(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, written = log
    try:
        _fail(f"\x1b[31m\n{FORGED}\r{FORGED}")
    except RuntimeError:
        logger.exception("the pass failed")
    first, *rest = written.getvalue().splitlines()
    assert first.endswith("the pass failed")
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b" not in written.getvalue()


def test_other_languages_stay_readable() -> None:
    assert escaped("größer, 漢字, 😀") == "größer, 漢字, 😀"


def _fail(words: str) -> None:
    raise RuntimeError(words)
