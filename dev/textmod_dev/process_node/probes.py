"""A container's probes, with their own delays, periods, time-outs and thresholds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

Json = dict[str, Any]
Exec = Callable[[list[str]], Awaitable[int]]


class Prober:
    """Runs one probe against one started container.

    Args:
        run: executes a command in the container's environment and returns its exit code.
    """

    def __init__(
        self, probe: Json, container: Json, pod_ip: str, run: Exec, session: aiohttp.ClientSession
    ) -> None:
        self._probe = probe
        self._container = container
        self._ip = pod_ip
        self._run = run
        self._session = session
        self._timeout = probe.get("timeoutSeconds", 1)

    async def watch(self, report: Callable[[bool, str], None]) -> None:
        """Probes for ever; calls ``report(healthy, message)`` each time a threshold is reached.

        A readiness probe gets called back for every result beyond the threshold, too: the caller
        decides what a repeated one means.
        """
        await asyncio.sleep(self._probe.get("initialDelaySeconds", 0))
        successes = failures = 0
        while True:
            healthy, message = await self._once()
            successes, failures = (successes + 1, 0) if healthy else (0, failures + 1)
            if successes >= self._probe.get("successThreshold", 1):
                report(True, message)
            elif failures >= self._probe.get("failureThreshold", 3):
                report(False, message)
            await asyncio.sleep(self._probe.get("periodSeconds", 10))

    async def _once(self) -> tuple[bool, str]:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._act()
        except TimeoutError:
            return False, f"no answer within {self._timeout} s"
        except (OSError, aiohttp.ClientError) as error:
            return False, str(error)

    async def _act(self) -> tuple[bool, str]:
        if "httpGet" in self._probe:
            return await self._http(self._probe["httpGet"])
        if "tcpSocket" in self._probe:
            port = self._port(self._probe["tcpSocket"]["port"])
            host = self._probe["tcpSocket"].get("host") or self._ip
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return True, ""
        if "exec" in self._probe:
            code = await self._run(self._probe["exec"]["command"])
            return code == 0, f"the command exited with {code}"
        return await self._grpc(self._probe["grpc"])

    async def _http(self, action: Json) -> tuple[bool, str]:
        scheme = action.get("scheme", "HTTP").lower()
        host = action.get("host") or self._ip
        url = (
            f"{scheme}://{host}:{self._port(action['port'])}/{action.get('path', '/').lstrip('/')}"
        )
        headers = {"User-Agent": "kube-probe/1.36"}
        headers |= {header["name"]: header["value"] for header in action.get("httpHeaders", ())}
        # Like the kubelet, a probe trusts any certificate.
        async with self._session.get(url, headers=headers, ssl=False) as response:
            message = f"HTTP probe failed with statuscode: {response.status}"
            return 200 <= response.status < 400, message

    async def _grpc(self, action: Json) -> tuple[bool, str]:
        import grpc  # only pods with such a probe need it

        name = action.get("service", "").encode()
        request = b"\n" + bytes([len(name)]) + name if name else b""  # HealthCheckRequest.service
        async with grpc.aio.insecure_channel(f"{self._ip}:{action['port']}") as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            try:
                answer = await check(request)
            except grpc.aio.AioRpcError as error:
                return False, f"gRPC health check failed: {error.code().name}"
        return answer[:2] == b"\x08\x01", "gRPC health check says not serving"

    def _port(self, port: int | str) -> int:
        for declared in self._container.get("ports", ()):
            if declared.get("name") == port:
                return int(declared["containerPort"])
        return int(port)
