"""Leader election by a Lease."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any, Final

from kubernetes.client import ApiClient, ApiException, CoordinationV1Api
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock
from urllib3.exceptions import HTTPError

from textmod_operator import naming

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 10
"""A leader that has not renewed for so long is succeeded."""


class Election:
    """This process as a candidate for the operator's Lease.

    Args:
        identity: this process, named in the Lease.
    """

    def __init__(self, client: ApiClient, identity: str) -> None:
        self._client = client
        self._identity = identity
        self._lock: _PatientLock | None = None

    def lead(self, namespace: str, started: Callable[[], None]) -> None:
        """Wait for the Lease, call `started`, and renew; return when it is lost."""
        lock = _PatientLock(naming.FIELD_MANAGER, namespace, self._identity)  # type: ignore[no-untyped-call]
        lock.api_instance = CoordinationV1Api(self._client)
        self._lock = lock
        config = electionconfig.Config(
            lock,
            lease_duration=LEASE_SECONDS,
            renew_deadline=LEASE_SECONDS * 0.7,
            retry_period=LEASE_SECONDS / 5,
            onstarted_leading=started,
            onstopped_leading=lambda: None,
        )
        leaderelection.LeaderElection(config).run()

    def resign(self) -> None:
        """Release the Lease. Nothing of this process may act any more."""
        if self._lock is not None:
            self._lock.resign()

    @property
    def resigned(self) -> bool:
        """Whether the Lease was released on purpose."""
        return self._lock is not None and self._lock.resigned

    @property
    def leader_renews(self) -> bool:
        """Whether a holder was seen to renew within the Lease's duration. By changes of the Lease
        and our own clock: the clocks of two machines differ."""
        lock = self._lock
        return lock is not None and lock.seconds_since_renewal() < LEASE_SECONDS


class _PatientLock(LeaseLock):
    """A Lease whose API server may be away for a moment: that is a failed try, not an error.

    It also remembers when the Lease was last seen to be renewed.
    """

    _renewal: tuple[Any, float] = (None, -math.inf)
    """The renewTime seen last, and when it was first seen (monotonic seconds)."""
    resigned = False
    """Nothing is written any more."""
    _trouble = ""
    """Why the Lease could not be read the last time; told once."""

    def seconds_since_renewal(self) -> float:
        """Since the holder was last seen to renew; infinite before that was seen once."""
        return time.monotonic() - self._renewal[1]

    def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        try:
            found, record = super().get(name, namespace)  # type: ignore[no-untyped-call]
        except (OSError, HTTPError) as error:
            found, record = False, ApiException(status=0, reason=str(error))
        trouble = "" if found or record.status == 404 else str(record.reason)
        if trouble not in ("", self._trouble):
            logger.warning("the Lease %s/%s can't be read: %s", namespace, name, trouble)
        self._trouble = trouble
        if found and record.renew_time != self._renewal[0]:
            # The first sight of a Lease tells nothing of its age.
            first = self._renewal[0] is None
            self._renewal = (record.renew_time, -math.inf if first else time.monotonic())
        return found, record

    def resign(self) -> None:
        """Takes our name off the Lease, if it is there, and never puts it on again."""
        self.resigned = True
        try:
            lease = self.api_instance.read_namespaced_lease(self.name, self.namespace)
            if lease.spec is not None and lease.spec.holder_identity == self.identity:
                lease.spec.holder_identity = None
                self.api_instance.replace_namespaced_lease(self.name, self.namespace, lease)
        except (ApiException, OSError, HTTPError) as error:
            logger.warning("the Lease could not be let go, and ends by itself: %s", error)

    def create(self, name: str, namespace: str, election_record: Any) -> bool:  # noqa: ANN401
        try:
            created = super().create(name, namespace, election_record)  # type: ignore[no-untyped-call]
            return bool(created)
        except (OSError, HTTPError):
            return False

    def update(self, name: str, namespace: str, updated_record: Any) -> bool:  # noqa: ANN401
        if self.resigned:
            return False
        try:
            updated = super().update(name, namespace, updated_record)  # type: ignore[no-untyped-call]
            return bool(updated)
        except (OSError, HTTPError):
            return False
