"""One pod, from the moment it is bound to this node until its object is gone."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import random
import shutil
from collections.abc import Coroutine
from typing import Any

import aiohttp

from textmod_dev.kube_client import ApiError, Json
from textmod_dev.process_node.container import ContainerRunner
from textmod_dev.process_node.environment import HOST_IP, PodView
from textmod_dev.process_node.errors import NotYet
from textmod_dev.process_node.runtime import Runtime
from textmod_dev.process_node.status import failed, pod_status
from textmod_dev.process_node.volumes import VOLUMES, references, write_volumes

log = logging.getLogger(__name__)


class PodRunner:
    """Runs a pod's containers, keeps its status and carries out its deletion."""

    def __init__(self, runtime: Runtime, pod: Json) -> None:
        self.pod = pod
        self._runtime = runtime
        self._ip = runtime.addresses.take()
        self._started_at = datetime.datetime.now(datetime.UTC)
        self._stop_asked = asyncio.Event()
        self._dirty = asyncio.Event()
        self._look_at_volumes = asyncio.Event()
        self._gone = False
        self._grace = 0.0
        self._written: Json = {}
        metadata, spec = pod["metadata"], pod["spec"]
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._folder = runtime.pods_dir / metadata["uid"]
        # An init container that succeeded is over, whatever the pod's policy says of the others.
        policy = spec.get("restartPolicy", "Always")
        init_policy = "Never" if policy == "Never" else "OnFailure"
        self._init = [
            self._runner(container, container.get("restartPolicy", init_policy))
            for container in spec.get("initContainers", ())
        ]
        self._main = [self._runner(container, policy) for container in spec["containers"]]

    @property
    def containers(self) -> dict[str, ContainerRunner]:
        """All containers by name."""
        return {runner.record.name: runner for runner in [*self._init, *self._main]}

    def update(self, pod: Json) -> None:
        """The object has changed: its annotations, or it is to be deleted."""
        if _annotations(pod) != _annotations(self.pod):
            self._look_at_volumes.set()
        self.pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            self._grace = pod["metadata"].get("deletionGracePeriodSeconds", 30)
            self._stop_asked.set()

    def vanish(self) -> None:
        """The object is gone, as after a forced deletion: stop at once and write nothing."""
        self._gone = True
        self._grace = 0
        self._stop_asked.set()

    async def run(self) -> None:
        """Does it all; returns when nothing of the pod is left."""
        writer = asyncio.create_task(self._write_statuses())
        volumes = asyncio.create_task(self._keep_volumes())
        over = self.pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
        try:
            self.update(self.pod)
            if not over:
                self._folder.mkdir(parents=True, exist_ok=True)
                await self._run_containers()
            await self._stop_asked.wait()
        finally:
            writer.cancel()
            volumes.cancel()
            await asyncio.gather(writer, volumes, return_exceptions=True)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._runtime.addresses.give_back(self._ip)
        if not self._gone:
            await self._delete(write_status=not over)

    async def _run_containers(self) -> None:
        """Returns when all containers are over, stopped or not."""
        working = asyncio.create_task(self._init_then_main())
        stopping = asyncio.create_task(self._stop_asked.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._stop_asked.is_set():
                runners = self.containers.values()
                await asyncio.gather(*(runner.stop(self._grace) for runner in runners))
            await working
        finally:
            stopping.cancel()
            working.cancel()
            for runner in self.containers.values():
                await runner.stop(0)

    async def _init_then_main(self) -> None:
        self._changed()
        async with asyncio.TaskGroup() as sidecars:
            for runner, container in zip(
                self._init, self.pod["spec"].get("initContainers", ()), strict=True
            ):
                if container.get("restartPolicy") == "Always":
                    sidecars.create_task(runner.run())
                    await self._first(runner.started.wait(), self._stop_asked.wait())
                else:
                    await runner.run()
                if self._stop_asked.is_set() or failed(runner.record):
                    break
            else:
                await asyncio.gather(*(runner.run() for runner in self._main))
            # Sidecars end when the work that they accompany has.
            grace = self.pod["spec"]["terminationGracePeriodSeconds"]
            await asyncio.gather(*(runner.stop(grace) for runner in self._init))

    @staticmethod
    async def _first(*waits: Coroutine[Any, Any, Any]) -> None:
        tasks = [asyncio.create_task(wait) for wait in waits]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    def _runner(self, container: Json, policy: str) -> ContainerRunner:
        return ContainerRunner(
            self._runtime,
            self.pod,
            container,
            pod_ip=self._ip,
            folder=self._folder,
            policy=policy,
            changed=self._changed,
        )

    def _changed(self) -> None:
        self._dirty.set()

    async def _keep_volumes(self) -> None:
        """Brings changed Secrets, ConfigMaps and annotations into the volumes of a running pod.

        As the kubelet does: once in a while, and at once when the pod's annotations change.
        """
        period = self._runtime.volume_period
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(period * random.uniform(0.9, 1.1)):  # noqa: S311
                    await self._look_at_volumes.wait()
            self._look_at_volumes.clear()
            if not (self._folder / VOLUMES).is_dir():
                continue  # no container has been started yet; that writes them
            try:
                namespace = self.pod["metadata"]["namespace"]
                lookup = await self._runtime.lookup(namespace, references(self.pod))
                write_volumes(PodView(self.pod, self._ip, lookup), self._folder / VOLUMES)
            except (ApiError, aiohttp.ClientError, TimeoutError, NotYet) as error:
                log.warning("volumes of %s: %s; they stay as they are", self._path, error)

    async def _write_statuses(self) -> None:
        """Writes the status after every change; several quick changes become one write."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._write_status()
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                if isinstance(error, ApiError) and error.status == 404:
                    continue
                log.warning("status of %s: %s; trying again", self._path, error)
                self._dirty.set()
                await asyncio.sleep(1)

    async def _write_status(self) -> None:
        status = pod_status(
            self.pod,
            [runner.record for runner in self._init],
            [runner.record for runner in self._main],
            pod_ip=self._ip,
            host_ip=HOST_IP,
            started_at=self._started_at,
            now=datetime.datetime.now(datetime.UTC),
            previous=self._written.get("conditions", ()),
        )
        if status == self._written:
            return
        # The uid makes the patch fail on a new pod of the same name.
        body = {"metadata": {"uid": self.pod["metadata"]["uid"]}, "status": status}
        await self._runtime.client.patch(f"{self._path}/status", body, "strategic")
        self._written = status

    async def _delete(self, *, write_status: bool) -> None:
        """Tells the last state and takes the object away, as the kubelet ends a deletion."""
        options = {
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": self.pod["metadata"]["uid"]},
        }
        while not self._gone:
            try:
                if write_status:
                    await self._write_status()
                await self._runtime.client.delete(self._path, options)
            except ApiError as error:
                if error.status in {404, 409}:  # gone already, or another pod of that name
                    return
                log.warning("deleting %s: %s; trying again", self._path, error)
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("deleting %s: %s; trying again", self._path, error)
            else:
                return
            await asyncio.sleep(1)


def _annotations(pod: Json) -> dict[str, str]:
    return pod["metadata"].get("annotations") or {}
