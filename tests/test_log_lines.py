"""What a broker, a pod, a registry or a browser says cannot forge a line of anybody's log."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import textmod_console.log_lines
import textmod_model.log_lines
import textmod_operator.log_lines

ROOT = Path(__file__).parents[1]
FORGED = "2026-11-28 07:00:00,000 INFO textmod_operator: leading"
PROGRAMS = [textmod_operator.log_lines, textmod_model.log_lines, textmod_console.log_lines]
Log = tuple[logging.Logger, io.StringIO]


@pytest.fixture(params=PROGRAMS, ids=lambda module: module.__name__.partition(".")[0])
def program(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


@pytest.fixture
def log(program: ModuleType) -> Log:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(program.LineFormatter())
    logger = logging.Logger("textmod.test")  # noqa: LOG001 - of this test alone
    logger.addHandler(handler)
    return logger, written


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_a_message_is_one_line(log: Log, end: str) -> None:
    logger, written = log
    logger.warning("reddit/science: %s", f"broker says{end}{FORGED}")
    [line] = written.getvalue().splitlines()
    assert "WARNING textmod.test: reddit/science: broker says" in line


@pytest.mark.parametrize("control", ["\x1b[2J", "\x9b2J", "\x07", "\x00", "\x7f", "\u202e"])
def test_a_message_controls_no_terminal(program: ModuleType, log: Log, control: str) -> None:
    logger, written = log
    logger.warning("%s", control)
    assert control[0] not in written.getvalue()
    assert program.escaped(control).startswith("\\")


def test_no_line_of_a_traceback_begins_like_a_record(log: Log) -> None:
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


def test_other_languages_stay_readable(program: ModuleType) -> None:
    assert program.escaped("größer, 漢字, 😀") == "größer, 漢字, 😀"


def test_the_programs_have_the_same_formatter() -> None:
    """The packages never import each other, so each has a copy."""
    first, *others = (Path(str(one.__file__)).read_text().split('"""', 2)[2] for one in PROGRAMS)
    assert others == [first, first]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda module: module.__name__.partition(".")[0])
def test_every_logger_of_a_process_writes_such_lines(program: ModuleType) -> None:
    """In a process of its own, since it is the root logger that is configured."""
    code = (
        f"import logging; from {program.__name__} import configure; configure('DEBUG');"
        f"logging.getLogger('kafka.client').error('down\\n%s', {FORGED!r});"
        "logging.getLogger('httpx').info('GET https://example.com/hook?token=x');"
        "logging.getLogger('httpcore2.http11').debug('Authorization: x')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    [line] = done.stderr.splitlines()
    assert f"ERROR kafka.client: down\\n{FORGED}" in line


def test_no_program_configures_its_log_another_way() -> None:
    shipped = ("operator/textmod_operator", "model-server/textmod_model", "console/textmod_console")
    found = {
        str(file.relative_to(ROOT))
        for folder in shipped
        for file in (ROOT / folder).rglob("*.py")
        if "basicConfig(" in file.read_text() or "StreamHandler(" in file.read_text()
    }
    assert found == {f"{folder}/log_lines.py" for folder in shipped}


def _fail(words: str) -> None:
    raise RuntimeError(words)
