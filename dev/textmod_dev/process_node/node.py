"""The Node objects: registered, kept alive by their Leases, and handed their pods."""

from __future__ import annotations

import asyncio
import datetime
import logging
import platform

import aiohttp

from textmod_dev.kube_client import ApiError, Json, KubeClient
from textmod_dev.process_node.environment import HOST_IP
from textmod_dev.process_node.pod import PodRunner
from textmod_dev.process_node.runtime import Runtime
from textmod_dev.process_node.status import timestamp

log = logging.getLogger(__name__)

LEASE_SECONDS = 40  # the kubelet's own, renewed four times in that
STATUS_SECONDS = 60


async def register(client: KubeClient, node: Json) -> None:
    """Creates the Node, or takes over one that an earlier process left.

    Raises:
        ApiError: the API server refused.
    """
    try:
        await client.create("/api/v1/nodes", node)
    except ApiError as error:
        if error.status != 409:
            raise
        await _write_status(client, node)


async def keep_alive(client: KubeClient, node: Json) -> None:
    """Renews the Lease every ten seconds and the status every minute, for ever."""
    name = node["metadata"]["name"]
    rounds = 0
    while True:
        try:
            await _renew_lease(client, name)
            if rounds % (STATUS_SECONDS * 4 // LEASE_SECONDS) == 0:
                await _write_status(client, node)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            log.warning("node %s could not be kept alive: %s", name, error)
        rounds += 1
        await asyncio.sleep(LEASE_SECONDS / 4)


async def run_pods(client: KubeClient, runtime: Runtime, nodes: set[str], pods: Pods) -> None:
    """Follows the pods that are bound to `nodes`, for ever; `pods` is kept up to date."""
    running: set[asyncio.Task[None]] = set()
    try:
        # The selector leaves out what the scheduler has not bound yet.
        async for kind, pod in client.follow("/api/v1/pods", fieldSelector="spec.nodeName!="):
            if pod["spec"].get("nodeName") not in nodes:
                continue
            uid = pod["metadata"]["uid"]
            runner = pods.get(uid)
            if kind == "DELETED":
                if runner is not None:
                    runner.vanish()
            elif runner is not None:
                runner.update(pod)
            else:
                pods[uid] = PodRunner(runtime, pod)
                task = asyncio.create_task(_run_pod(pods, uid), name=pod["metadata"]["name"])
                running.add(task)
                task.add_done_callback(running.discard)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


Pods = dict[str, PodRunner]


async def _run_pod(pods: Pods, uid: str) -> None:
    try:
        await pods[uid].run()
    except Exception:
        # One pod's trouble must not take the node down; nothing else would tell of it.
        log.exception("pod %s", pods[uid].pod["metadata"]["name"])
    finally:
        del pods[uid]


def node_object(
    name: str, *, cpus: int, memory: str, pods: int, kubelet_port: int, version: str
) -> Json:
    """The Node as it registers: schedulable, and generous."""
    now = timestamp(datetime.datetime.now(datetime.UTC))
    resources = {
        "cpu": str(cpus),
        "memory": memory,
        "pods": str(pods),
        "ephemeral-storage": "100Gi",
    }
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(
        platform.machine(), platform.machine()
    )
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": architecture,
            },
        },
        "spec": {},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": _conditions(now),
            "addresses": [
                {"type": "InternalIP", "address": HOST_IP},
                {"type": "Hostname", "address": name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
            "nodeInfo": {
                "machineID": name,
                "systemUUID": name,
                "bootID": name,
                "kernelVersion": platform.release(),
                "osImage": "local processes",
                "containerRuntimeVersion": "process://1",
                "kubeletVersion": version,
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": architecture,
            },
        },
    }


def _conditions(now: str) -> list[Json]:
    def condition(kind: str, status: str, reason: str, message: str) -> Json:
        return {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }

    return [
        condition("MemoryPressure", "False", "NotWatched", "the process node does not watch it"),
        condition("DiskPressure", "False", "NotWatched", "the process node does not watch it"),
        condition("PIDPressure", "False", "NotWatched", "the process node does not watch it"),
        condition("Ready", "True", "ProcessNodeReady", "the process node runs"),
    ]


async def _write_status(client: KubeClient, node: Json) -> None:
    now = timestamp(datetime.datetime.now(datetime.UTC))
    beats = [
        {key: value for key, value in condition.items() if key != "lastTransitionTime"}
        | {"lastHeartbeatTime": now}
        for condition in node["status"]["conditions"]
    ]
    status = node["status"] | {"conditions": beats}
    path = f"/api/v1/nodes/{node['metadata']['name']}/status"
    await client.patch(path, {"status": status}, "strategic")


async def _renew_lease(client: KubeClient, name: str) -> None:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": now,
        },
    }
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    try:
        await client.patch(f"{leases}/{name}", {"spec": lease["spec"]})
    except ApiError as error:
        if error.status != 404:
            raise
        await client.create(leases, lease)
