"""The one door to the Kubernetes API.

Writes are server-side applies under one field manager: fields that we do not set belong to whoever
does. What the watches tell is kept here, so that a pass over an object that is as it should be
costs no request at all.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from kubernetes.client import ApiClient, ApiException, Configuration, CoordinationV1Api
from kubernetes.client.rest import RESTResponse
from kubernetes.config import load_incluster_config, load_kube_config
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock
from urllib3.exceptions import HTTPError

from textmod_operator import metrics, naming
from textmod_operator.api import v1alpha1 as api
from textmod_operator.desired.scaled_object import SCALED_OBJECT, SCALED_OBJECT_API_VERSION
from textmod_operator.errors import (
    AutoscalingNotReady,
    ClusterError,
    NotAccepted,
    Problem,
    WorkloadNotReady,
)
from textmod_operator.pods import PodTable
from textmod_operator.state import Capabilities, FrontProxy, Manifest, ObjectKey, PodSeen, Ref

logger = logging.getLogger(__name__)

REQUEST_SECONDS: Final = 15
WATCH_SECONDS: Final = 600
"""The API server ends a watch after this time, and it is asked for anew."""
NOT_INSTALLED_SECONDS: Final = 600
"""How often a kind that the cluster does not know is asked for, unless one is applied before."""
FORBIDDEN_SECONDS: Final = 5
"""How often a watch is asked for that is not allowed: an API server that has just started allows
nothing for a moment."""
DISCOVERY_SECONDS: Final = 30
LEASE_SECONDS: Final = 10
"""A leader that has not renewed for so long is succeeded."""

PLURALS: Final = {
    "TextModeration": api.PLURAL,
    "SeldonDeployment": "seldondeployments",
    "Deployment": "deployments",
    "Service": "services",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    SCALED_OBJECT: "scaledobjects",
}
"""The resource of every kind that is written here."""

OWNED_KINDS: Final = (
    ("machinelearning.seldon.io/v1", "SeldonDeployment"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("policy/v1", "PodDisruptionBudget"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    (SCALED_OBJECT_API_VERSION, SCALED_OBJECT),
)
"""Everything that is made for a TextModeration: watched, repaired and pruned."""

_TELLING_STATUS: Final = {
    "Deployment": (
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
    ),
    "SeldonDeployment": ("state", "description", "replicas", "deploymentStatus"),
}


class Cluster:
    """What the operator does in a cluster. Thread-safe.

    Args:
        client: an API client whose configuration says where and as whom.
        identity: this process, named in events.
    """

    def __init__(self, client: ApiClient, identity: str) -> None:
        self._client = client
        self._identity = identity
        self._lock = threading.Lock()
        self._live: dict[Ref, Manifest] = {}
        self._pods = PodTable()
        self._installed = {kind: threading.Event() for kind in PLURALS}
        """Set once an object of that kind was applied."""
        self._applied: dict[Ref, tuple[str, Any]] = {}
        self._lock_of_lease: _PatientLock | None = None
        self._metrics_offered: tuple[float, tuple[str, ...]] = (-math.inf, ())

    # --- what the watches tell ----------------------------------------------------------------

    def saw(self, body: Manifest) -> bool:
        """Takes in an owned object from a watch; whether it says anything new."""
        ref, body = Ref.of(body), _trimmed(body)
        with self._lock:
            before = self._live.get(ref)
            if before is not None and _version(before) > _version(body):
                return False  # an apply of ours has told already what came of it
            self._live[ref] = body
        return before is None or _telling(before) != _telling(body)

    def gone(self, ref: Ref) -> None:
        """Takes in that an owned object was deleted."""
        with self._lock:
            self._live.pop(ref, None)
            self._applied.pop(ref, None)

    def owned(self, owner_uid: str, namespace: str) -> list[Ref]:
        """The live objects that were made for the owner, as far as the watches told."""
        with self._lock:
            return [
                ref
                for ref, body in self._live.items()
                if ref.namespace == namespace and _owner_uid(body) == owner_uid
            ]

    def pods(self, key: ObjectKey) -> tuple[PodSeen, ...]:
        """The model pods of an object that are not on their way out.

        Raises:
            ClusterError: they have not been listed yet.
        """
        return self._pods.of(key)

    def follow(self, namespaces: tuple[str, ...], tell: Callable[[ObjectKey], None]) -> None:
        """Watches the model pods and all that is made for TextModerations from now on, in threads;
        `tell` hears whose changed.

        These watches select by label on the server, and what is missing in a list counts as
        deleted: kopf's do neither.
        """
        scopes = [f"/namespaces/{name}" for name in namespaces] or [""]
        self._pods.expect(set(scopes))
        for scope in scopes:
            listed, told = self._pods.listed, self._pods.saw
            hear = _Hearer(partial(listed, scope), partial(told, scope), tell)
            self._start_following(f"/api/v1{scope}/pods", "Pod", naming.NAME_LABEL, hear)
            for api_version, kind in OWNED_KINDS:
                path = f"{_prefix(api_version)}{scope}/{PLURALS[kind]}"
                hear = _Hearer(partial(self._owned_listed, kind, scope), self._owned_told, tell)
                selector = f"{naming.MANAGED_BY_LABEL}={naming.MANAGED_BY}"
                self._start_following(path, kind, selector, hear)

    def _start_following(self, path: str, kind: str, selector: str, hear: _Hearer) -> None:
        follow = partial(self._follow, path, kind, selector, hear)
        threading.Thread(target=follow, name=f"watch-{kind}", daemon=True).start()

    def _follow(self, path: str, kind: str, selector: str, hear: _Hearer) -> None:
        query = [("labelSelector", selector)]
        installed = self._installed.setdefault(kind, threading.Event())
        while True:
            installed.clear()
            try:
                listed = self._request("GET", path, kind, query=query) or {}
                group = {"apiVersion": listed.get("apiVersion"), "kind": kind}
                for key in hear.listed([{**group, **item} for item in listed.get("items") or ()]):
                    hear.tell(key)
                version = listed["metadata"]["resourceVersion"]
                for event in self._events(path, [*query, ("resourceVersion", version)]):
                    if event["type"] == "ERROR":
                        break  # the version is too old by now: list anew
                    if event["type"] != "BOOKMARK" and (changed := hear.told(event)):
                        hear.tell(changed)
            except (ClusterError, OSError, HTTPError, ValueError) as error:
                if isinstance(error, ClusterError) and error.status == 404:
                    # The cluster does not know the kind. The first that is applied tells us.
                    installed.wait(NOT_INSTALLED_SECONDS)
                    continue
                logger.warning("the watch of %s was cut (%s); it starts anew", path, error)
                forbidden = isinstance(error, ClusterError) and error.status == 403
                seconds = FORBIDDEN_SECONDS if forbidden else 1.0
                time.sleep(seconds * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    def _owned_listed(self, kind: str, scope: str, items: list[Manifest]) -> set[ObjectKey]:
        """Takes in a whole list; the TextModerations whose objects are not what they were."""
        there = {Ref.of(body) for body in items}
        namespace = scope.removeprefix("/namespaces/")
        with self._lock:
            gone = {
                ref: body
                for ref, body in self._live.items()
                if ref.kind == kind and namespace in ("", ref.namespace) and ref not in there
            }
        for ref in gone:
            self.gone(ref)
        changed = [*gone.values(), *filter(self.saw, items)]
        return {key for body in changed if (key := _owner_key(body)) is not None}

    def _owned_told(self, event: Manifest) -> ObjectKey | None:
        """Takes in one event; the TextModeration whose object changed, None for no news."""
        body = event["object"]
        if event["type"] == "DELETED":
            self.gone(Ref.of(body))
        elif not self.saw(body):
            return None
        return _owner_key(body)

    def _events(self, path: str, query: list[tuple[str, str]]) -> Iterator[Manifest]:
        """The events of one watch request, until the server ends it."""
        query = [*query, ("watch", "true"), ("timeoutSeconds", str(WATCH_SECONDS))]
        response = self._send(
            "GET", path, query=query, timeout=(REQUEST_SECONDS, WATCH_SECONDS * 2)
        )
        metrics.API_REQUESTS.labels("WATCH", path.rpartition("/")[2], response.status).inc()
        rest = b""
        try:
            for chunk in response.response.stream():
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines if line)
        finally:
            response.response.release_conn()

    # --- owned objects --------------------------------------------------------------------------

    def apply(self, manifest: Manifest, owner: api.TextModeration) -> Manifest:
        """Makes an object be as the manifest says, and returns it as the API server has it.

        Sends nothing when the last apply of the same manifest still stands.

        Raises:
            WorkloadNotReady: Conflict, when an object of that name belongs to somebody else;
                SeldonNotInstalled, when the cluster does not know SeldonDeployments.
            AutoscalingNotReady: MetricsUnavailable, when it does not know ScaledObjects.
            NotAccepted: InvalidSpec, when a part that is passed through is no legal one.
            ClusterError: the API server refused for another reason.
        """
        ref = Ref.of(manifest)
        owned = _with_owner(manifest, owner)
        digest = _digest(owned)
        with self._lock:
            live, applied = self._live.get(ref), self._applied.get(ref)
        if live and applied and applied == (digest, _projection(live, owned)):
            return live
        body = self._server_side_apply(ref, owned, owner.metadata.uid)
        body = _trimmed(body)
        self._installed[ref.kind].set()
        with self._lock:
            self._live[ref] = body
            self._applied[ref] = (digest, _projection(body, owned))
        return body

    def dry_run(self, manifest: Manifest) -> Manifest:
        """The object as an apply would leave it; nothing is written."""
        query = [("fieldManager", naming.FIELD_MANAGER), ("force", "true"), ("dryRun", "All")]
        return self._patch(Ref.of(manifest), manifest, "application/apply-patch+yaml", query)

    def delete(self, ref: Ref) -> None:
        """Deletes an object and, in the background, what it owns. Absent counts as deleted."""
        options = {"propagationPolicy": "Background"}
        self._request("DELETE", _path(ref), ref.kind, body=options, absent_is_none=True)
        self.gone(ref)

    def _server_side_apply(self, ref: Ref, manifest: Manifest, owner_uid: str) -> Manifest:
        query = [("fieldManager", naming.FIELD_MANAGER)]
        try:
            return self._patch(ref, manifest, "application/apply-patch+yaml", query)
        except ClusterError as error:
            not_installed = _NOT_INSTALLED.get(ref.kind)
            if error.status == 404 and not_installed is not None:
                raise not_installed() from error
            if error.status not in (409, 422):
                raise
            refusal = error
        # Somebody else set a field that is ours to set. On our own object that is drift, and is
        # undone; on anybody else's object we have no business.
        live = self.get(ref)
        if live is not None and _owner_uid(live) != owner_uid:
            raise WorkloadNotReady(
                "Conflict",
                f"{ref.kind} {ref.name} exists and was not made for this TextModeration: delete it "
                "or rename this object",
            )
        if refusal.status == 422:
            self._replace(ref, manifest, live, refusal)
        query.append(("force", "true"))
        return self._patch(ref, manifest, "application/apply-patch+yaml", query)

    def _replace(
        self, ref: Ref, manifest: Manifest, live: Manifest | None, refusal: ClusterError
    ) -> None:
        """Puts whole lists in place of those that are there. Where an entry was edited in the field
        that tells it from others (a Service's port), an apply adds ours beside it."""
        try:
            if live is None:
                raise refusal
            query = [("fieldManager", naming.FIELD_MANAGER)]
            self._patch(ref, manifest, "application/merge-patch+json", query)
        except ClusterError as error:
            if error.status != 422:
                raise
            raise NotAccepted(
                "InvalidSpec", f"the API server refuses {ref.kind} {ref.name}: {error.message}"
            ) from error

    # --- reads -----------------------------------------------------------------------------------

    def get(self, ref: Ref) -> Manifest | None:
        """One object as it is now, or None."""
        return self._request("GET", _path(ref), ref.kind, absent_is_none=True)

    def moderations(self, namespaces: tuple[str, ...]) -> set[ObjectKey]:
        """The TextModerations that are there now."""
        scopes = [f"/namespaces/{name}" for name in namespaces] or [""]
        paths = [f"{_prefix(api.API_VERSION)}{scope}/{api.PLURAL}" for scope in scopes]
        lists = [self._request("GET", path, api.KIND) or {} for path in paths]
        found = (item["metadata"] for listed in lists for item in listed.get("items") or ())
        return {ObjectKey(metadata["namespace"], metadata["name"]) for metadata in found}

    def secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """The data of a Secret, or None when it is not there."""
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        body = self._request("GET", path, "Secret", absent_is_none=True)
        if body is None:
            return None
        return {key: base64.b64decode(value) for key, value in (body.get("data") or {}).items()}

    def update_secret(
        self,
        namespace: str,
        name: str,
        change: Callable[[Mapping[str, bytes]], Mapping[str, bytes]],
    ) -> Mapping[str, bytes]:
        """Brings a Secret's data to what `change` makes of it, and returns that.

        Sends nothing when `change` returns what it was given. When somebody else writes in
        between, theirs is read and judged anew.

        Raises:
            ClusterError: 404 when there is no such Secret; or another refusal.
        """
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        while True:
            body = self._request("GET", path, "Secret") or {}
            data = {k: base64.b64decode(v) for k, v in (body.get("data") or {}).items()}
            wanted = change(data)
            if wanted is data:
                return data
            patch = {
                "metadata": {"resourceVersion": body["metadata"]["resourceVersion"]},
                "data": {k: base64.b64encode(v).decode() for k, v in wanted.items()},
            }
            try:
                self._request(
                    "PATCH",
                    path,
                    "Secret",
                    body=patch,
                    query=[("fieldManager", naming.FIELD_MANAGER)],
                    content_type="application/merge-patch+json",
                )
            except ClusterError as error:
                if error.status != 409:
                    raise
                continue
            return wanted

    def trust(self, api_service: str, namespace: str, service: str, ca_pem: bytes) -> bool:
        """Makes an APIService trust the authorities in `ca_pem`; whether it did already.

        One that is not there, or that another Service answers, is left alone and counts as done.

        Raises:
            ClusterError: the API server refused.
        """
        path = f"/apis/apiregistration.k8s.io/v1/apiservices/{api_service}"
        body = self._request("GET", path, "APIService", absent_is_none=True)
        spec = (body or {}).get("spec") or {}
        answering = spec.get("service") or {}
        if (answering.get("namespace"), answering.get("name")) != (namespace, service):
            return True
        bundle = base64.b64encode(ca_pem).decode()
        if spec.get("caBundle") == bundle:
            return True
        self._request(
            "PATCH",
            path,
            "APIService",
            body={"spec": {"caBundle": bundle}},
            query=[("fieldManager", naming.FIELD_MANAGER)],
            content_type="application/merge-patch+json",
        )
        return False

    def capabilities(self) -> Capabilities:
        """What this cluster offers, told from its version."""
        version = self._request("GET", "/version", "Version") or {}
        minor = "".join(filter(str.isdigit, version.get("minor", ""))) or "0"
        return Capabilities(hpa_tolerance=(int(version.get("major", "1")), int(minor)) >= (1, 35))

    def foreign_metrics(self) -> tuple[str, ...]:
        """What external.metrics.k8s.io offers when somebody else serves it; empty when it is ours,
        or nobody answers there. Looked at twice a minute at most."""
        with self._lock:
            looked_at, offered = self._metrics_offered
            if time.monotonic() < looked_at + DISCOVERY_SECONDS:
                return offered
            self._metrics_offered = (time.monotonic(), offered)
        offered = self._discover_metrics()
        with self._lock:
            self._metrics_offered = (time.monotonic(), offered)
        return offered

    def _discover_metrics(self) -> tuple[str, ...]:
        path = "/apis/external.metrics.k8s.io/v1beta1"
        try:
            listed = self._request("GET", path, "APIResourceList", absent_is_none=True) or {}
        except ClusterError:
            return ()  # registered, and nobody answers: the HPA says so
        offered = tuple(item["name"] for item in listed.get("resources") or ())
        return () if naming.METRIC in offered else offered

    def front_proxy(self) -> FrontProxy | None:
        """The API server's front proxy, as it publishes it; None on a cluster without one."""
        path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
        body = self._request("GET", path, "ConfigMap", absent_is_none=True)
        data = (body or {}).get("data") or {}
        if "requestheader-client-ca-file" not in data:
            return None
        names = json.loads(data.get("requestheader-allowed-names") or "[]")
        return FrontProxy(data["requestheader-client-ca-file"], tuple(names))

    def lead(self, namespace: str, started: Callable[[], None]) -> None:
        """Waits for the operator's Lease, calls `started`, and renews; returns when it is lost."""
        lock = _PatientLock(naming.FIELD_MANAGER, namespace, self._identity)  # type: ignore[no-untyped-call]
        lock.api_instance = CoordinationV1Api(self._client)
        self._lock_of_lease = lock
        config = electionconfig.Config(
            lock,
            lease_duration=LEASE_SECONDS,
            renew_deadline=LEASE_SECONDS * 0.7,
            retry_period=LEASE_SECONDS / 5,
            onstarted_leading=started,
            onstopped_leading=lambda: None,
        )
        leaderelection.LeaderElection(config).run()

    def lease_renewal(self, namespace: str) -> str | None:
        """When the holder of the operator's Lease last renewed it, by its own clock; None when
        nobody holds it."""
        name = naming.FIELD_MANAGER
        path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"
        body = self._request("GET", path, "Lease", absent_is_none=True) or {}
        renewed: str | None = (body.get("spec") or {}).get("renewTime")
        return renewed

    def resources(self, group_version: str) -> tuple[str, ...] | None:
        """Names of what an API group serves; None when the cluster has no such group."""
        path = f"/apis/{group_version}"
        body = self._request("GET", path, "APIResourceList", absent_is_none=True)
        if body is None:
            return None
        return tuple(resource["name"] for resource in body.get("resources") or ())

    def resign(self) -> None:
        """Lets the Lease go, so that a successor need not wait for its end. Nothing of this process
        may act any more."""
        if self._lock_of_lease is not None:
            self._lock_of_lease.resign()

    @property
    def resigned(self) -> bool:
        """Whether the Lease was let go on purpose."""
        return self._lock_of_lease is not None and self._lock_of_lease.resigned

    @property
    def leader_renews(self) -> bool:
        """Whether somebody was seen to hold the Lease within its time. By changes of the Lease and
        our own clock: the clocks of two machines differ."""
        lock = self._lock_of_lease
        return lock is not None and lock.seconds_since_renewal() < LEASE_SECONDS

    # --- the TextModeration itself ----------------------------------------------------------------

    def patch_status(self, key: ObjectKey, status: Manifest) -> Manifest | None:
        """Merges into the status (None takes a field out); the object afterwards, None when it is
        gone."""
        return self._merge(key, {"status": status}, "/status")

    def patch_metadata(self, key: ObjectKey, metadata: Manifest) -> Manifest | None:
        """Merges into the metadata; the object afterwards, None when it is gone."""
        return self._merge(key, {"metadata": metadata})

    def scale(self, key: ObjectKey, replicas: int) -> None:
        """Sets spec.replicas through the scale subresource, as an autoscaler does."""
        self._merge(key, {"spec": {"replicas": replicas}}, "/scale")

    def _merge(self, key: ObjectKey, body: Manifest, subresource: str = "") -> Manifest | None:
        ref = Ref(api.API_VERSION, api.KIND, key.namespace, key.name)
        try:
            return self._patch(ref, body, "application/merge-patch+json", subresource=subresource)
        except ClusterError as error:
            if error.status != 404:
                raise
            return None

    def post_event(
        self, about: api.TextModeration, severity: str, reason: str, message: str
    ) -> None:
        """Posts an Event (`severity`: Normal or Warning) about an object."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        namespace = about.metadata.namespace
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{about.metadata.name}.", "namespace": namespace},
            "involvedObject": {
                "apiVersion": api.API_VERSION,
                "kind": api.KIND,
                "namespace": namespace,
                "name": about.metadata.name,
                "uid": about.metadata.uid,
            },
            "type": severity,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": naming.FIELD_MANAGER},
            "reportingComponent": naming.FIELD_MANAGER,
            "reportingInstance": self._identity,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self._request("POST", f"/api/v1/namespaces/{namespace}/events", "Event", body=body)

    # --- transport --------------------------------------------------------------------------------

    def _patch(
        self,
        ref: Ref,
        body: Manifest,
        content_type: str,
        query: list[tuple[str, str]] | None = None,
        subresource: str = "",
    ) -> Manifest:
        answer = self._request(
            "PATCH",
            _path(ref) + subresource,
            ref.kind,
            body=body,
            query=query,
            content_type=content_type,
        )
        return answer or {}

    def _request(
        self,
        method: str,
        path: str,
        kind: str,
        *,
        body: Manifest | None = None,
        query: list[tuple[str, str]] | None = None,
        content_type: str = "application/json",
        absent_is_none: bool = False,
    ) -> Manifest | None:
        code = 0
        try:
            response = self._send(method, path, query=query, body=body, content_type=content_type)
            text: bytes = response.read()
            code = response.status
        except (OSError, HTTPError) as error:
            raise ClusterError(0, str(error)) from error
        finally:
            metrics.API_REQUESTS.labels(method, kind, code).inc()
        if response.status == 404 and absent_is_none:
            return None
        if not 200 <= response.status < 300:
            raise ClusterError(response.status, _message(text))
        answer: Manifest = json.loads(text)
        return answer

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: Manifest | None = None,
        content_type: str = "application/json",
        timeout: float | tuple[float, float] = REQUEST_SECONDS,
    ) -> RESTResponse:
        call = self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=query or [],
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            return self._client.call_api(*call, _request_timeout=timeout)
        except ApiException as error:
            raise ClusterError(error.status or 0, error.reason or str(error)) from error


def connect(kubeconfig: str | None, context: str | None = None) -> ApiClient:
    """An API client from a kubeconfig file, or, without one, from the pod's service account."""
    configuration = Configuration()
    if kubeconfig:
        load_kube_config(kubeconfig, context, configuration)
    else:
        load_incluster_config(configuration)
    configuration.retries = False
    return ApiClient(configuration)


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


# --- pure helpers ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Hearer:
    """Who takes in what a watch tells."""

    listed: Callable[[list[Manifest]], set[ObjectKey]]
    """A whole list; whose objects changed."""
    told: Callable[[Manifest], ObjectKey | None]
    """One event; whose object changed, or None."""
    tell: Callable[[ObjectKey], None]


def _prefix(api_version: str) -> str:
    return "/api/v1" if api_version == "v1" else f"/apis/{api_version}"


def _path(ref: Ref) -> str:
    prefix = _prefix(ref.api_version)
    return f"{prefix}/namespaces/{ref.namespace}/{PLURALS[ref.kind]}/{ref.name}"


def _version(body: Manifest) -> int:
    """Kubernetes compares resourceVersions as whole numbers."""
    return int(body["metadata"]["resourceVersion"])


def _owner_key(body: Manifest) -> ObjectKey | None:
    """The TextModeration that an object was made for, by its label."""
    metadata = body["metadata"]
    name = metadata.get("labels", {}).get(naming.NAME_LABEL)
    return ObjectKey(metadata["namespace"], name) if name else None


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:300].decode(errors="replace")


def _seldon_not_installed() -> WorkloadNotReady:
    return WorkloadNotReady(
        "SeldonNotInstalled",
        "this cluster has no SeldonDeployments: install Seldon Core 1.17, or set serving.platform "
        "to Deployment; either is noticed without further help",
    )


def _keda_not_installed() -> AutoscalingNotReady:
    return AutoscalingNotReady(
        "MetricsUnavailable",
        "this cluster has no ScaledObjects: install KEDA 2, or set autoscaling.metricsProvider to "
        "Builtin; either is noticed without further help",
    )


_NOT_INSTALLED: Final[dict[str, Callable[[], Problem]]] = {
    "SeldonDeployment": _seldon_not_installed,
    SCALED_OBJECT: _keda_not_installed,
}
"""The kinds that a cluster may not know, and what is said of it."""


def _with_owner(manifest: Manifest, owner: api.TextModeration) -> Manifest:
    reference = {
        "apiVersion": api.API_VERSION,
        "kind": api.KIND,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return manifest | {"metadata": manifest["metadata"] | {"ownerReferences": [reference]}}


def _owner_uid(body: Manifest) -> str | None:
    references: Iterable[Manifest] = body["metadata"].get("ownerReferences") or ()
    return next((ref["uid"] for ref in references if ref.get("kind") == api.KIND), None)


def _trimmed(body: Manifest) -> Manifest:
    """Without managedFields, which are most of an object and of no use here."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    return {**body, "metadata": metadata}


def _telling(body: Manifest) -> Any:  # noqa: ANN401 - a value that is only compared
    """The part of an owned object whose change is worth a pass."""
    metadata, status = body["metadata"], body.get("status") or {}
    told: Any = {key: status.get(key) for key in _TELLING_STATUS.get(body["kind"], ())}
    if body["kind"] in ("HorizontalPodAutoscaler", SCALED_OBJECT):
        told = [
            (condition["type"], condition["status"], condition.get("reason"))
            for condition in status.get("conditions") or ()
        ]
    return (
        metadata.get("labels"),
        metadata.get("ownerReferences"),
        metadata.get("deletionTimestamp"),
        body.get("spec"),
        told,
    )


def _projection(live: Any, shape: Any) -> Any:  # noqa: ANN401 - any JSON value
    """`live` cut down to the fields that `shape` sets.

    The API server writes quantities and defaults in its own way, so what we sent is not what we
    read. What we read right after an apply is the normal form that later reads compare with.
    """
    if isinstance(shape, dict) and isinstance(live, dict):
        return {key: _projection(live.get(key), part) for key, part in shape.items()}
    if isinstance(shape, list) and isinstance(live, list) and len(shape) == len(live):
        return [_projection(one, part) for one, part in zip(live, shape, strict=True)]
    return live


def _digest(manifest: Manifest) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
