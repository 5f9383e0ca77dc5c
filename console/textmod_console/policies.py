"""The policies in force, as the operator hands them to the console in a mounted file.

The file may be missing, and is replaced while the console runs: it is read again when it changes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from textmod_console.errors import sentences

log = logging.getLogger(__name__)
LARGEST: Final = 1 << 20
"""Bytes of the file: a ConfigMap holds no more."""


class _Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore"
    )


class StatementOfReasons(_Part):
    """The values of the DSA Transparency Database that a policy names."""

    ground: str | None = None
    category: str | None = None


class RuleInForce(_Part):
    """One rule with its threshold."""

    action: str
    hold: bool = False
    threshold: float | None = Field(None, ge=0, le=1)
    """None: it never holds, or is not known yet."""
    source: str
    """Artifact, Feedback or Asked; a newer operator may write others."""
    expected_precision: float | None = Field(None, ge=0, le=1)
    expected_recall: float | None = Field(None, ge=0, le=1)


class PolicyInForce(_Part):
    """One policy."""

    name: str
    label: str | None = None
    mode: str
    rules: tuple[RuleInForce, ...] = ()
    statement_of_reasons: StatementOfReasons | None = None


class InForce(_Part):
    """All policies of the object, of one version."""

    version: str | None = None
    policies: tuple[PolicyInForce, ...] = ()

    def statement(self, policy: str | None) -> StatementOfReasons | None:
        """Return the statement of reasons of the policy with this name, if it has one."""
        found = (one for one in self.policies if one.name == policy)
        return next((one.statement_of_reasons for one in found), None)

    def threshold(self, label: str) -> float | None:
        """Return the lowest threshold for this label, from which on something is done."""
        found = [
            rule.threshold
            for policy in self.policies
            if policy.label == label
            for rule in policy.rules
            if rule.threshold is not None and rule.action != "Allow"
        ]
        return min(found, default=None)


ReadPolicies = Callable[[], InForce | None]
"""Returns the policies in force; None: not known, or the object has none."""


class PolicyFile:
    """The file; `read` may be called from several threads.

    Args:
        path: None: the object has no policies.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._held: InForce | None = None

    def read(self) -> InForce | None:
        """Return the policies; those read last while the file can't be used."""
        if self._path is None:
            return None
        with self._lock:
            try:
                found = self._path.stat()
                sign = (found.st_ino, found.st_mtime_ns, found.st_size)
                if sign != self._seen:
                    self._held = InForce.model_validate_json(self._content(self._path))
                    self._seen = sign
            except FileNotFoundError:
                self._seen = self._held = None
            except OSError as error:
                log.warning("read policies from %s: %s", self._path, error.strerror)
            except ValidationError as error:
                self._seen = sign
                log.warning("read policies from %s: %s", self._path, " ".join(sentences(error)))
            return self._held

    @staticmethod
    def _content(path: Path) -> bytes:
        with path.open("rb") as file:
            return file.read(LARGEST)


def no_policies() -> InForce | None:
    """Return None, as for an object without policies."""
    return None
