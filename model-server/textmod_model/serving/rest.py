"""Seldon's v1 REST protocol, and the port for probes and Prometheus."""

import asyncio
import base64
import email
import email.policy
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from textmod_model.formats.decoders.seldon import SELDON_PAYLOADS
from textmod_model.formats.message import RefusedError
from textmod_model.formats.payload import dumps, utf8
from textmod_model.health import Answer, Health
from textmod_model.metrics import CONTENT_TYPE, Metrics
from textmod_model.serving.predictor import Predictor
from textmod_model.serving.turns import CALL_SECONDS, BusyError, Places, TooLargeError

log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]


def seldon_app(predictor: Predictor, metrics: Metrics) -> Starlette:
    """The application for port 9000."""

    places = Places()

    async def predict(request: Request) -> Response:
        try:
            async with places.take():
                async with asyncio.timeout(CALL_SECONDS):
                    document = await _document(request, predictor.largest)
                answer = dumps(await run_in_threadpool(predictor.answer, document))
        except TimeoutError:
            metrics.predictions.labels("rest", "refused").inc()
            return _failure(408, "the body did not come in time.", "MICROSERVICE_BAD_DATA")
        except (BusyError, TooLargeError) as error:
            metrics.predictions.labels("rest", "refused").inc()
            code = 413 if isinstance(error, TooLargeError) else 503
            return _failure(code, str(error), "MICROSERVICE_OVERLOADED")
        except RefusedError as error:
            metrics.predictions.labels("rest", "refused").inc()
            return _failure(400, error.refused.message, "MICROSERVICE_BAD_DATA")
        except Exception:
            metrics.predictions.labels("rest", "failed").inc()
            log.exception("A prediction failed.")
            return _failure(500, "the prediction failed", "MICROSERVICE_INTERNAL_ERROR")
        metrics.predictions.labels("rest", "answered").inc()
        return Response(answer, media_type="application/json")

    async def ping(_request: Request) -> Response:
        return PlainTextResponse("pong")

    async def status(_request: Request) -> Response:
        return _json({"meta": {}, "strData": "healthy"})

    async def metadata(_request: Request) -> Response:
        return _json(predictor.info.metadata())

    return Starlette(
        routes=[
            Route("/predict", predict, methods=["GET", "POST"]),
            Route("/api/v1.0/predictions", predict, methods=["POST"]),
            Route("/api/v0.1/predictions", predict, methods=["POST"]),
            Route("/health/ping", ping),
            Route("/health/status", status),
            Route("/api/v1.0/health/status", status),
            Route("/metadata", metadata),
            Route("/api/v1.0/metadata", metadata),
        ]
    )


def operations_app(
    health: Health,
    metrics: Metrics,
    refresh: Callable[[], None] = lambda: None,
    model: Callable[[], dict[str, Any]] = dict,
) -> Starlette:
    """The application for port 6000; `refresh` brings the gauges up to date before a scrape.

    `model` says what the model is and which policies are in force.
    """

    async def prometheus(_request: Request) -> Response:
        refresh()
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    async def live(_request: Request) -> Response:
        return _probe(health.live(time.monotonic()))

    async def ready(_request: Request) -> Response:
        return _probe(health.ready(time.monotonic()))

    async def describe(_request: Request) -> Response:
        return _json(model())

    return Starlette(
        routes=[
            Route("/prometheus", prometheus),
            Route("/metrics", prometheus),
            Route("/health/live", live),
            Route("/health/ready", ready),
            Route("/model", describe),
        ]
    )


async def _document(request: Request, largest: int) -> object:
    """The request's JSON: a form's, the query parameter `json`, else the body.

    curl calls any body a URL-encoded form, so a body that is JSON is taken for JSON first.
    """
    body = await _body(request, largest)
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    query = request.query_params.get("json")
    if kind == "multipart/form-data":
        document = _multipart(content_type, body)
        if document is not None:
            return document
    elif kind == "application/x-www-form-urlencoded":
        document = _json_or_none(body)
        if document is not None:
            return document
        fields = parse_qs(body.decode("utf-8", "replace"))
        query = (fields.get("json") or [""])[0] or query
    return _loads(query or body)


def _multipart(content_type: str, body: bytes) -> object | None:
    """The document of a multipart form: its field `json`, or its fields named as Seldon's payloads.

    None if there is neither. Fields hold JSON, but strData a text; a file is its bytes.
    """
    header = f"Content-Type: {content_type}\r\n\r\n".encode("utf-8", "replace")
    form = email.message_from_bytes(header + body, policy=email.policy.HTTP)
    document: dict[str, object] = {}
    if not form.is_multipart():
        return None
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            continue
        if name == "json":
            return _loads(content)
        if name == "strData":
            document[name] = utf8(content)
        elif name == "binData" and part.get_filename() is not None:
            document[name] = base64.b64encode(content).decode()
        elif name in SELDON_PAYLOADS or name == "meta":
            document[name] = _loads(content)
    return document or None


def _loads(text: str | bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise RefusedError("NotJson", "Can't find JSON in data") from None


def _json_or_none(body: bytes) -> object | None:
    try:
        return _loads(body)
    except RefusedError:
        return None


async def _body(request: Request, largest: int) -> bytes:
    """The body, refused once it is too large rather than kept."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > largest:
            raise TooLargeError(f"the body exceeds {largest} bytes.")
        parts.append(part)
    return b"".join(parts)


def _json(document: object) -> Response:
    return Response(dumps(document), media_type="application/json")


def _failure(code: int, info: str, reason: str) -> Response:
    """Seldon's error shape."""
    status = {"code": -1, "info": info, "reason": reason, "status": 1}
    body = json.dumps({"status": status}).encode()
    return Response(body, status_code=code, media_type="application/json")


def _probe(answer: Answer) -> Response:
    return JSONResponse(
        {"status": "ok" if answer.ok else "unavailable", "message": answer.sentence},
        status_code=200 if answer.ok else 503,
    )
