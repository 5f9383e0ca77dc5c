"""What the protocols on the REST port share: bounded bodies, places, limits, and one metric.

A protocol brings the work to do on a body and the shape of its errors. The work runs on a thread,
so that neither parsing nor scoring holds up the event loop.
"""

import asyncio
import logging
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from textmod_model.formats.message import RefusedError
from textmod_model.formats.payload import dumps
from textmod_model.metrics import Metrics
from textmod_model.serving.failures import described
from textmod_model.serving.predictor import Predictor
from textmod_model.serving.turns import CALL_SECONDS, BusyError, Places, TooLargeError

log = logging.getLogger(__name__)

Work = Callable[[bytes], object]
"""From a body to the document that answers it; may raise AnswerError, RefusedError, BusyError and
TooLargeError."""

Failure = Callable[[int, str], object]
"""From a status code (400, 408, 413, 500, 503) and a sentence to a protocol's error document."""


class AnswerError(Exception):
    """A refusal that is complete already: a status code and a document in the protocol's shape."""

    def __init__(self, code: int, document: object) -> None:
        super().__init__(code)
        self.code = code
        self.document = document


class Calls:
    """Answers calls of one server, whatever their protocol, at most so many at once."""

    def __init__(self, predictor: Predictor, metrics: Metrics) -> None:
        self.predictor = predictor
        self.metrics = metrics
        self._places = Places()

    async def answer(
        self, request: Request, protocol: str, work: Work, failure: Failure
    ) -> Response:
        """Read the body and answer it; `protocol` is what the metric calls it. Raises nothing."""
        count = self.metrics.predictions.labels
        try:
            async with self._places.take():
                async with asyncio.timeout(CALL_SECONDS):
                    body = await _body(request, self.predictor.largest)
                document = await run_in_threadpool(work, body)
        except AnswerError as error:
            count(protocol, "refused").inc()
            return json_response(error.document, error.code)
        except Exception as error:  # noqa: BLE001 - a client always gets an answer
            code, sentence = _of(error)
            count(protocol, "failed" if code == 500 else "refused").inc()
            return json_response(failure(code, sentence), code)
        count(protocol, "answered").inc()
        return json_response(document)


def json_response(document: object, code: int = 200) -> Response:
    """Return a document as JSON."""
    return Response(dumps(document), status_code=code, media_type="application/json")


def _of(error: Exception) -> tuple[int, str]:
    """Return the status code and the sentence for what went wrong with a call."""
    if isinstance(error, TimeoutError):
        return 408, "the body did not come in time."
    if isinstance(error, ClientDisconnect):
        return 400, "the client closed the connection."
    if isinstance(error, TooLargeError):
        return 413, str(error)
    if isinstance(error, BusyError):
        return 503, str(error)
    if isinstance(error, RefusedError):
        return 400, error.refused.message
    log.error("answer a call: %s", described(error))
    return 500, "the prediction failed"


async def _body(request: Request, largest: int) -> bytes:
    """Return the body; stop reading once it is too large. Raises RefusedError if it is encoded."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", ""):  # a few kilobytes of gzip can become gigabytes
        raise RefusedError("NotJson", f"Content-Encoding {encoding[:20]!r} is not taken: use none.")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > largest):
        raise TooLargeError(f"the body exceeds {largest} bytes.")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > largest:
            raise TooLargeError(f"the body exceeds {largest} bytes.")
        parts.append(part)
    return b"".join(parts)
