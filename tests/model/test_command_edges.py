"""What a command does about a closed output, a full disk, an interruption: a sentence, a code."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from textmod_model import __main__ as command
from textmod_model import artifact
from textmod_model.output import say
from textmod_model.training import cli, train
from textmod_model.training.sample import write_csv


class Broken(io.StringIO):
    """A standard output that cannot be written: at once, or when it is flushed."""

    def __init__(self, number: int, *, late: bool) -> None:
        super().__init__()
        self._error = OSError(number, os.strerror(number))
        self._late = late

    def write(self, text: str) -> int:
        if not self._late:
            raise self._error
        return len(text)

    def flush(self) -> None:
        raise self._error


@pytest.fixture
def speaks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have `sample` print a line and write nothing; return its command line."""

    def run(_arguments: object) -> int:
        say("a line")
        return 0

    monkeypatch.setattr(cli, "run_sample", run)
    return ["sample", "--out", "none"]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        pytest.param(
            errno.ENOSPC,
            74,
            "textmod-model: cannot write to standard output: No space left on device.\n",
            id="a full disk",
        ),
        pytest.param(errno.EPIPE, 141, "", id="a reader that has seen enough"),
    ],
)
def test_output_that_cannot_be_written(
    speaks: list[str],
    error: int,
    code: int,
    says: str,
    late: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(error, late=late))
    assert command.main(speaks) == code
    assert capsys.readouterr().err == says


def test_closed_streams_are_discarded(speaks: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert command.main(speaks) == 0
    sys.stdout.close()
    sys.stderr.close()


def test_an_interruption_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run_sample", run)
    assert command.main(["sample", "--out", "none"]) == 130
    assert capsys.readouterr().err == "textmod-model: interrupted.\n"


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
def test_a_full_standard_output_of_a_real_process(tmp_path: Path) -> None:
    """The interpreter flushes again at its end, and must find nothing to flush."""
    code = (
        "import sys\n"
        "from textmod_model import __main__, output\n"
        "from textmod_model.training import cli\n"
        "cli.run_sample = lambda _: output.say('a line') or 0\n"
        "sys.exit(__main__.main(['sample', '--out', 'none']))\n"
    )
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert found.returncode == 74
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "data.csv", "--out", "model", "--seed", "-1"],
        ["train", "data.csv", "--out", "model", "--seed", str(2**32)],
        ["compare", "data.csv", "--seed", "1.5"],
        ["sample", "--out", "data.csv", "--rows", "0"],
        ["sample", "--out", "data.csv", "--rows", "-5"],
    ],
)
def test_numbers_that_cannot_be_are_usage_errors(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert "is not a whole number from" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_refused_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "train", None)
    write_csv(tmp_path / "data.csv", 40)
    out = tmp_path / "data.csv" / "model"
    assert command.main(["train", str(tmp_path / "data.csv"), "--out", str(out)]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"textmod-model: cannot write the artifact to {out}: Not a directory."


def test_a_speed_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(artifact.ArtifactError, match=r"cannot write .*benchmark\.json: No such"):
        artifact.write_benchmark(tmp_path / "none", 1.0)
