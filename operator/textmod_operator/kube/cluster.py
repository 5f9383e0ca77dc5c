"""The door to the Kubernetes API that the rest of the operator uses: one object for the package."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from textmod_operator import naming
from textmod_operator.api import v1alpha1 as api
from textmod_operator.kube.apply import Applier
from textmod_operator.kube.cache import OwnedObjects
from textmod_operator.kube.client import Client, connect
from textmod_operator.kube.discovery import Discovery
from textmod_operator.kube.events import post_event
from textmod_operator.kube.lease import LEASE_SECONDS, Election
from textmod_operator.kube.moderations import Moderations
from textmod_operator.kube.secrets import Secrets
from textmod_operator.kube.watch import Watches
from textmod_operator.pods import PodTable
from textmod_operator.state import Capabilities, FrontProxy, Manifest, ObjectKey, PodSeen, Ref

__all__ = ["LEASE_SECONDS", "Cluster", "connect"]


class Cluster:
    """What the operator does in a cluster. Thread-safe.

    Args:
        client: where the API server is, and who we are.
        identity: this process, named in events and in the Lease.
    """

    def __init__(self, client: Client, identity: str) -> None:
        self._client = client
        self._identity = identity
        self._cache = OwnedObjects()
        self._pods = PodTable()
        self._watches = Watches(client, self._cache, self._pods)
        self._applier = Applier(client, self._cache)
        self._moderations = Moderations(client)
        self._secrets = Secrets(client)
        self._discovery = Discovery(client)
        self._election = Election(client.api_client, identity)

    # --- what the watches report --------------------------------------------------------------

    def follow(self, namespaces: tuple[str, ...], enqueue: Callable[[ObjectKey], None]) -> None:
        """Watch model pods and owned objects from now on, in threads; see `Watches.start`."""
        self._watches.start(namespaces, enqueue)

    def owned(self, owner_uid: str, namespace: str) -> list[Ref]:
        """The live objects that were made for an owner, as cached."""
        return self._cache.owned(owner_uid, namespace)

    def pods(self, key: ObjectKey) -> tuple[PodSeen, ...]:
        """The model pods of an object that are not terminating.

        Raises:
            ClusterError: they have not been listed yet.
        """
        return self._pods.of(key)

    # --- owned objects --------------------------------------------------------------------------

    def apply(self, manifest: Manifest, owner: api.TextModeration) -> Manifest:
        """Bring an owned object to what the manifest says; see `Applier.apply`."""
        body = self._applier.apply(manifest, owner)
        self._watches.applied(manifest["kind"])
        return body

    def dry_run(self, manifest: Manifest) -> Manifest:
        """The object as an apply would leave it; nothing is written."""
        return self._applier.dry_run(manifest)

    def delete(self, ref: Ref) -> None:
        """Delete an owned object; see `Applier.delete`."""
        self._applier.delete(ref)

    def get(self, ref: Ref) -> Manifest | None:
        """Read one object from the API server, or None."""
        return self._applier.get(ref)

    # --- TextModerations --------------------------------------------------------------------------

    def moderations(self, namespaces: tuple[str, ...]) -> set[ObjectKey]:
        """List the TextModerations that exist now."""
        return self._moderations.keys(namespaces)

    def patch_status(self, key: ObjectKey, status: Manifest) -> Manifest | None:
        """Merge into the status; see `Moderations.patch_status`."""
        return self._moderations.patch_status(key, status)

    def patch_metadata(self, key: ObjectKey, metadata: Manifest) -> Manifest | None:
        """Merge into the metadata; see `Moderations.patch_metadata`."""
        return self._moderations.patch_metadata(key, metadata)

    def scale(self, key: ObjectKey, replicas: int) -> None:
        """Set spec.replicas through the scale subresource."""
        self._moderations.scale(key, replicas)

    def post_event(
        self, about: api.TextModeration, severity: str, reason: str, message: str
    ) -> None:
        """Post an Event about an object; see `events.post_event`."""
        post_event(
            self._client,
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

    # --- leadership -------------------------------------------------------------------------------

    def lead(self, namespace: str, started: Callable[[], None]) -> None:
        """Wait for the operator's Lease, call `started`, and renew; return when it is lost."""
        self._election.lead(namespace, started)

    def resign(self) -> None:
        """Release the Lease. Nothing of this process may act any more."""
        self._election.resign()

    @property
    def resigned(self) -> bool:
        """Whether the Lease was released on purpose."""
        return self._election.resigned

    @property
    def leader_renews(self) -> bool:
        """Whether a holder was seen to renew within the Lease's duration."""
        return self._election.leader_renews

    def lease_renewal(self, namespace: str) -> str | None:
        """When the holder of the operator's Lease last renewed it, by the holder's clock; None when
        nobody holds it."""
        name = naming.FIELD_MANAGER
        path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"
        body = self._client.request("GET", path, "Lease", absent_is_none=True) or {}
        renewed: str | None = (body.get("spec") or {}).get("renewTime")
        return renewed
