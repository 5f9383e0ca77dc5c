"""The policies in force: read from the file that the operator writes, again when it changes.

The file lies in a mounted ConfigMap: an update replaces the directory's symbolic link, so the path
leads to another file. A file that cannot be used keeps in force what is.
"""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from textmod_model.policies.evaluate import Evaluator
from textmod_model.policies.solved import LARGEST, PoliciesInvalid, parse

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Between two looks at the file; a look is one `stat`."""

Sign = tuple[int, int, int, int]
"""Device, inode, time of the last change in nanoseconds, and size."""


class PolicyFile:
    """What the file says, for a model's labels.

    `check` is called from one thread; the attributes may be read from any.
    """

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        self._path = path
        self._labels = tuple(labels)
        self._seen: Sign | None = None
        self.in_force: Evaluator | None = None
        """None until the file could be used once."""
        self.error: str | None = None
        """Why the file as it is now cannot be used."""

    def check(self) -> bool:
        """Read the file if it has changed; tells whether other policies are in force now."""
        try:
            sign = self._sign()
            if sign == self._seen:
                return False
            with self._path.open("rb") as file:
                raw = file.read(LARGEST + 1)
        except OSError as error:
            self._seen = None
            self._refuse(f"{self._path} cannot be read: {error.strerror}.")
            return False
        self._seen = sign
        try:
            policies = parse(raw)
        except PoliciesInvalid as error:
            self._refuse(f"{self._path}: {error}")
            return False
        self.error = None
        if self.in_force is not None and policies == self.in_force.policies:
            return False
        self.in_force = Evaluator(policies, self._labels)
        log.info("policies %s are in force", policies.version)
        return True

    def watch(self, stop: threading.Event) -> None:
        """Check again and again until `stop` is set."""
        while not stop.wait(LOOK_SECONDS):
            self.check()

    def start(self, stop: threading.Event) -> None:
        """Check from a thread until `stop` is set."""
        threading.Thread(target=self.watch, args=(stop,), name="policies", daemon=True).start()

    @property
    def version(self) -> str | None:
        """The version in force."""
        return None if self.in_force is None else self.in_force.policies.version

    def missing(self) -> str | None:
        """Say why there are no policies in force, None if there are."""
        if self.in_force is not None:
            return None
        return f"No policies are in force, and verdicts need them: {self.error or self._path}"

    def evaluator(self) -> Evaluator | None:
        """Return the policies in force."""
        return self.in_force

    def _sign(self) -> Sign:
        found = self._path.stat()
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def _refuse(self, error: str) -> None:
        if error != self.error:
            kept = "" if self.in_force is None else "; the policies in force stay"
            log.error("read policies: %s%s", error.removesuffix("."), kept)
        self.error = error
