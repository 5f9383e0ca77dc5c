"""Seldon's v1 REST protocol, and the port for probes and Prometheus."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from textmod_model.formats.decoders.seldon import SELDON_PAYLOADS
from textmod_model.formats.message import RefusedError
from textmod_model.formats.payload import utf8
from textmod_model.health import Answer, Health
from textmod_model.metrics import CONTENT_TYPE, Metrics
from textmod_model.serving import (
    multipart,
    openai,
    perspective,
    perspective_request,
    seldon_feedback,
)
from textmod_model.serving.calls import Calls, Failure, json_response
from textmod_model.serving.dropins import DropIns
from textmod_model.serving.predictor import Predictor
from textmod_model.stream.feedback import Feedback

_REASONS = {
    400: "MICROSERVICE_BAD_DATA",
    404: "MICROSERVICE_BAD_DATA",
    405: "MICROSERVICE_BAD_DATA",
    408: "MICROSERVICE_BAD_DATA",
    413: "MICROSERVICE_OVERLOADED",
    500: "MICROSERVICE_INTERNAL_ERROR",
    503: "MICROSERVICE_OVERLOADED",
}

_SHAPES: tuple[tuple[str, Failure], ...] = (
    ("/v1alpha1/", perspective_request.failure),
    ("/comments:", perspective_request.failure),
    ("/v1/", openai.failure),
)
"""Error documents by how a path begins; all others have Seldon's."""


def seldon_app(
    predictor: Predictor,
    metrics: Metrics,
    dropins: DropIns | None = None,
    feedback: Feedback | None = None,
    source: perspective.Source = perspective.NOWHERE,
) -> Starlette:
    """Return the application for port 9000: Seldon's protocol, and the drop-in ones beside it.

    Args:
        feedback: where scores are written that callers suggest; None: they are only counted.
        source: of the stream beside it.
    """
    calls = Calls(predictor, metrics)
    dropins = dropins or DropIns.of(predictor.info)

    async def predict(request: Request) -> Response:
        def work(body: bytes) -> object:
            return predictor.answer(_document(request, body))

        return await calls.answer(request, "rest", work, _failure)

    async def send_feedback(request: Request) -> Response:
        def work(body: bytes) -> object:
            return seldon_feedback.answer(_document(request, body))

        return await calls.answer(request, "feedback", work, _failure)

    async def ping(_request: Request) -> Response:
        return PlainTextResponse("pong")

    async def status(_request: Request) -> Response:
        return json_response({"meta": {}, "strData": "healthy"})

    async def metadata(_request: Request) -> Response:
        return json_response(predictor.info.metadata())

    app = Starlette(
        routes=[
            Route("/predict", predict, methods=["GET", "POST"]),
            Route("/api/v1.0/predictions", predict, methods=["POST"]),
            Route("/api/v0.1/predictions", predict, methods=["POST"]),
            Route("/send-feedback", send_feedback, methods=["GET", "POST"]),
            Route("/api/v1.0/feedback", send_feedback, methods=["POST"]),
            Route("/api/v0.1/feedback", send_feedback, methods=["POST"]),
            Route("/health/ping", ping),
            Route("/health/status", status),
            Route("/api/v1.0/health/status", status),
            Route("/metadata", metadata),
            Route("/api/v1.0/metadata", metadata),
            *perspective.routes(calls, dropins, feedback, source),
            *openai.routes(calls, dropins),
        ],
        exception_handlers={HTTPException: _no_such_call},
    )
    # A redirect names the scheme that a proxy calls with, so that a key would travel without TLS.
    app.router.redirect_slashes = False
    return app


async def _no_such_call(request: Request, error: Exception) -> Response:
    """Answer an unknown path or method in the error shape of the protocol that the path is of."""
    assert isinstance(error, HTTPException)  # noqa: S101  # for the type checker
    sentence = f"{error.detail}."
    shape = next((shape for path, shape in _SHAPES if request.url.path.startswith(path)), _failure)
    answer = json_response(shape(error.status_code, sentence), error.status_code)
    answer.headers.update(error.headers or {})
    return answer


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
        return json_response(model())

    return Starlette(
        routes=[
            Route("/prometheus", prometheus),
            Route("/metrics", prometheus),
            Route("/health/live", live),
            Route("/health/ready", ready),
            Route("/model", describe),
        ]
    )


def _document(request: Request, body: bytes) -> object:
    """The request's JSON: a form's, the query parameter `json`, else the body.

    curl calls any body a URL-encoded form, so a body that is JSON is taken for JSON first.
    """
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
        query = _field(body, "json") or query
    return _loads(query or body)


def _field(body: bytes, name: str) -> str:
    """Return a field of a URL-encoded form, empty if there is none or the form is no form."""
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=multipart.MOST_PARTS)
    except ValueError:
        return ""
    return (fields.get(name) or [""])[0]


def _multipart(content_type: str, body: bytes) -> object | None:
    """The document of a multipart form: its field `json`, or its fields named as Seldon's payloads.

    None if there is neither. Fields hold JSON, but strData a text; a file is its bytes.
    """
    document: dict[str, object] = {}
    for part in multipart.parts(content_type, body):
        if part.name == "json":
            return _loads(part.content)
        if part.name == "strData":
            document[part.name] = utf8(part.content)
        elif part.name == "binData" and part.file:
            document[part.name] = base64.b64encode(part.content).decode()
        elif part.name in SELDON_PAYLOADS or part.name == "meta":
            document[part.name] = _loads(part.content)
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


def _failure(code: int, info: str) -> object:
    """Return Seldon's error shape."""
    return {"status": {"code": -1, "info": info, "reason": _REASONS[code], "status": 1}}


def _probe(answer: Answer) -> Response:
    return JSONResponse(
        {"status": "ok" if answer.ok else "unavailable", "message": answer.sentence},
        status_code=200 if answer.ok else 503,
    )
