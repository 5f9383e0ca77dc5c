"""Writes files whole or not at all: what stood there before stays until the new is on the disk.

Each function raises OSError.
"""

import errno
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path


def expect_folder(path: Path) -> None:
    """Raise OSError if files cannot be made in a folder, which need not exist.

    Ask this before hours of work. It makes nothing itself.
    """
    nearest = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not nearest.is_dir():
        raise _error(errno.ENOTDIR)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise _error(errno.EACCES)


def expect_file(path: Path) -> None:
    """Raise OSError if a file cannot be written; its folder must exist. It makes nothing itself."""
    if path.is_dir():
        raise _error(errno.EISDIR)
    if not path.parent.exists():
        raise _error(errno.ENOENT)
    if path.exists() and not path.is_file():  # a pipe, a terminal
        return
    expect_folder(path.parent)


def write(path: Path, data: bytes) -> None:
    """Write one file. A pipe or a device is written in place."""
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    path = path.resolve()
    replace_all(path.parent, {path.name: data})


def replace_all(folder: Path, contents: Mapping[str, bytes], stale: Iterable[str] = ()) -> None:
    """Write files into a folder and remove those that are stale.

    The last file vanishes first and comes last: while it is there, all of them belong together.
    """
    last = list(contents)[-1]
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as new:
        for name, data in contents.items():
            Path(new, name).write_bytes(data)
        for name in (last, *stale):
            (folder / name).unlink(missing_ok=True)
        for name in contents:
            Path(new, name).replace(folder / name)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
