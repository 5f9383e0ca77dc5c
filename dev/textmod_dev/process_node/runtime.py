"""What every pod of a process node shares."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Any

import aiohttp

from textmod_dev.images import ImageTable
from textmod_dev.kube_client import ApiError, Json, KubeClient
from textmod_dev.process_node.cpu import CpuLimits
from textmod_dev.process_node.environment import Lookup
from textmod_dev.process_node.status import timestamp
from textmod_dev.process_node.volumes import CLAIM

log = logging.getLogger(__name__)

_PLURALS = {"Secret": "secrets", "ConfigMap": "configmaps", CLAIM: "persistentvolumeclaims"}


class Addresses:
    """Hands out loopback addresses, each to one pod at a time.

    At random, so that several clusters on one machine need no agreement; the whole of 127.0.0.0/8
    is local on Linux without being configured.
    """

    def __init__(self) -> None:
        self._random = SystemRandom()
        self._used: set[str] = set()

    def take(self) -> str:
        """An address that no other pod has, never 127.0.x.y."""
        while True:
            number = self._random.randrange(0x7F010000, 0x7FFFFFFF)
            address = str(ipaddress.IPv4Address(number))
            if address not in self._used and not address.endswith((".0", ".255")):
                self._used.add(address)
                return address

    def give_back(self, address: str) -> None:
        """The pod is gone."""
        self._used.discard(address)


@dataclass
class Runtime:
    """The node's services and settings, as its pods use them.

    Attributes:
        base_environment: what every container's process gets under its image's and its own.
        restart_backoff: seconds before a container's second restart; each later one doubles, to
            at most five minutes, as the kubelet's 10 s does.
        image_retry: seconds between looks for an image that is not in the table.
        volume_period: seconds between two looks at what a pod's volumes are made of; the kubelet's
            own is about a minute, and a change of the pod's annotations brings one at once.
    """

    client: KubeClient
    http: aiohttp.ClientSession
    images: ImageTable
    limits: CpuLimits
    pods_dir: Path
    logs_dir: Path
    base_environment: Mapping[str, str]
    restart_backoff: float = 10
    image_retry: float = 2
    volume_period: float = 60
    addresses: Addresses = field(default_factory=Addresses)
    _background: set[asyncio.Task[None]] = field(default_factory=set)

    async def lookup(self, namespace: str, references: set[tuple[str, str]]) -> Lookup:
        """Reads the Secrets, ConfigMaps and claims named; returns a function over what is there.

        Of a claim that is the path of the volume that it is bound to.

        Raises:
            ApiError, aiohttp.ClientError: the API server refused or did not answer.
        """
        found: dict[tuple[str, str], Mapping[str, str]] = {}
        for kind, name in references:
            item = await self._get(f"/api/v1/namespaces/{namespace}/{_PLURALS[kind]}/{name}")
            if item is not None and kind == CLAIM:
                bound = item["spec"].get("volumeName")
                path = f"/api/v1/persistentvolumes/{bound}"
                item = await self._get(path) if bound else None
            if item is not None:
                found[kind, name] = _path(item) if kind == CLAIM else _decoded(item)
        return lambda kind, name: found.get((kind, name))

    async def _get(self, path: str) -> Json | None:
        """An object, None when it is not there."""
        try:
            return await self.client.get(path)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def event(self, pod: Json, kind: str, reason: str, message: str) -> None:
        """Records an Event on a pod; one that cannot be written is only logged."""
        task = asyncio.create_task(self._write_event(pod, kind, reason, message))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _write_event(self, pod: Json, kind: str, reason: str, message: str) -> None:
        metadata = pod["metadata"]
        now = timestamp(datetime.datetime.now(datetime.UTC))
        event: dict[str, Any] = {
            "metadata": {"name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}"},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": "process-node", "host": pod["spec"].get("nodeName", "")},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self.client.create(f"/api/v1/namespaces/{metadata['namespace']}/events", event)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            log.info("event %s of %s: %s", reason, metadata["name"], error)


def _path(volume: Json) -> dict[str, str]:
    return {"path": volume["spec"]["hostPath"]["path"]}


def _decoded(item: Json) -> dict[str, str]:
    # Bytes that are not UTF-8 survive the way Python's own file names and environment do.
    binary = item.get("data", {}) if item["kind"] == "Secret" else item.get("binaryData", {})
    plain = {} if item["kind"] == "Secret" else item.get("data", {})
    return {
        **plain,
        **{k: base64.b64decode(v).decode(errors="surrogateescape") for k, v in binary.items()},
    }
