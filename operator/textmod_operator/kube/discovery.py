"""What the cluster offers: its version, API groups, external metrics and front proxy."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from typing import Final

from textmod_operator import naming
from textmod_operator.desired.kafka_topics import KAFKA_TOPIC_VERSIONS
from textmod_operator.errors import ClusterError
from textmod_operator.kube.client import Api
from textmod_operator.state import Capabilities, FrontProxy, Manifest

VERSION_SECONDS: Final = 300.0
"""How long to remember the API server's version: it is upgraded while the operator runs."""
METRICS_SECONDS: Final = 30.0
"""How long to remember who serves external.metrics.k8s.io."""

OPENSHIFT: Final = "security.openshift.io/v1"
"""The API of the constraints by which OpenShift assigns user and groups to pods."""

FRONT_PROXY: Final = ("kube-system", "extension-apiserver-authentication")
"""Namespace and name of the ConfigMap in which an API server publishes its front proxy."""


class Discovery:
    """Thread-safe.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._lock = threading.Lock()
        self._capabilities: tuple[float, Capabilities | None] = (-math.inf, None)
        self._metrics_offered: tuple[float, tuple[str, ...]] = (-math.inf, ())
        self._kafka_topics: str | None = None

    def capabilities(self) -> Capabilities:
        """What this cluster offers, by its version and API groups; requested every five minutes at
        most.

        Raises:
            ClusterError: it can't be read, and never was.
        """
        with self._lock:
            read_at, known = self._capabilities
            if known is not None and self._clock() < read_at + VERSION_SECONDS:
                return known
            self._capabilities = (self._clock(), known)  # one of several threads asks
        try:
            version = self._api.request("GET", "/version", "Version") or {}
            assigned_ids = self.resources(OPENSHIFT) is not None
        except ClusterError:
            if known is None:
                raise
            return known
        minor = "".join(filter(str.isdigit, version.get("minor", ""))) or "0"
        offered = Capabilities(
            hpa_tolerance=(int(version.get("major", "1")), int(minor)) >= (1, 35),
            assigned_ids=assigned_ids,
        )
        with self._lock:
            self._capabilities = (self._clock(), offered)
        return offered

    def resources(self, group_version: str) -> tuple[str, ...] | None:
        """Names of what an API group serves; None when the cluster has no such group."""
        path = f"/apis/{group_version}"
        body = self._api.request("GET", path, "APIResourceList", absent_is_none=True)
        if body is None:
            return None
        return tuple(resource["name"] for resource in body.get("resources") or ())

    def kafka_topics_version(self) -> str | None:
        """The apiVersion of KafkaTopics, the newest of those that the operator knows; None when the
        cluster has none. Kept once found, until `forget_kafka_topics`."""
        known = self._kafka_topics  # read once: the watch's thread may forget it meanwhile
        if known is None:
            found = (one for one in KAFKA_TOPIC_VERSIONS if self._has_kafka_topics(one))
            known = self._kafka_topics = next(found, None)
        return known

    def forget_kafka_topics(self) -> None:
        """Look for KafkaTopics again: Strimzi may have been upgraded or removed."""
        self._kafka_topics = None

    def _has_kafka_topics(self, group_version: str) -> bool:
        return "kafkatopics" in (self.resources(group_version) or ())

    def foreign_metrics(self) -> tuple[str, ...]:
        """What external.metrics.k8s.io offers when another adapter serves it; empty when the
        operator does, or nothing answers there. Requested twice a minute at most."""
        with self._lock:
            looked_at, offered = self._metrics_offered
            if self._clock() < looked_at + METRICS_SECONDS:
                return offered
            self._metrics_offered = (self._clock(), offered)
        offered = self._discover_metrics()
        with self._lock:
            self._metrics_offered = (self._clock(), offered)
        return offered

    def _discover_metrics(self) -> tuple[str, ...]:
        try:
            offered = self.resources("external.metrics.k8s.io/v1beta1") or ()
        except ClusterError:
            return ()  # registered, and nothing answers: the HPA reports that
        return () if naming.METRIC in offered else offered

    def front_proxy(self) -> FrontProxy | None:
        """The API server's front proxy, as it publishes it; None on a cluster without one."""
        namespace, name = FRONT_PROXY
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        return front_proxy_in(self._api.request("GET", path, "ConfigMap", absent_is_none=True))


def front_proxy_in(config_map: Manifest | None) -> FrontProxy | None:
    """The front proxy that a ConfigMap publishes; None: none."""
    data = (config_map or {}).get("data") or {}
    if "requestheader-client-ca-file" not in data:
        return None
    names = json.loads(data.get("requestheader-allowed-names") or "[]")
    return FrontProxy(data["requestheader-client-ca-file"], tuple(names))
