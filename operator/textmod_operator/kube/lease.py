"""Leader election by a Lease: one process acts, and stops before another may start.

All times are measured here by a monotonic clock; what the Lease says of time is for people, and for
clients that read it. The rules:

1. A candidate takes the Lease when it is released, or when it has seen no change of it for
   `LEASE_SECONDS`.
2. A leader may act for `ACT_SECONDS` from the moment it *sent* its last successful renewal. That is
   before the API server stored it, hence before any candidate saw it: by `LEASE_SECONDS -
   ACT_SECONDS` at least, the leader stops before a candidate may start.
3. `Guarded` checks that right before every write. A process that was frozen between the check and
   the write, or whose renewal is stuck, is ended by a timer of the kernel (`dead_man`) as soon as
   it runs on.
4. What left the process in time and arrives late meets a resourceVersion that the next leader has
   changed (`Moderations.mark`, `Applier.apply`), and is refused.

`decisions/2026-11-27-one-leader-acts.md` says why the client library's election was left.
"""

from __future__ import annotations

import ctypes
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from textmod_operator import naming
from textmod_operator.errors import ClusterError
from textmod_operator.kube.client import REQUEST_SECONDS, Api, Query
from textmod_operator.state import Manifest

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 10
"""A leader that has not renewed for so long is succeeded."""
ACT_SECONDS: Final = 7.0
"""A leader acts for so long after its last renewal was sent."""
RENEW_SECONDS: Final = 1.5
"""Time between two attempts to take or to renew the Lease."""
LEASE_REQUEST_SECONDS: Final = 2.0
"""A request for the Lease that has not been answered for so long has failed, and its connection is
not used again."""
DEAD_MAN_SECONDS: Final = 1.0
"""The kernel ends a leader so long after it should have stopped by itself."""


class NotLeading(ClusterError):  # noqa: N818 - it names a state of the process
    """A write was not sent because this process may not act."""

    def __init__(self) -> None:
        super().__init__(0, "not sent: this process does not hold the Lease")

    def __str__(self) -> str:
        return self.message


class Election:
    """This process as a candidate for the operator's Lease, and as its holder. Thread-safe.

    Without `attempt` ever having been called there is no election, and everything may be written.

    Args:
        identity: unique to this process: another process of the same name would be taken for it.
        clock: monotonic seconds.
        now: for the Lease's dates.
        dead_man: ends this process by force after so many seconds; 0 calls it off.
    """

    def __init__(
        self,
        api: Api,
        identity: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        dead_man: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._api = api
        self._identity = identity
        self._clock = clock
        self._now = now
        self._dead_man = dead_man
        self._lock = threading.Lock()
        self._takes_part = False
        self._act_until = -math.inf
        self._seen: tuple[Any, ...] | None = None
        """What the Lease said last."""
        self._seen_at = -math.inf
        """When it last said something new."""
        self._renewed_at = -math.inf
        """When a renewal was last seen: the first sight of a Lease tells nothing of its age."""
        self._trouble = ""
        self.resigned = False

    # --- what others ask --------------------------------------------------------------------------

    @property
    def identity(self) -> str | None:
        """This process's name while it takes part in an election; else None."""
        return self._identity if self._takes_part else None

    @property
    def leading(self) -> bool:
        """Whether this process may act now."""
        return not self.resigned and self._clock() < self._act_until

    @property
    def leader_renews(self) -> bool:
        """Whether a holder was seen to renew within the Lease's duration."""
        return self._clock() - self._renewed_at < LEASE_SECONDS

    @property
    def holder(self) -> str | None:
        """Who held the Lease when it was last read."""
        return self._seen[0] or None if self._seen is not None else None

    @property
    def renewal_age(self) -> float:
        """Seconds since a renewal was last seen; infinite before the first."""
        return self._clock() - self._renewed_at

    def check(self) -> None:
        """Let a write pass.

        Raises:
            NotLeading: this process may not act.
        """
        if self._takes_part and not self.leading:
            raise NotLeading

    # --- the election -----------------------------------------------------------------------------

    @property
    def pause(self) -> float:
        """Seconds to wait before the next attempt: sooner when the holder's time ends before."""
        left = self._seen_at + LEASE_SECONDS - self._clock()
        return RENEW_SECONDS if self.leading or left <= 0 else min(RENEW_SECONDS, left)

    def attempt(self, namespace: str) -> bool:
        """Try once to take or to renew the Lease; whether this process may act now.

        Raises nothing: what fails is logged once, and tried again at the next attempt.
        """
        with self._lock:
            self._takes_part = True
            if self.resigned:
                return False
            try:
                self._try(namespace)
                self._trouble = ""
            except ClusterError as error:
                self._failed(namespace, str(error))
            except Exception as error:
                logger.exception("lease %s: unexpected error", namespace)
                self._failed(namespace, repr(error))
            return self.leading

    def resign(self, namespace: str) -> None:
        """Release the Lease, so that a successor need not wait for its end, and never take it
        again. Nothing of this process may act any more."""
        with self._lock:
            self.resigned = True
            self._act_until = -math.inf
            self._dead_man(0)
            try:
                lease = self._read(namespace)
                if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
                    self._replace(namespace, lease, {"holderIdentity": ""})
            except ClusterError as error:
                logger.warning("could not release the Lease; it will expire: %s", error)

    def _try(self, namespace: str) -> None:
        sent = self._clock()
        lease = self._read(namespace)
        # Somebody deletes a Lease by hand while its holder goes on: it is held for its whole time.
        deleted = {"holderIdentity": self._seen[0]} if self._seen is not None else {}
        spec = lease["spec"] if lease is not None else deleted
        self._note(spec)
        ours = spec.get("holderIdentity") == self._identity
        if not ours:
            self._act_until = -math.inf
            if not self._is_free(spec):
                return
        if lease is None:
            self._create(namespace)
        else:
            sent = self._clock()
            self._replace(namespace, lease, self._claim(spec, ours=ours))
        self._act_until = sent + ACT_SECONDS
        self._dead_man(self._act_until + DEAD_MAN_SECONDS - self._clock())

    def _is_free(self, spec: Manifest) -> bool:
        return not spec.get("holderIdentity") or self._clock() - self._seen_at >= LEASE_SECONDS

    def _note(self, spec: Manifest) -> None:
        """Remember when the Lease changed, by our own clock."""
        current = tuple(spec.get(name) for name in ("holderIdentity", "renewTime", "acquireTime"))
        if current != self._seen:
            if self._seen is not None and current[0] and current[1]:
                self._renewed_at = self._clock()
            self._seen, self._seen_at = current, self._clock()

    def _claim(self, spec: Manifest, *, ours: bool) -> Manifest:
        now = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        claim = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": now,
        }
        if not ours:
            claim["acquireTime"] = now
            claim["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
        return claim

    def _create(self, namespace: str) -> None:
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": naming.FIELD_MANAGER, "namespace": namespace},
            "spec": self._claim({}, ours=False),
        }
        path = _path(namespace).rpartition("/")[0]
        self._api.request("POST", path, "Lease", body=body, timeout=LEASE_REQUEST_SECONDS)

    def _read(self, namespace: str) -> Manifest | None:
        lease = self._api.request(
            "GET", _path(namespace), "Lease", absent_is_none=True, timeout=LEASE_REQUEST_SECONDS
        )
        return None if lease is None else {**lease, "spec": lease.get("spec") or {}}

    def _replace(self, namespace: str, lease: Manifest, change: Manifest) -> None:
        """With the resourceVersion that was read: of two candidates, one gets a conflict."""
        body = {**lease, "spec": {**lease["spec"], **change}}
        self._api.request(
            "PUT", _path(namespace), "Lease", body=body, timeout=LEASE_REQUEST_SECONDS
        )

    def _failed(self, namespace: str, trouble: str) -> None:
        if trouble != self._trouble:
            logger.warning(
                "lease %s/%s: %s; retrying every %.1f s",
                namespace,
                naming.FIELD_MANAGER,
                trouble,
                RENEW_SECONDS,
            )
        self._trouble = trouble


class Guarded:
    """An `Api` that sends a write only while `check` lets it pass.

    Args:
        check: called right before every request but GET; raises to stop it.
    """

    def __init__(self, api: Api, check: Callable[[], None]) -> None:
        self._api = api
        self._check = check

    def request(
        self,
        method: str,
        path: str,
        kind: str,
        *,
        body: Manifest | None = None,
        query: Query | None = None,
        content_type: str = "application/json",
        absent_is_none: bool = False,
        timeout: float = REQUEST_SECONDS,
    ) -> Manifest | None:
        """See `Api`.

        Raises:
            NotLeading: this process may not act.
        """
        if method != "GET":
            self._check()
        return self._api.request(
            method,
            path,
            kind,
            body=body,
            query=query,
            content_type=content_type,
            absent_is_none=absent_is_none,
            timeout=timeout,
        )

    def watch(
        self, path: str, query: Query, *, seconds: float, silence: float
    ) -> Iterator[Manifest]:
        """See `Api`."""
        return self._api.watch(path, query, seconds=seconds, silence=silence)


def dead_man(seconds: float) -> None:
    """Have the kernel end this process in so many seconds; 0 calls it off.

    SIGALRM's handler is the C library's `_exit`, which needs nothing of this process: not the
    interpreter's lock, not a thread that is stuck. A process that was stopped meanwhile ends when
    it is continued: the first of its threads that the kernel wakes runs the handler. Another thread
    may go on for the moment until that has ended the process; what it sends then is refused by the
    resourceVersion that it carries. (The default action would do, were it not ignored for process 1
    of a container.)
    """
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(signal.SIGALRM, ctypes.cast(libc["_exit"], ctypes.c_void_p))
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001) if seconds else 0.0)


def campaign(
    election: Election,
    namespace: str,
    started: Callable[[], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait for the Lease, call `started`, and renew; return when it is lost or released."""
    while not election.attempt(namespace):
        if election.resigned:
            return
        sleep(election.pause)
    started()
    while True:
        sleep(election.pause)
        if not election.attempt(namespace):
            return


def _path(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{naming.FIELD_MANAGER}"
