"""The application of the internal port: `/healthz`, `/readyz`, `/metrics`, and figures as JSON."""

from collections.abc import Awaitable, Callable, Mapping

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from textmod_console.errors import ConsoleError
from textmod_console.internal.health import Answer

Figures = Callable[[], object]
"""Returns what orjson writes; raises ConsoleError where it can't be known now."""


def create_app(
    live: Callable[[], Answer], ready: Callable[[], Answer], figures: Mapping[str, Figures]
) -> Starlette:
    """Return the application.

    Args:
        live: whether a restart would not help.
        ready: whether reviewers can be served.
        figures: by path; none of them may hold a text.
    """
    return Starlette(
        routes=[
            Route("/healthz", _probe(live)),
            Route("/readyz", _probe(ready)),
            Route("/metrics", _metrics),
            *(Route(path, _json(read)) for path, read in figures.items()),
        ]
    )


def _probe(ask: Callable[[], Answer]) -> Callable[[Request], Awaitable[Response]]:
    async def probe(_: Request) -> Response:
        answer = await run_in_threadpool(ask)
        return PlainTextResponse(f"{answer.sentence}\n", 200 if answer.ok else 503)

    return probe


async def _metrics(_: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _json(read: Figures) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        try:
            found = await run_in_threadpool(read)
        except ConsoleError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return Response(orjson.dumps(found), media_type="application/json")

    return answer
