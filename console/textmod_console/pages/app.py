"""The web application: routes, headers, static files. Made from a desk and the settings."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from textmod_console.access import kubernetes
from textmod_console.access.limits import RateLimit
from textmod_console.access.permissions import AllPermissions, Permissions, RbacPermissions
from textmod_console.access.sessions import Sessions, session_key
from textmod_console.access.sign_in import ByLoopback, ByProxy, ByToken, Way
from textmod_console.desk import Desk
from textmod_console.pages.gate import Gate
from textmod_console.pages.rendering import assets
from textmod_console.pages.routes import PAGES, Page
from textmod_console.pages.visit import Console, RefusedError
from textmod_console.policies import ReadPolicies, no_policies
from textmod_console.settings import Settings

PER_SECOND: Final = 50.0
BURST: Final = 200
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "require-trusted-types-for 'script'; trusted-types console"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}


@dataclass(frozen=True)
class Entry:
    """How people sign in, and their permissions."""

    way: Way
    permissions: Permissions
    close: Callable[[], None] = lambda: None
    """Closes the connections to the API server."""


def entry(settings: Settings) -> Entry:
    """Return the configured way of signing in.

    Raises:
        ConfigurationError: the settings name no usable API server, secret or address.
    """
    if settings.console_authentication == "Loopback":
        return Entry(ByLoopback(settings.console_bind_address), AllPermissions())
    server = kubernetes.connect(settings.console_kubeconfig)
    permissions = RbacPermissions(server, settings.object_namespace, settings.object_name)
    if settings.console_authentication == "Token":
        return Entry(ByToken(server), permissions, server.close)
    secret = settings.console_proxy_secret
    way = ByProxy(
        "" if secret is None else secret.get_secret_value(),
        settings.console_proxy_user_header,
        settings.console_proxy_groups_header,
    )
    return Entry(way, permissions, server.close)


def create_app(
    desk: Desk,
    settings: Settings,
    *,
    enter: Entry | None = None,
    now: Callable[[], float] = time.time,
    limit: RateLimit | None = None,
    policies: ReadPolicies = no_policies,
) -> Starlette:
    """Return the application that `textmod-console serve` runs on the console's port.

    Raises:
        ConfigurationError: these settings allow no sign-in, or sessions have no key.
    """
    key = settings.console_session_key
    configured = None if key is None else key.get_secret_value()
    way = enter or entry(settings)
    console = Console(
        desk=desk,
        way=way.way,
        permissions=way.permissions,
        sessions=Sessions(session_key(configured, settings.console_data)),
        title=f"{settings.object_namespace}/{settings.object_name}",
        now=now,
        policies=policies,
    )
    gate = Gate(console, limit or RateLimit(PER_SECOND, BURST, time.monotonic))
    # A longer path first: /api/items/ITEM/decision before /api/items/ITEM.
    pages = sorted(PAGES, key=lambda page: -len(page.path))
    routes = [_route(gate, page) for page in pages]
    routes.append(Route("/static/{name}", static, methods=["GET"]))
    handlers = {HTTPException: _unknown(gate)}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=_closing(way.close))
    app.router.redirect_slashes = False  # no answer that did not pass the gate
    app.add_middleware(SafeHeaders)
    return app


def _closing(close: Callable[[], None]) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        close()

    return lifespan


def _route(gate: Gate, page: Page) -> Route:
    """Return the route of a page, without the HEAD that Starlette adds to each GET.

    GET /queue claims an item, and GET of an item is in the audit; HEAD must change nothing.
    """
    route = Route(page.path, _endpoint(gate, page), methods=[page.method])
    route.methods = {page.method}
    return route


def _endpoint(gate: Gate, page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await gate.answer(request, page)

    return endpoint


def _unknown(gate: Gate) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def unknown(request: Request, error: Exception) -> Response:
        status, headers = 404, None
        if isinstance(error, HTTPException):
            status, headers = error.status_code, error.headers  # with Allow, of a 405
        sentence = "There is no such page: go back to the queue."
        program = request.url.path.startswith("/api/")
        return gate.refuse(None, RefusedError(status, sentence, headers), program=program)

    return unknown


async def static(request: Request) -> Response:
    """Answer with a static file out of memory; no request ever names a file on the disk."""
    wanted = request.url.path
    for asset in assets().values():
        if asset.url == wanted:
            forever = {"Cache-Control": "public, max-age=31536000, immutable"}
            return Response(asset.content, media_type=asset.media_type, headers=forever)
    raise HTTPException(404)


class SafeHeaders:
    """Adds the security headers to every answer; no page with a text is ever kept."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add to its answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)
