"""Calls an ASGI application in this process."""

import asyncio

import httpx


class AppClient:
    """Calls an ASGI application in this process."""

    __test__ = False

    def __init__(self, app):
        self._transport = httpx.ASGITransport(app)

    def get(self, path, **options):
        return asyncio.run(self._request("GET", path, options))

    def post(self, path, **options):
        return asyncio.run(self._request("POST", path, options))

    def request(self, method, path, **options):
        return asyncio.run(self._request(method, path, options))

    async def _request(self, method, path, options):
        async with httpx.AsyncClient(transport=self._transport, base_url="http://model") as calls:
            return await calls.request(method, path, **options)
