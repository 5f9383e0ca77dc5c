"""metrics.k8s.io/v1beta1: the CPU and memory of pods and nodes, for HPAs and `kubectl top`."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence

from aiohttp import web

from textmod_dev.kube_client import Json
from textmod_dev.process_node.cpu import Meter
from textmod_dev.process_node.node import Pods
from textmod_dev.process_node.pod import PodRunner
from textmod_dev.process_node.selectors import selector
from textmod_dev.process_node.status import timestamp

GROUP = "metrics.k8s.io/v1beta1"
ROOT = f"/apis/{GROUP}"


class MetricsApi:
    """The API group, to be reached through the API server's aggregator only."""

    def __init__(self, pods: Pods, nodes: Sequence[str], meter: Meter) -> None:
        self._pods = pods
        self._nodes = nodes
        self._meter = meter

    def application(self) -> web.Application:
        """The routes."""
        server = web.Application()
        router = server.router
        router.add_get(ROOT, self.discovery)
        router.add_get(f"{ROOT}/pods", self.list_pods)
        router.add_get(f"{ROOT}/namespaces/{{namespace}}/pods", self.list_pods)
        router.add_get(f"{ROOT}/namespaces/{{namespace}}/pods/{{name}}", self.get_pod)
        router.add_get(f"{ROOT}/nodes", self.list_nodes)
        router.add_get(f"{ROOT}/nodes/{{name}}", self.get_node)
        return server

    async def discovery(self, _: web.Request) -> web.Response:
        """What the group holds; the aggregator asks for it to see whether we live."""
        resources = [
            _resource("nodes", "NodeMetrics", namespaced=False),
            _resource("pods", "PodMetrics", namespaced=True),
        ]
        group = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP}
        return web.json_response(group | {"resources": resources})

    async def list_pods(self, request: web.Request) -> web.Response:
        """The pods of a namespace or of all, by label selector."""
        items = [_pod_metrics(runner, self._meter) for runner in self._chosen(request)]
        return _listing("PodMetricsList", [item for item in items if item])

    async def get_pod(self, request: web.Request) -> web.Response:
        """One pod."""
        for runner in self._chosen(request):
            if runner.pod["metadata"]["name"] == request.match_info["name"]:
                item = _pod_metrics(runner, self._meter)
                if item:
                    return web.json_response(item)
        return _not_found("pods", request.match_info["name"])

    async def list_nodes(self, _: web.Request) -> web.Response:
        """All of our nodes."""
        nodes = [_node_metrics(name, self._pods, self._meter) for name in self._nodes]
        return _listing("NodeMetricsList", nodes)

    async def get_node(self, request: web.Request) -> web.Response:
        """One node."""
        name = request.match_info["name"]
        if name not in self._nodes:
            return _not_found("nodes", name)
        return web.json_response(_node_metrics(name, self._pods, self._meter))

    def _chosen(self, request: web.Request) -> list[PodRunner]:
        matches = selector(request.query.get("labelSelector", ""))
        namespace = request.match_info.get("namespace")
        return [
            runner
            for runner in self._pods.values()
            if namespace in {None, runner.pod["metadata"]["namespace"]}
            and matches(runner.pod["metadata"].get("labels", {}))
        ]


def _pod_metrics(runner: PodRunner, meter: Meter) -> Json | None:
    """None while any container has no figure: a pod's usage is all of it, or unknown."""
    containers, window = [], meter.window
    for container in runner.containers.values():
        if container.session is None:
            continue  # an init container that is done
        rate = meter.rate(container.session)
        if rate is None:
            return None
        cores, memory, window = rate
        containers.append({"name": container.record.name, "usage": _usage(cores, memory)})
    if not containers:
        return None
    metadata = runner.pod["metadata"]
    return {
        "kind": "PodMetrics",
        "apiVersion": GROUP,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": metadata.get("labels", {}),
        },
        "timestamp": timestamp(datetime.datetime.now(datetime.UTC)),
        "window": f"{window:.0f}s",
        "containers": containers,
    }


def _node_metrics(name: str, pods: Pods, meter: Meter) -> Json:
    cores, memory = 0.0, 0
    for runner in pods.values():
        if runner.pod["spec"].get("nodeName") != name:
            continue
        for container in runner.containers.values():
            rate = container.session and meter.rate(container.session)
            if rate:
                cores, memory = cores + rate[0], memory + rate[1]
    return {
        "kind": "NodeMetrics",
        "apiVersion": GROUP,
        "metadata": {"name": name},
        "timestamp": timestamp(datetime.datetime.now(datetime.UTC)),
        "window": f"{meter.window:.0f}s",
        "usage": _usage(cores, memory),
    }


def _usage(cores: float, memory: int) -> Json:
    return {"cpu": f"{math.ceil(cores * 1e9)}n", "memory": f"{memory // 1024}Ki"}


def _resource(name: str, kind: str, *, namespaced: bool) -> Json:
    return {
        "name": name,
        "singularName": "",
        "namespaced": namespaced,
        "kind": kind,
        "verbs": ["get", "list"],
    }


def _listing(kind: str, items: list[Json]) -> web.Response:
    return web.json_response({"kind": kind, "apiVersion": GROUP, "metadata": {}, "items": items})


def _not_found(plural: str, name: str) -> web.Response:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": "NotFound",
        "message": f'no metrics known for {plural} "{name}"',
        "code": 404,
    }
    return web.json_response(status, status=404)
