"""Replaces the files of a folder all at once, as the kubelet does with those of a volume.

What is read is behind a symbolic link, `..data`, to a folder with the time in its name; a change
writes another such folder and renames a new link over the old one. A process sees all files as they
were or all as they are.
"""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from textmod_dev.certificates import write_private

DATA = "..data"


def replace_files(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Make `files` all that is in the folder; whether anything changed.

    Args:
        files: relative path → content.
    """
    visible = {path.partition("/")[0] for path in files}
    data = folder / DATA
    changed = not data.is_symlink() or _contents(data) != files
    if changed:
        before = data.resolve() if data.is_symlink() else None
        _point_to(data, _written(folder, files))
        if before is not None:
            shutil.rmtree(before)
    for name in visible:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path(DATA) / name)
    for entry in folder.iterdir():
        if entry.name in visible or entry.name.startswith(".."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return changed


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _written(folder: Path, files: Mapping[str, bytes]) -> Path:
    stamp = datetime.datetime.now(datetime.UTC).strftime("..%Y_%m_%d_%H_%M_%S.")
    fresh = Path(tempfile.mkdtemp(prefix=stamp, dir=folder))
    fresh.chmod(0o755)
    for path, content in files.items():
        (fresh / path).parent.mkdir(parents=True, exist_ok=True)
        write_private(fresh / path, content)
    return fresh


def _point_to(link: Path, target: Path) -> None:
    """Rename a new link over the one that is there: at no time there is none."""
    fresh = link.with_name(f"{link.name}_tmp")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target.name)
    fresh.replace(link)
