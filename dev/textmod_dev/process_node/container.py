"""One container: its process started, probed, restarted and stopped by the kubelet's rules."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import os
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp

from textmod_dev.kube_client import ApiError, Json
from textmod_dev.process_node import status
from textmod_dev.process_node.environment import (
    Lookup,
    PodView,
    container_environment,
    expand,
    rewrite_paths,
)
from textmod_dev.process_node.errors import ImageError, NotYet, StartError
from textmod_dev.process_node.probes import Prober
from textmod_dev.process_node.quantities import parse
from textmod_dev.process_node.runtime import Runtime
from textmod_dev.process_node.status import ContainerRecord, Running, Terminated, Waiting
from textmod_dev.process_node.volumes import VOLUMES, mounts, references, write_volumes

log = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 300
FORGIVEN_AFTER_SECONDS = 600  # a container that ran this long has its back-off reset
MESSAGE_BYTES = 4096
FALLBACK_BYTES, FALLBACK_LINES = 2048, 80


class ContainerRunner:
    """Runs until the restart policy says it is over, or until it is stopped.

    Args:
        pod: the pod as it was when it came; its spec is immutable where it matters here.
        folder: the pod's own.
        changed: called after every change of `record`.
        policy: Always, OnFailure or Never.
    """

    def __init__(
        self,
        runtime: Runtime,
        pod: Json,
        container: Json,
        *,
        pod_ip: str,
        folder: Path,
        policy: str,
        changed: Callable[[], None],
    ) -> None:
        self.record = ContainerRecord(container["name"], container["image"])
        self.session: int | None = None
        self.started = asyncio.Event()
        self._runtime = runtime
        self._pod = pod
        self._container = container
        self._ip = pod_ip
        self._folder = folder
        self._policy = policy
        self._changed = changed
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._environment: dict[str, str] = {}
        self._mounts: dict[str, Path] = {}
        self._pre_stop_done = False
        self._killing: asyncio.Task[None] | None = None
        name = f"{pod['metadata']['namespace']}_{pod['metadata']['name']}"
        uid = pod["metadata"]["uid"][:8]
        self._logs = runtime.logs_dir / f"{name}_{uid}" / container["name"]

    def log_file(self, *, previous: bool = False) -> Path | None:
        """The current run's log, or the one before; None when there was no such run."""
        number = self.record.restarts - (1 if previous else 0)
        file = self._logs / f"{number}.log"
        return file if file.exists() else None

    async def run(self) -> None:
        """Runs the container; returns when it is over for good."""
        delay = 0.0
        while (process := await self._start_when_possible()) is not None:
            began = time.monotonic()
            terminated = await self._supervise(process)
            over = self._stopping.is_set() or not status.restarts(
                self._policy, terminated.exit_code
            )
            self._set(terminated)
            if over:
                return
            if time.monotonic() - began > FORGIVEN_AFTER_SECONDS:
                delay = 0
            self.record.last = terminated
            if await self._backed_off(delay):
                return
            delay = min(MAX_BACKOFF_SECONDS, delay * 2 or self._runtime.restart_backoff)
            self.record.restarts += 1

    async def stop(self, grace_seconds: float) -> None:
        """preStop, SIGTERM, and SIGKILL once the grace has passed; returns when it is over."""
        self._stopping.set()
        if (process := self._process) is not None:
            await self._terminate(process, grace_seconds)

    async def _start_when_possible(self) -> asyncio.subprocess.Process | None:
        """Tries until it starts; None when it is stopped before."""
        tries = 0
        while not self._stopping.is_set():
            try:
                return await self._start()
            except NotYet as problem:
                reason, message = problem.reason, str(problem)
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                reason, message = "ContainerCreating", f"the API server: {error}"
            tries += 1
            if reason == ImageError.reason and tries > 1:
                reason, message = "ImagePullBackOff", f"Back-off pulling image: {message}"
            if Waiting(reason, message) != self.record.state:
                self._runtime.event(self._pod, "Warning", "Failed", f"Error: {reason}: {message}")
                self._set(Waiting(reason, message))
            await self._pause(self._runtime.image_retry)
        return None

    async def _start(self) -> asyncio.subprocess.Process:
        image = self._runtime.images.get(self._container["image"])
        if image is None:
            name = self._container["image"]
            known = ", ".join(self._runtime.images.names()) or "none"
            raise ImageError(
                f'image "{name}" is not on this local cluster, which pulls none; it has: {known}'
            )
        namespace = self._pod["metadata"]["namespace"]
        lookup = await self._runtime.lookup(namespace, references(self._pod))
        self._prepare(lookup, image.env)
        command = [expand(part, self._environment) for part in image.command]
        args = [self._argument(part) for part in self._container.get("args", ())]
        if image.use_command and "command" in self._container:
            command = [self._argument(part) for part in self._container["command"]] + args
        elif image.use_args:
            command += args

        if self._stopping.is_set():
            raise NotYet("it is being stopped")
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{self.record.restarts}.log").open("ab") as output:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self._folder,
                    env=self._environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise StartError(f"{command[0]}: {error}") from error
        if cpu := self._container.get("resources", {}).get("limits", {}).get("cpu"):
            self._runtime.limits.apply(process.pid, float(parse(cpu)))
        self._process, self.session = process, process.pid
        self._pre_stop_done, self._killing = False, None
        self.record.container_id = f"process://{uuid.uuid4().hex}"
        self._set(Running(datetime.datetime.now(datetime.UTC)))
        return process

    def _prepare(self, lookup: Lookup, image_environment: Mapping[str, str]) -> None:
        """Writes the volumes and works out the environment; raises NotYet."""
        view = PodView(self._pod, self._ip, lookup)
        folders = write_volumes(view, self._folder / VOLUMES)
        termination = self._termination_file()
        termination.parent.mkdir(parents=True, exist_ok=True)
        termination.write_bytes(b"")
        path = self._container.get("terminationMessagePath", "/dev/termination-log")
        self._mounts = mounts(self._container, folders) | {path: termination}
        own = container_environment(view, self._container)
        temporary = self._mounts.get("/tmp", self._folder / "tmp")  # noqa: S108 - a mount path
        temporary.mkdir(parents=True, exist_ok=True)
        self._environment = {
            **self._runtime.base_environment,
            "HOME": str(self._folder),
            "TMPDIR": str(temporary),
            "HOSTNAME": self._pod["metadata"]["name"],
            "POD_IP": self._ip,
            **image_environment,
            **{name: rewrite_paths(value, self._mounts) for name, value in own.items()},
            "TEXTMOD_BIND_ADDRESS": self._ip,
            "TEXTMOD_CONSOLE_BIND_ADDRESS": self._ip,
            "TEXTMOD_TERMINATION_LOG": str(termination),
        }

    async def _supervise(self, process: asyncio.subprocess.Process) -> Terminated:
        """Probes the process until it ends, and says how it ended."""
        running = self.record.state
        assert isinstance(running, Running)  # noqa: S101 - `_start` has just set it
        probes = asyncio.create_task(self._probe(process))
        try:
            code = await process.wait()
        finally:
            probes.cancel()
            await asyncio.gather(probes, return_exceptions=True)
            # What the first process leaves behind ends with it, as in a container.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            self._runtime.limits.forget(process.pid)
            self._process = self.session = None
            self.record.ready = self.record.started = False
        exit_code = code if code >= 0 else 128 - code
        return Terminated(
            exit_code=exit_code,
            reason="Completed" if exit_code == 0 else "Error",
            message=self._termination_message(exit_code),
            started_at=running.started_at,
            finished_at=datetime.datetime.now(datetime.UTC),
            container_id=self.record.container_id,
        )

    async def _backed_off(self, delay: float) -> bool:
        """Waits before a restart; True when it was stopped meanwhile."""
        if delay:
            name = self._pod["metadata"]["name"]
            message = (
                f"back-off {delay:.0f}s restarting failed container={self.record.name} pod={name}"
            )
            self._set(Waiting("CrashLoopBackOff", message))
            self._runtime.event(self._pod, "Warning", "BackOff", message)
        await self._pause(delay)
        return self._stopping.is_set()

    async def _terminate(self, process: asyncio.subprocess.Process, grace_seconds: float) -> None:
        deadline = time.monotonic() + grace_seconds
        self._runtime.event(
            self._pod, "Normal", "Killing", f"Stopping container {self.record.name}"
        )
        hook = self._container.get("lifecycle", {}).get("preStop", {})
        if not self._pre_stop_done and grace_seconds > 0:
            self._pre_stop_done = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await self._pre_stop(hook)
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        # The kubelet, too, leaves two seconds when the hook has used all of the grace.
        remaining = max(deadline - time.monotonic(), 2 if grace_seconds > 0 else 0)
        try:
            async with asyncio.timeout(remaining):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def _pre_stop(self, hook: Json) -> None:
        if "exec" in hook:
            await self._exec(hook["exec"]["command"])
        elif "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])

    async def _probe(self, process: asyncio.subprocess.Process) -> None:
        """Runs the probes: the startup probe alone until it succeeds, then the other two."""
        if (startup := self._container.get("startupProbe")) is not None:
            passed = asyncio.Event()

            def on_startup(healthy: bool, message: str) -> None:
                if healthy:
                    passed.set()
                else:
                    self._unhealthy("Startup", message, startup, process)

            watching = asyncio.create_task(self._prober(startup).watch(on_startup))
            try:
                await passed.wait()
            finally:
                watching.cancel()
        self.record.started = True
        self.started.set()
        self._set_ready("readinessProbe" not in self._container)
        async with asyncio.TaskGroup() as group:
            if (liveness := self._container.get("livenessProbe")) is not None:

                def on_liveness(healthy: bool, message: str) -> None:
                    if not healthy:
                        self._unhealthy("Liveness", message, liveness, process)

                group.create_task(self._prober(liveness).watch(on_liveness))
            if (readiness := self._container.get("readinessProbe")) is not None:
                group.create_task(self._prober(readiness).watch(self._on_readiness))

    def _on_readiness(self, healthy: bool, message: str) -> None:
        if not healthy and self.record.ready:
            text = f"Readiness probe failed: {message}"
            self._runtime.event(self._pod, "Warning", "Unhealthy", text)
        self._set_ready(healthy)

    def _unhealthy(
        self, which: str, message: str, probe: Json, process: asyncio.subprocess.Process
    ) -> None:
        """Ends the process; `_supervise` sees it end and the restart policy does the rest."""
        if self._killing is not None:
            return
        self._runtime.event(self._pod, "Warning", "Unhealthy", f"{which} probe failed: {message}")
        grace = probe.get(
            "terminationGracePeriodSeconds", self._pod["spec"]["terminationGracePeriodSeconds"]
        )
        self._killing = asyncio.create_task(self._terminate(process, grace))

    def _prober(self, probe: Json) -> Prober:
        return Prober(probe, self._container, self._ip, self._exec, self._runtime.http)

    async def _exec(self, command: list[str]) -> int:
        """Runs a command beside the container, in its environment; never outlives a time-out."""
        process = await asyncio.create_subprocess_exec(
            *(rewrite_paths(part, self._mounts) for part in command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=self._folder,
            env=self._environment,
            start_new_session=True,
        )
        try:
            return await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _argument(self, text: str) -> str:
        return rewrite_paths(expand(text, self._environment), self._mounts)

    def _termination_file(self) -> Path:
        return self._folder / "termination" / self.record.name

    def _termination_message(self, exit_code: int) -> str:
        try:
            message = self._termination_file().read_bytes()[:MESSAGE_BYTES]
        except OSError:
            message = b""
        policy = self._container.get("terminationMessagePolicy", "File")
        if not message and exit_code != 0 and policy == "FallbackToLogsOnError":
            output = self._logs / f"{self.record.restarts}.log"
            tail = output.read_bytes()[-FALLBACK_BYTES:]
            message = b"\n".join(tail.splitlines()[-FALLBACK_LINES:])
        return message.decode(errors="replace")

    async def _pause(self, seconds: float) -> None:
        """Waits, but not longer than until it is stopped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _set(self, state: Waiting | Running | Terminated) -> None:
        self.record.state = state
        self._changed()

    def _set_ready(self, ready: bool) -> None:
        self.record.ready = ready
        self._changed()  # the pod writes its status only when that says something new
