"""The table that maps an image's name to a local command.

A JSON file, ``{image: {"command": [...], "env": {...}}}`` and the two switches of `Image`, read by
the process node at every start of a container. So a new tag can mean a new artifact, and an image
that nobody has put into the table cannot be pulled.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Image:
    """What runs in place of an image.

    Attributes:
        command: the argument vector, run without a shell in the container's own folder.
        env: what the image itself would set; the container's own environment goes over it.
        use_args: append the container's ``args``, as an image with an entrypoint does. Off, the
            pod's ``command`` and ``args`` change nothing.
        use_command: let the container's ``command`` (and its ``args``) replace ours, as any image
            does whose programs are all on this machine.
    """

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    use_args: bool = False
    use_command: bool = False


class ImageTable:
    """The file; safe to change from several processes, and while pods run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, name: str) -> Image | None:
        """The entry of an image, or None: it cannot be pulled."""
        entry = self._read().get(name)
        if entry is None:
            return None
        return Image(
            command=tuple(entry["command"]),
            env=dict(entry.get("env", {})),
            use_args=bool(entry.get("use_args", False)),
            use_command=bool(entry.get("use_command", False)),
        )

    def names(self) -> list[str]:
        """The images that there are, sorted."""
        return sorted(self._read())

    def set(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        use_args: bool = False,
        use_command: bool = False,
    ) -> None:
        """Adds or replaces an image; containers that start from now on run it."""
        image = Image(tuple(command), dict(env or {}), use_args, use_command)
        self._change(lambda table: table | {name: asdict(image)})

    def remove(self, name: str) -> None:
        """Takes an image away; running containers go on."""
        self._change(lambda table: {key: value for key, value in table.items() if key != name})

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.path.read_text()))
        except FileNotFoundError:
            return {}

    def _change(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps(change(self._read()), indent=2))
            new.replace(self.path)  # readers see the old table or the new one, never half of it
