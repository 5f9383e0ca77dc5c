"""The door to the Kubernetes API that the rest of the operator uses: one object for the package."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from textmod_operator import naming
from textmod_operator.api import v1alpha1 as api
from textmod_operator.desired.kafka_topics import KAFKA_TOPIC
from textmod_operator.errors import ClusterError, TopicsNotReady
from textmod_operator.kube.apply import Applier, strimzi_not_installed
from textmod_operator.kube.cache import OwnedObjects
from textmod_operator.kube.client import Api, connect, kubeconfig_of_kubectl, patch
from textmod_operator.kube.discovery import FRONT_PROXY, Discovery, front_proxy_in
from textmod_operator.kube.events import post_event
from textmod_operator.kube.grants import Grants
from textmod_operator.kube.lease import LEASE_SECONDS, Election, Guarded, campaign, dead_man
from textmod_operator.kube.moderations import Moderations
from textmod_operator.kube.resources import PLURALS, WORKLOAD_KINDS, prefix
from textmod_operator.kube.secrets import Secrets
from textmod_operator.kube.watch import KafkaTopics, ListWatch, Watches
from textmod_operator.pods import PodTable
from textmod_operator.state import (
    Capabilities,
    FrontProxy,
    LeaderSeen,
    Manifest,
    ObjectKey,
    PodSeen,
    Ref,
)

__all__ = ["LEASE_SECONDS", "Cluster", "connect", "kubeconfig_of_kubectl"]


class Cluster:
    """What the operator does in a cluster. Thread-safe.

    Args:
        client: the API server.
        identity: this process, named in events and in the Lease; unique to it.
        strimzi: namespaces in which KafkaTopics may be made; empty means all, None: none.
    """

    def __init__(self, client: Api, identity: str, strimzi: tuple[str, ...] | None = None) -> None:
        self._client = client
        self._identity = identity
        self._election = Election(client, identity, dead_man=dead_man)
        guarded = Guarded(client, self._election.check)
        self._guarded = guarded
        self._cache = OwnedObjects()
        self._pods = PodTable()
        self._console_pods = PodTable(naming.CONSOLE_LABEL, naming.CONSOLE_CONTAINER)
        tables = {naming.NAME_LABEL: self._pods, naming.CONSOLE_LABEL: self._console_pods}
        self._discovery = Discovery(client)
        self._strimzi = strimzi
        kafka_topics = None if strimzi is None else KafkaTopics(strimzi, self._watched_version)
        self._watches = Watches(client, self._cache, tables, kafka_topics)
        self._applier = Applier(guarded, self._cache)
        self._moderations = Moderations(guarded)
        # Every replica serves the certificate, and so each of them may renew it.
        self._secrets = Secrets(client)
        self._grants = Grants(guarded, self._is_gone)
        self._lease_namespace: str | None = None

    # --- what the watches report --------------------------------------------------------------

    def follow(self, namespaces: tuple[str, ...], enqueue: Callable[[ObjectKey], None]) -> None:
        """Watch model pods and owned objects from now on, in threads; see `Watches.start`."""
        self._watches.start(namespaces, enqueue)

    def list_watches(self, namespaces: tuple[str, ...]) -> list[ListWatch]:
        """The same, for a caller that steps them itself."""
        found = self._watches.list_watches(namespaces, lambda _: None)
        return [list_watch for _, list_watch in found]

    def unfollow(self) -> None:
        """Report no changes any more."""
        self._watches.stop()

    def owned(self, owner_uid: str, namespace: str) -> list[Ref]:
        """The live objects that were made for an owner, as cached, without KafkaTopics."""
        return self._cache.owned(owner_uid, namespace)

    def require_workloads(self, namespace: str) -> None:
        """Check that no workload can be missing in `owned`.

        Raises:
            ClusterError: they have not been listed yet.
        """
        for kind in WORKLOAD_KINDS:
            if not self._cache.is_known(kind, namespace):
                raise ClusterError(0, f"the {PLURALS[kind]} have not been listed yet")

    def pods(self, key: ObjectKey) -> tuple[PodSeen, ...]:
        """The model pods of an object that are not terminating.

        Raises:
            ClusterError: they have not been listed yet.
        """
        return self._pods.of(key)

    def console_pods(self, key: ObjectKey) -> tuple[PodSeen, ...]:
        """The console's pods of an object that are not terminating.

        Raises:
            ClusterError: they have not been listed yet.
        """
        return self._console_pods.of(key)

    def pods_running(self, key: ObjectKey) -> int:
        """How many pods of an object there are, of its model and its console, those that are
        terminating included.

        Raises:
            ClusterError: they have not been listed yet.
        """
        tables = (self._pods, self._console_pods)
        return sum(len(table.of(key, terminating=True)) for table in tables)

    # --- owned objects --------------------------------------------------------------------------

    def apply(self, manifest: Manifest, owner: api.TextModeration) -> Manifest:
        """Bring an owned object to what the manifest says; see `Applier.apply`."""
        self._mark(ObjectKey(owner.metadata.namespace, owner.metadata.name))
        body = self._applier.apply(manifest, owner, self._election.identity)
        self._watches.applied(manifest["kind"])
        return body

    def dry_run(self, manifest: Manifest) -> Manifest:
        """The object as an apply would leave it; nothing is written."""
        return self._applier.dry_run(manifest)

    def is_terminating(self, namespace: str) -> bool:
        """Whether a namespace takes no new objects; see `Applier.is_terminating`."""
        return self._applier.is_terminating(namespace)

    def delete(self, ref: Ref) -> None:
        """Delete an owned object; see `Applier.delete`."""
        self._applier.delete(ref)

    def get(self, ref: Ref) -> Manifest | None:
        """Read one object from the API server, or None."""
        return self._applier.get(ref)

    def known(self, ref: Ref) -> Manifest | None:
        """An owned object as cached or, before it was listed, as the API server has it."""
        live = self._cache.live(ref)
        return live if live or self._cache.is_listed(ref) else self._applier.get(ref)

    def annotate_pod(self, namespace: str, name: str, annotations: Manifest) -> None:
        """Set annotations of a model pod; one that is gone is passed over.

        Raises:
            ClusterError: the API server refused.
        """
        body = {"metadata": {"annotations": annotations}}
        try:
            patch(self._guarded, Ref("v1", "Pod", namespace, name), body)
        except ClusterError as error:
            if error.status != 404:
                raise

    # --- KafkaTopics ------------------------------------------------------------------------------

    def kafka_topics_version(self, namespace: str) -> str:
        """The apiVersion with which to make KafkaTopics in a namespace.

        Raises:
            TopicsNotReady: StrimziUnavailable: the operator may not, or the cluster has none.
            ClusterError: the API server could not be asked.
        """
        self._check_strimzi(namespace)
        if (found := self._discovery.kafka_topics_version()) is None:
            raise strimzi_not_installed()
        return found

    def _check_strimzi(self, namespace: str) -> None:
        if self._strimzi is None or (self._strimzi and namespace not in self._strimzi):
            raise TopicsNotReady(
                "StrimziUnavailable",
                f"this operator may not make KafkaTopics in namespace {namespace}: set "
                f"strimzi.enabled of its chart to true, with {namespace} in strimzi.namespaces "
                "unless that is empty",
            )

    def apply_kafka_topic(self, manifest: Manifest, owner: api.TextModeration) -> Manifest:
        """Bring a KafkaTopic to what the manifest says; see `apply`."""
        try:
            return self.apply(manifest, owner)
        except TopicsNotReady:
            self._discovery.forget_kafka_topics()
            raise

    def kafka_topics_of(self, owner_uid: str, namespace: str) -> list[Manifest]:
        """The KafkaTopics that were made for an owner, as the API server has them now.

        Raises:
            TopicsNotReady: StrimziUnavailable: the operator may not look.
            ClusterError: the API server refused, or has another version by now.
        """
        self._check_strimzi(namespace)
        if (version := self._discovery.kafka_topics_version()) is None:
            return []
        path = f"{prefix(version)}/namespaces/{namespace}/{PLURALS[KAFKA_TOPIC]}"
        query = [("labelSelector", f"{naming.OWNER_LABEL}={owner_uid}")]
        try:
            body = self._client.request("GET", path, KAFKA_TOPIC, query=query)
        except ClusterError as error:
            if error.status == 404:
                self._discovery.forget_kafka_topics()
            raise
        group = {"apiVersion": version, "kind": KAFKA_TOPIC}
        return [{**group, **item} for item in body["items"]] if body else []

    def _watched_version(self) -> str:
        self._discovery.forget_kafka_topics()
        if (found := self._discovery.kafka_topics_version()) is None:
            raise ClusterError(404, "the cluster has no KafkaTopics")
        return found

    # --- TextModerations --------------------------------------------------------------------------

    def moderations(self, namespaces: tuple[str, ...]) -> set[ObjectKey]:
        """List the TextModerations that exist now."""
        return self._moderations.keys(namespaces)

    def reads_from(self, read: Callable[[ObjectKey], Manifest | None]) -> None:
        """Decide writes to TextModerations on the readings that `read` returns, such as those of a
        watch; without, each is read first."""
        self._moderations.reads_from(read)

    def forget(self, key: ObjectKey) -> None:
        """Drop what is kept of a TextModeration that is gone."""
        self._moderations.forget(key)

    def patch_status(self, key: ObjectKey, status: Manifest, uid: str) -> Manifest | None:
        """Merge into the status; see `Moderations.patch_status`."""
        self._mark(key)
        return self._moderations.patch_status(key, status, uid)

    def patch_metadata(self, key: ObjectKey, metadata: Manifest, uid: str) -> Manifest | None:
        """Merge into the metadata; see `Moderations.patch_metadata`."""
        self._mark(key)
        return self._moderations.patch_metadata(key, metadata, uid)

    def set_finalizer(self, key: ObjectKey, *, present: bool, uid: str) -> Manifest | None:
        """Add or remove the operator's finalizer; see `Moderations.set_finalizer`."""
        self._mark(key)
        return self._moderations.set_finalizer(key, present=present, uid=uid)

    def scale(self, key: ObjectKey, replicas: int, uid: str) -> None:
        """Set spec.replicas through the scale subresource; see `Moderations.scale`."""
        self._mark(key)
        self._moderations.scale(key, replicas, uid)

    def _mark(self, key: ObjectKey) -> None:
        if self._election.identity is not None:
            self._moderations.mark(key, self._election.identity)

    def post_event(
        self, about: api.TextModeration, severity: str, reason: str, message: str
    ) -> None:
        """Post an Event about an object; see `events.post_event`."""
        post_event(
            self._guarded,
            self._identity,
            about,
            severity=severity,
            reason=reason,
            message=message,
        )

    # --- Secrets and trust ------------------------------------------------------------------------

    def secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """The data of a Secret, or None when there is no such Secret."""
        return self._secrets.read(namespace, name)

    def create_secret(
        self, owner: api.TextModeration, name: str, data: Mapping[str, bytes]
    ) -> None:
        """Create a Secret for a TextModeration; one of that name stays as it is.

        Raises:
            ClusterError: the API server refused.
        """
        Secrets(self._guarded).create(owner, name, data)

    def grant_console(self, namespace: str, service_account: str) -> None:
        """Let a console create TokenReviews and SubjectAccessReviews; see `Grants.ensure`."""
        self._grants.ensure(namespace, service_account)

    def revoke_console(self, namespace: str, service_account: str) -> None:
        """Revoke that; see `Grants.remove`."""
        self._grants.remove(namespace, service_account)

    def _is_gone(self, namespace: str, service_account: str) -> bool:
        ref = Ref("v1", "ServiceAccount", namespace, service_account)
        return self._cache.is_listed(ref) and self._cache.live(ref) is None

    def update_secret(
        self,
        namespace: str,
        name: str,
        change: Callable[[Mapping[str, bytes]], Mapping[str, bytes]],
    ) -> Mapping[str, bytes]:
        """Set a Secret's data to `change(data)`; see `Secrets.update`."""
        return self._secrets.update(namespace, name, change)

    def trust(self, api_service: str, namespace: str, service: str, ca_pem: bytes) -> bool:
        """Make an APIService trust the authorities in `ca_pem`; see `Secrets.trust`."""
        return self._secrets.trust(api_service, namespace, service, ca_pem)

    # --- discovery --------------------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """What this cluster offers, by its version."""
        return self._discovery.capabilities()

    def resources(self, group_version: str) -> tuple[str, ...] | None:
        """Names of what an API group serves; None when the cluster has no such group."""
        return self._discovery.resources(group_version)

    def foreign_metrics(self) -> tuple[str, ...]:
        """What external.metrics.k8s.io offers when another adapter serves it."""
        return self._discovery.foreign_metrics()

    def front_proxy(self) -> FrontProxy | None:
        """The API server's front proxy, as it publishes it; None on a cluster without one."""
        return self._discovery.front_proxy()

    def follow_front_proxy(self, published: Callable[[FrontProxy], None]) -> None:
        """Call with every front proxy that is published from now on, in a thread."""

        def changed(config_map: Manifest) -> None:
            if (found := front_proxy_in(config_map)) is not None:
                published(found)

        self._watches.follow_config_map(*FRONT_PROXY, changed)

    # --- leadership -------------------------------------------------------------------------------

    def lead(self, namespace: str, started: Callable[[], None]) -> None:
        """Wait for the operator's Lease, call `started`, and renew; return when it is lost.

        From now on writes are refused (`NotLeading`) while this process does not hold it, and the
        kernel ends a process that holds it and neither renews nor returns from here in time.
        """
        self._lease_namespace = namespace
        campaign(self._election, namespace, started)

    def check_leading(self) -> None:
        """Call right before a write that does not go through here, such as to Kafka.

        Raises:
            NotLeading: this process may not act.
        """
        self._election.check()

    def resign(self) -> None:
        """Release the Lease. Nothing of this process may act any more."""
        if self._lease_namespace is not None:
            self._election.resign(self._lease_namespace)

    @property
    def resigned(self) -> bool:
        """Whether the Lease was released on purpose."""
        return self._election.resigned

    @property
    def leader(self) -> LeaderSeen | None:
        """The holder of the Lease, if it was seen to renew within the Lease's duration."""
        if not self._election.leader_renews or self._election.holder is None:
            return None
        return LeaderSeen(self._election.holder, self._election.renewal_age)

    def lease_renewal(self, namespace: str) -> str | None:
        """When the holder of the operator's Lease last renewed it, by the holder's clock; None when
        nobody holds it."""
        name = naming.FIELD_MANAGER
        path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"
        body = self._client.request("GET", path, "Lease", absent_is_none=True) or {}
        renewed: str | None = (body.get("spec") or {}).get("renewTime")
        return renewed
