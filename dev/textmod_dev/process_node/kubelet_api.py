"""What the API server asks a kubelet for: the logs of a container."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from aiohttp import web

from textmod_dev.process_node.container import ContainerRunner
from textmod_dev.process_node.node import Pods
from textmod_dev.process_node.status import Running

CHUNK = 64 * 1024
POLL_SECONDS = 0.2


def application(pods: Pods) -> web.Application:
    """``GET /containerLogs/{namespace}/{pod}/{container}``, as `kubectl logs` has it asked.

    ``tailLines``, ``limitBytes``, ``follow`` and ``previous`` work. Output goes from the process
    to its file directly, so lines carry no time of their own: ``timestamps`` and ``since`` are
    refused rather than answered wrongly.
    """

    async def logs(request: web.Request) -> web.StreamResponse:
        if unsupported := request.query.keys() & {"timestamps", "sinceSeconds", "sinceTime"}:
            raise web.HTTPBadRequest(
                text=f"the process node keeps no times of lines: leave out {', '.join(unsupported)}"
            )
        container = _container(pods, **request.match_info)
        previous = _flag(request.query, "previous")
        file = container.log_file(previous=previous)
        if file is None:
            which = "previous terminated " if previous else ""
            raise web.HTTPBadRequest(text=f"{which}container has no log: it has not started")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        tail = int(request.query.get("tailLines", -1))
        left = int(request.query.get("limitBytes", sys.maxsize))
        follow = _flag(request.query, "follow") and not previous
        async for chunk in _content(file, tail, _runs_on(container) if follow else None):
            await response.write(chunk[:left])
            left -= len(chunk)
            if left <= 0:
                break
        return response

    server = web.Application()
    server.router.add_get("/containerLogs/{namespace}/{pod}/{container}", logs)
    return server


def _container(pods: Pods, namespace: str, pod: str, container: str) -> ContainerRunner:
    for runner in pods.values():
        metadata = runner.pod["metadata"]
        if (metadata["namespace"], metadata["name"]) == (namespace, pod):
            if container in runner.containers:
                return runner.containers[container]
            break
    raise web.HTTPNotFound(text=f"the process node runs no container {pod}/{container}")


def _runs_on(container: ContainerRunner) -> Callable[[], bool]:
    """Whether the run of the container that is meant now still goes on, to be asked later."""
    restarts = container.record.restarts

    def runs() -> bool:
        record = container.record
        return record.restarts == restarts and isinstance(record.state, Running)

    return runs


async def _content(file: Path, tail: int, runs: Callable[[], bool] | None) -> AsyncIterator[bytes]:
    """The file from its last `tail` lines on (-1: all), and what is added while `runs` holds."""
    with file.open("rb") as content:
        if tail >= 0:
            content.seek(_tail_offset(file, tail))
        while True:
            goes_on = runs is not None and runs()  # before reading: its last words count too
            while chunk := content.read(CHUNK):
                yield chunk
            if not goes_on:
                return
            await asyncio.sleep(POLL_SECONDS)


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "false").lower() in {"true", "1"}


def _tail_offset(file: Path, lines: int) -> int:
    """Where the last `lines` lines begin, reading backwards in chunks."""
    with file.open("rb") as content:
        end = content.seek(0, os.SEEK_END)
        position, newlines = end, 0
        while position > 0:
            start = max(0, position - CHUNK)
            content.seek(start)
            chunk = content.read(position - start)
            for index in range(len(chunk) - 1, -1, -1):
                # The newline that ends the last line does not begin another.
                if chunk[index] == ord("\n") and start + index != end - 1:
                    newlines += 1
                    if newlines == lines:
                        return start + index + 1
            position = start
    return 0 if lines else end
