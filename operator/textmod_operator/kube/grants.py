"""The consoles' permission to create TokenReviews and SubjectAccessReviews.

Both are cluster-wide, so a ClusterRole has to grant them. The
chart makes it, with a ClusterRoleBinding whose subjects are the consoles' ServiceAccounts: keeping
that list is all that the operator may do to bindings.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from textmod_operator import naming
from textmod_operator.errors import ClusterError
from textmod_operator.kube.client import MERGE_PATCH, Api
from textmod_operator.state import Manifest

REMEMBERED_SECONDS: Final = 300.0
"""How long the binding is taken to be as it was last read or written."""
ATTEMPTS: Final = 4
_PATH: Final = (
    f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{naming.CONSOLE_CLUSTER_ROLE}"
)

Subject = tuple[str, str]
"""Namespace and name of a ServiceAccount."""


class Grants:
    """Keeps the subjects of the consoles' binding. Thread-safe.

    Args:
        is_gone: whether a ServiceAccount is known not to exist: its subject is dropped with the
            next change.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        api: Api,
        is_gone: Callable[[str, str], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._is_gone = is_gone
        self._clock = clock
        self._lock = threading.Lock()
        self._known: frozenset[Subject] | None = None
        self._read_at = 0.0

    def ensure(self, namespace: str, name: str) -> None:
        """Add the ServiceAccount to the subjects.

        Sends nothing when it was there within the last five minutes.

        Raises:
            ClusterError: 404 when the binding does not exist; or another refusal.
        """
        with self._lock:
            fresh = self._clock() < self._read_at + REMEMBERED_SECONDS
            if fresh and (namespace, name) in (self._known or ()):
                return
            self._change(lambda subjects: subjects | {(namespace, name)})

    def remove(self, namespace: str, name: str) -> None:
        """Remove it from the subjects; a binding that does not exist needs no change.

        Raises:
            ClusterError: the API server refused.
        """
        with self._lock:
            try:
                self._change(lambda subjects: subjects - {(namespace, name)})
            except ClusterError as error:
                if error.status != 404:
                    raise

    def _change(self, change: Callable[[frozenset[Subject]], frozenset[Subject]]) -> None:
        self._known = None
        for attempt in range(1, ATTEMPTS + 1):
            body = self._api.request("GET", _PATH, "ClusterRoleBinding") or {}
            there = _subjects(body)
            wanted = change(frozenset(one for one in there if not self._is_gone(*one)))
            try:
                if wanted != there:
                    self._write(body, wanted)
            except ClusterError as error:
                if error.status != 409 or attempt == ATTEMPTS:
                    raise
                continue
            self._known, self._read_at = wanted, self._clock()
            return

    def _write(self, body: Manifest, wanted: frozenset[Subject]) -> None:
        subjects = [
            {"kind": "ServiceAccount", "namespace": namespace, "name": name}
            for namespace, name in sorted(wanted)
        ]
        patch = {
            "metadata": {"resourceVersion": body["metadata"]["resourceVersion"]},
            "subjects": subjects,
        }
        self._api.request(
            "PATCH",
            _PATH,
            "ClusterRoleBinding",
            body=patch,
            query=[("fieldManager", naming.FIELD_MANAGER)],
            content_type=MERGE_PATCH,
        )


def _subjects(body: Manifest) -> frozenset[Subject]:
    return frozenset(
        (subject.get("namespace", ""), subject["name"])
        for subject in body.get("subjects") or ()
        if subject["kind"] == "ServiceAccount"
    )
