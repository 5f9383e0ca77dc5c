"""A small asynchronous client: Kubernetes' JSON over HTTPS, as dictionaries.

The kubelet's work is a handful of verbs on four kinds, thousands of times; the generated clients
would parse every pod into objects that are read once. Paths are the API's own, such as
``/api/v1/namespaces/x/pods/y/status``.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp
import yaml

log = logging.getLogger(__name__)

Json = dict[str, Any]
PATCHES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class ApiError(Exception):
    """The API server's refusal, with its HTTP status, its own words, and the fields that it names,
    each with its message."""

    def __init__(self, status: int, message: str, causes: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.causes = causes


class KubeClient:
    """Use as an asynchronous context manager."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    async def __aenter__(self) -> Self:
        config = yaml.safe_load(self._kubeconfig.read_text())
        server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._session = aiohttp.ClientSession(
            server["server"],
            headers=headers,
            connector=aiohttp.TCPConnector(ssl=_tls(server, user), limit=50),
            timeout=aiohttp.ClientTimeout(total=30),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def get(self, path: str, **parameters: str) -> Json:
        """Reads one object or a list.

        Raises:
            ApiError: the API server refused, 404 included.
            aiohttp.ClientError, TimeoutError: it did not answer.
        """
        return await self._request("GET", path, params=parameters)

    async def create(self, path: str, body: Json) -> Json:
        """POSTs an object to its collection; raises as `get` does."""
        return await self._request("POST", path, json=body)

    async def patch(
        self,
        path: str,
        body: Json,
        how: Literal["merge", "strategic", "apply"] = "merge",
        **parameters: str,
    ) -> Json:
        """Patches an object; raises as `get` does."""
        headers = {"Content-Type": PATCHES[how]}
        text = json.dumps(body, ensure_ascii=False)  # an apply is YAML, without surrogates
        return await self._request("PATCH", path, data=text, headers=headers, params=parameters)

    async def delete(self, path: str, options: Json | None = None) -> Json:
        """Deletes an object; raises as `get` does."""
        return await self._request("DELETE", path, json=options or {})

    async def follow(self, path: str, **parameters: str) -> AsyncIterator[tuple[str, Json]]:
        """Yields (ADDED | MODIFIED | DELETED, object) for ever: a list, then a watch from there.

        When the watch breaks or its place in history is gone it lists again and yields the
        differences, deletions included, so the caller never misses the last state of an object.
        """
        known: dict[str, Json] = {}
        while True:
            try:
                listing = await self.get(path, **parameters)
                fresh = {item["metadata"]["uid"]: item for item in listing["items"]}
                for uid in known.keys() - fresh.keys():
                    yield "DELETED", known[uid]
                for uid, item in fresh.items():
                    yield ("MODIFIED" if uid in known else "ADDED"), item
                known = fresh
                version = listing["metadata"]["resourceVersion"]
                async for kind, item in self._watch(path, version, parameters):
                    if kind == "DELETED":
                        known.pop(item["metadata"]["uid"], None)
                    else:
                        known[item["metadata"]["uid"]] = item
                    yield kind, item
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.warning("watching %s: %s; starting over", path, error)
                await asyncio.sleep(1)

    async def _watch(
        self, path: str, version: str, parameters: dict[str, str]
    ) -> AsyncIterator[tuple[str, Json]]:
        while True:
            query = parameters | {
                "watch": "true",
                "resourceVersion": version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": "240",
            }
            timeout = aiohttp.ClientTimeout(total=300)
            async with self._session.get(path, params=query, timeout=timeout) as response:
                if response.status != 200:
                    raise ApiError(response.status, await response.text())
                async for line in _lines(response.content):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise ApiError(event["object"].get("code", 500), str(event["object"]))
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event["type"], event["object"]

    async def _request(
        self,
        method: str,
        path: str,
        **options: Any,  # noqa: ANN401 - aiohttp's own, passed on
    ) -> Json:
        async with self._session.request(method, path, **options) as response:
            body = await response.read()
            if response.status >= 400:
                raise ApiError(response.status, _message(body), _causes(body))
            return dict(json.loads(body))


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines of any length: the reader's own `readline` refuses long ones."""
    buffer = bytearray()
    async for chunk in content.iter_any():
        buffer += chunk
        *lines, rest = buffer.split(b"\n")
        for line in lines:
            yield bytes(line)
        buffer = bytearray(rest)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:500]


def _causes(body: bytes) -> tuple[tuple[str, str], ...]:
    try:
        causes = json.loads(body)["details"]["causes"]
        return tuple((one.get("field", ""), one.get("message", "")) for one in causes)
    except (ValueError, KeyError, TypeError):
        return ()


def _tls(server: Json, user: Json) -> ssl.SSLContext:
    authority = base64.b64decode(server["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    if "client-certificate-data" in user:
        # The ssl module reads a client's key from files only.
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(base64.b64decode(user["client-key-data"]))
            pair.write(base64.b64decode(user["client-certificate-data"]))
            pair.flush()
            context.load_cert_chain(pair.name)
    return context
