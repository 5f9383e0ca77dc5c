"""Files are written whole or not at all."""

import errno
import os
import sys
from pathlib import Path

import pytest

from textmod_model import files


def fill_up(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have the disk be full once the file `name` is written."""
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name != name:
            return write(path, data)
        write(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.replace_all(tmp_path, {"model": b"old", "manifest": b"old"})
    fill_up(monkeypatch, "manifest")
    with pytest.raises(OSError, match="No space left"):
        files.replace_all(tmp_path, {"model": b"new", "manifest": b"new"}, ["model"])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "model": b"old",
        "manifest": b"old",
    }


def test_an_interruption_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_path: Path, _data: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write(tmp_path / "report.html", b"new")
    assert not list(tmp_path.iterdir())


def test_stale_files_go_and_others_stay(tmp_path: Path) -> None:
    for name in ("stale", "mine"):
        (tmp_path / name).write_bytes(b"old")
    files.replace_all(tmp_path, {"manifest": b"new"}, ["stale", "never there"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest", "mine"]


def test_a_link_and_a_pipe_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    files.write(tmp_path / "link", b"new")
    assert (tmp_path / "real").read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink()
    files.write(Path(os.devnull), b"new")
    assert Path(os.devnull).is_char_device()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_what_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError):
            files.expect_folder(path)
    with pytest.raises(FileNotFoundError):
        files.expect_file(tmp_path / "none" / "report.html")
    with pytest.raises(IsADirectoryError):
        files.expect_file(tmp_path)
    with pytest.raises(PermissionError):
        files.expect_folder(Path("/proc/sys/kernel/model"))
    files.expect_folder(tmp_path / "new" / "below")
    files.expect_file(tmp_path / "report.html")
    files.expect_file(Path(os.devnull))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
