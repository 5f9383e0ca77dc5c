"""Watches SeldonDeployments and makes what `objects` says they become."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
from pathlib import Path

import aiohttp

from textmod_dev.kube_client import ApiError, Json, KubeClient
from textmod_dev.seldon import webhook
from textmod_dev.seldon.objects import RejectedError, Wanted, shortened, status, wanted

log = logging.getLogger("textmod_dev.seldon")

SELDON = "/apis/machinelearning.seldon.io/v1"
APPS = "/apis/apps/v1"
MANAGER = {"fieldManager": "seldon-stand-in", "force": "true"}

Key = tuple[str, str]  # namespace, name


class Controller:
    """One worker, one reconcile at a time: there are few SeldonDeployments in a local cluster."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._known: dict[Key, Json] = {}
        self._queue: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()

    async def run(self) -> None:
        """For ever."""
        await asyncio.gather(self._follow_own(), self._follow_deployments(), self._work())

    async def _follow_own(self) -> None:
        async for kind, sdep in self._client.follow(f"{SELDON}/seldondeployments"):
            key = (sdep["metadata"]["namespace"], sdep["metadata"]["name"])
            if kind == "DELETED":
                self._known.pop(key, None)  # its objects are the garbage collector's
            else:
                self._known[key] = sdep
                self._enqueue(key)

    async def _follow_deployments(self) -> None:
        labelled = {"labelSelector": "seldon-deployment-id"}
        async for _, deployment in self._client.follow(f"{APPS}/deployments", **labelled):
            for owner in deployment["metadata"].get("ownerReferences", ()):
                if owner["kind"] == "SeldonDeployment":
                    self._enqueue((deployment["metadata"]["namespace"], owner["name"]))

    def _enqueue(self, key: Key) -> None:
        if key not in self._waiting:
            self._waiting.add(key)
            self._queue.put_nowait(key)

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            self._waiting.discard(key)
            sdep = self._known.get(key)
            if sdep is None or "deletionTimestamp" in sdep["metadata"]:
                continue
            try:
                await self._reconcile(sdep)
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.warning("%s/%s: %s; trying again", *key, error)
                asyncio.get_running_loop().call_later(1, self._enqueue, key)
                if isinstance(error, ApiError) and error.status != 409:
                    await self._report(sdep, error)

    async def _report(self, sdep: Json, error: ApiError) -> None:
        """What the API server says to one of its objects stands in the status, as Failed."""
        with contextlib.suppress(ApiError, aiohttp.ClientError, TimeoutError):
            await self._write_status(sdep, {"state": "Failed", "description": str(error)})

    async def _reconcile(self, sdep: Json) -> None:
        try:
            want = wanted(sdep)
        except RejectedError as error:
            await self._write_status(sdep, {"state": "Failed", "description": str(error)})
            return
        namespace = sdep["metadata"]["namespace"]
        core, apps = f"/api/v1/namespaces/{namespace}", f"{APPS}/namespaces/{namespace}"
        for service in want.services:
            path = f"{core}/services/{service['metadata']['name']}"
            await self._client.patch(path, service, "apply", **MANAGER)
        for deployment in want.deployments:
            name = deployment["metadata"]["name"]
            await self._client.patch(f"{apps}/deployments/{name}", deployment, "apply", **MANAGER)
            await self._delete_if_there(namespace, name)
        labelled = f"seldon-deployment-id={shortened(sdep['metadata']['name'])}"
        deployments = await self._client.get(f"{apps}/deployments", labelSelector=labelled)
        names = [deployment["metadata"]["name"] for deployment in want.deployments]
        new = status(sdep, deployments["items"], names)
        if new["state"] == "Available":
            # Only now: until the new ones serve, the old ones do.
            await self._delete_unwanted(core, apps, want, deployments["items"], labelled)
        await self._write_status(sdep, new)

    async def _delete_if_there(self, namespace: str, name: str) -> None:
        """An HPA or PodDisruptionBudget named like a Deployment of ours is taken for an old one."""
        for path in (
            f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}",
            f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/{name}",
        ):
            try:
                await self._client.delete(path)
                log.info("deleted %s", path)
            except ApiError as error:
                if error.status != 404:
                    raise

    async def _delete_unwanted(
        self, core: str, apps: str, want: Wanted, deployments: list[Json], labelled: str
    ) -> None:
        kept = {deployment["metadata"]["name"] for deployment in want.deployments}
        for deployment in deployments:
            if (name := deployment["metadata"]["name"]) not in kept:
                await self._client.delete(f"{apps}/deployments/{name}")
        kept = {service["metadata"]["name"] for service in want.services}
        services = await self._client.get(f"{core}/services", labelSelector=labelled)
        for service in services["items"]:
            if (name := service["metadata"]["name"]) not in kept:
                await self._client.delete(f"{core}/services/{name}")

    async def _write_status(self, sdep: Json, new: Json) -> None:
        old = sdep.get("status", {})
        if all(old.get(key) == value for key, value in new.items()):
            return
        if "deploymentStatus" in new:
            # A merge patch leaves what is not named: drop the Deployments that are no more.
            gone = old.get("deploymentStatus", {}).keys() - new["deploymentStatus"].keys()
            new = {**new, "deploymentStatus": new["deploymentStatus"] | dict.fromkeys(gone)}
        metadata = sdep["metadata"]
        path = f"{SELDON}/namespaces/{metadata['namespace']}/seldondeployments/{metadata['name']}"
        try:
            await self._client.patch(f"{path}/status", {"status": new})
        except ApiError as error:
            if error.status != 404:
                raise


async def run(kubeconfig: Path, port: int | None, certificate: Path, key: Path) -> None:
    """Until SIGTERM or SIGINT. Serves the webhook too, if there is a port for it, as Seldon's one
    process does."""
    async with KubeClient(kubeconfig) as client, contextlib.AsyncExitStack() as stack:
        if port is not None:
            server = await webhook.serve(port, certificate, key)
            stack.push_async_callback(server.cleanup)
        work = asyncio.create_task(Controller(client).run())
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        try:
            await work
        except asyncio.CancelledError:
            log.info("stopped")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--webhook-port", type=int)
    parser.add_argument("--certificate", type=Path, default=Path("tls.crt"))
    parser.add_argument("--key", type=Path, default=Path("tls.key"))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(run(given.kubeconfig, given.webhook_port, given.certificate, given.key))
