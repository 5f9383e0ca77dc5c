"""Permissions of a person by Kubernetes RBAC; none while the API server can't be asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from textmod_console.access.memory import Remembered
from textmod_console.access.person import Permission, Person

REMEMBERED_SECONDS = 30.0


class Permissions(Protocol):
    """Decides whether a person has a permission."""

    def allow(self, person: Person, permission: Permission) -> bool:
        """Whether `person` may. Raises ApiServerError: it is not known now."""
        ...


class AccessReviewer(Protocol):
    """The part of the API server that permissions need."""

    def may(self, person: Person, permission: Permission, namespace: str, name: str) -> bool:
        """Whether RBAC allows it for one TextModeration."""
        ...


class RbacPermissions:
    """SubjectAccessReview for one TextModeration; an answer holds for at most 30 s."""

    def __init__(
        self,
        server: AccessReviewer,
        namespace: str,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._namespace = namespace
        self._name = name
        self._answers: Remembered[bool] = Remembered(REMEMBERED_SECONDS, clock)

    def allow(self, person: Person, permission: Permission) -> bool:
        """Whether RBAC allows it. Raises ApiServerError."""
        key = (person.name, person.groups, tuple(sorted(person.extra.items())), permission)
        return self._answers.get(
            key,
            lambda: self._server.may(person, permission, self._namespace, self._name),
        )


class AllPermissions:
    """Everything, for the single user on a loopback address."""

    def allow(self, person: Person, permission: Permission) -> bool:  # noqa: ARG002
        """Return True."""
        return True
