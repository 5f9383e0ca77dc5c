"""OpenAI's moderations protocol: POST /v1/moderations. Categories are the model's labels."""

import json
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from textmod_model.serving.calls import AnswerError, Calls
from textmod_model.serving.dropins import DropIns
from textmod_model.serving.predictor import Predictor

MOST_INPUTS = 1024
"""Texts of one call."""


def routes(calls: Calls, dropins: DropIns) -> list[Route]:
    """Return the route."""

    async def moderations(request: Request) -> Response:
        def work(body: bytes) -> object:
            _admit(request.headers.get("authorization", ""), dropins)
            return answer(texts(body), calls.predictor)

        return await calls.answer(request, "openai", work, failure)

    return [Route("/v1/moderations", moderations, methods=["POST"])]


def answer(given: list[str], predictor: Predictor) -> object:
    """Return one result a text. Raises BusyError and TooLargeError of `turns`."""
    points = predictor.info.operating_points
    rows = predictor.score_for_call(given).tolist()
    return {
        "id": f"modr-{uuid.uuid4().hex}",
        "model": predictor.info.label,
        "results": [_result(row if isinstance(row, list) else [row], points) for row in rows],
    }


def _result(row: list[float], points: dict[str, float]) -> dict[str, Any]:
    """Return what is said of one text: flagged where any label reaches its threshold."""
    scores = dict(zip(points, row, strict=True))
    categories = {label: score >= points[label] for label, score in scores.items()}
    return {
        "flagged": any(categories.values()),
        "categories": categories,
        "category_scores": scores,
        "category_applied_input_types": {label: ["text"] for label in scores},
    }


def texts(body: bytes) -> list[str]:
    """Return the texts of a request; the parts of a multi-part input are one text.

    Raises AnswerError.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        message = "We could not parse the JSON body of your request."
        raise _refused(message, None) from None
    if not isinstance(document, dict):
        raise _refused("The body must be a JSON object.", None)
    if document.get("input") is None:
        raise _refused(
            "Missing required parameter: 'input'.", "input", "missing_required_parameter"
        )
    if not isinstance(document.get("model"), str | None):
        raise _refused("Invalid type for 'model': expected a string.", "model", "invalid_type")
    found = _inputs(document["input"])
    if len(found) > MOST_INPUTS:
        message = f"Invalid 'input': at most {MOST_INPUTS} texts a call."
        raise _refused(message, "input", "array_above_max_length")
    if not found:
        raise _refused("Invalid 'input': the list is empty.", "input", "invalid_value")
    for at, text in enumerate(found):
        if not text or text.isspace():
            which = "input" if len(found) == 1 else f"input[{at}]"
            raise _refused(f"Invalid '{which}': the text is empty.", "input", "invalid_value")
    return found


def _inputs(given: object) -> list[str]:
    if isinstance(given, str):
        return [given]
    if isinstance(given, list):
        if given and all(isinstance(part, dict) for part in given):
            return ["\n".join(_text_of(part) for part in given)]
        if all(isinstance(part, str) for part in given):
            return given
    message = "Invalid type for 'input': expected a string, a list of strings, or of parts."
    raise _refused(message, "input", "invalid_type")


def _text_of(part: dict[str, Any]) -> str:
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if part.get("type") == "image_url":
        raise _refused("This model scores no images: send text.", "input", "unsupported_value")
    message = "Invalid 'input': a part must be {type: text, text: a string}."
    raise _refused(message, "input", "invalid_value")


def _admit(authorization: str, dropins: DropIns) -> None:
    """Check the bearer key, if any key is configured. Raises AnswerError."""
    if not dropins.openai_keys:
        return
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        message = (
            "You didn't provide an API key. You need to provide your API key in an Authorization"
            " header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
        raise AnswerError(401, _document(message, "invalid_request_error"))
    if not dropins.openai_keys.admit(key.strip()):
        message = "Incorrect API key provided."
        code = "invalid_api_key"
        raise AnswerError(401, _document(message, "invalid_request_error", code=code))


def _refused(message: str, param: str | None, code: str | None = None) -> AnswerError:
    return AnswerError(400, _document(message, "invalid_request_error", param, code))


def failure(code: int, message: str) -> object:
    """Return OpenAI's error document."""
    return _document(message, "server_error" if code >= 500 else "invalid_request_error")


def _document(
    message: str, kind: str, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
