"""The signed-in user, and the permissions that the console checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True, slots=True)
class Person:
    """A user as Kubernetes knows them: RBAC decides by these, not by the console."""

    name: str
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """A token's own limits, such as scopes: without them an access review would allow more."""


class Permission(Enum):
    """A verb on a virtual subresource of the TextModeration object."""

    SEE_QUEUE = ("review", "get")
    DECIDE = ("decisions", "create")
    SEE_DECISIONS = ("decisions", "get")
    SEE_AUDIT = ("audit", "get")

    @property
    def subresource(self) -> str:
        """Return the part behind `textmoderations/`."""
        return self.value[0]

    @property
    def verb(self) -> str:
        """Return the verb of RBAC."""
        return self.value[1]
