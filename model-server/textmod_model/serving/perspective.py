"""Perspective API's protocol: comments:analyze, comments:suggestscore and the discovery document.

A drop-in for clients of Perspective, which ends on 31 December 2026: they change the URL and keep
the rest. The scores are this model's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from textmod_model.review.suggestion import Origin
from textmod_model.serving import perspective_discovery
from textmod_model.serving.calls import AnswerError, Calls, json_response
from textmod_model.serving.dropins import DropIns
from textmod_model.serving.markup import visible
from textmod_model.serving.perspective_request import (
    AnalyzeRequest,
    SuggestRequest,
    failure,
    no_key,
    parse,
    refused,
    too_long,
    unsupported_languages,
    wrong_key,
)
from textmod_model.serving.predictor import Predictor
from textmod_model.serving.suggestions import Suggestions
from textmod_model.serving.turns import TooLargeError
from textmod_model.stream.feedback import Feedback

MOST_SPANS = 100
"""Of a comment; the last one holds the rest of the text."""

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\n+")

Span = tuple[int, int]
"""Where a part of the text begins and ends, in code points of the text as sent."""


@dataclass(frozen=True)
class Source:
    """The stream beside the calls, as decisions name it."""

    events: str
    """The `ce_source` of its events."""
    input_topic: str


NOWHERE: Final = Source("/textmoderation", "")


def routes(
    calls: Calls, dropins: DropIns, feedback: Feedback | None = None, source: Source = NOWHERE
) -> list[Route]:
    """Return the routes; with the version in the path and without it, as clients join them.

    Args:
        feedback: where suggested scores are written; None: they are only counted.
        source: of the stream beside it.
    """

    async def analyze(request: Request) -> Response:
        _posted(request)

        def work(body: bytes) -> object:
            _admit(request, dropins)
            return answer(parse(AnalyzeRequest, body), calls.predictor, dropins)

        return await calls.answer(request, "perspective", work, failure)

    async def suggestscore(request: Request) -> Response:
        _posted(request)

        def work(body: bytes) -> object:
            _admit(request, dropins)
            suggested = parse(SuggestRequest, body)
            suggestions.take(suggested)
            return {**_languages(suggested, dropins, "requestedLanguages"), **_echo(suggested)}

        return await calls.answer(request, "perspective_suggest", work, failure)

    async def discovery(request: Request) -> Response:
        try:
            if key := _key(request):
                _admit(request, dropins, key)
        except AnswerError as error:
            return json_response(error.document, error.code)
        response = json_response(perspective_discovery.document(_root(request)))
        response.headers["Cache-Control"] = "private, no-store"  # it names the caller's own URL
        return response

    suggestions = Suggestions(calls.metrics, _origin(calls, dropins, source), feedback)
    methods, middleware = _for_browsers(dropins)
    return [
        *(
            Route(
                f"{version}/comments:{method.__name__}",
                method,
                methods=methods,
                middleware=middleware,
            )
            for version in ("/v1alpha1", "")
            for method in (analyze, suggestscore)
        ),
        *(
            Route(path, discovery, middleware=middleware)
            for path in ("/$discovery/rest", "/discovery/v1/apis/commentanalyzer/v1alpha1/rest")
        ),
    ]


def _for_browsers(dropins: DropIns) -> tuple[list[str], list[Middleware]]:
    """Return the methods of a call, and what lets scripts of the allowed web pages make it."""
    if not dropins.origins:
        return ["POST"], []
    allowed = Middleware(
        CORSMiddleware,
        allow_origins=dropins.origins,
        allow_methods=["POST"],
        allow_headers=["*"],
    )
    return ["POST", "OPTIONS"], [allowed]


def _posted(request: Request) -> None:
    """Refuse an OPTIONS that asks for no permission of a browser's; raises HTTPException."""
    if request.method != "POST":
        raise HTTPException(405, headers={"Allow": "POST"})


def _origin(calls: Calls, dropins: DropIns, source: Source) -> Origin:
    info = calls.predictor.info
    labels = list(info.operating_points)
    return Origin(
        source=source.events,
        input_topic=source.input_topic,
        model=info.digest,
        attributes=dropins.attributes,
        first_label=labels[0] if labels else "",
        trusted=bool(dropins.perspective_keys),
    )


def answer(request: AnalyzeRequest, predictor: Predictor, dropins: DropIns) -> object:
    """Answer comments:analyze.

    Raises AnswerError; BusyError of `turns`.
    """
    comment = request.comment.checked()
    languages = [_language(name) for name in request.languages]
    wanted = _wanted(request, languages, dropins)
    text, places = comment.text, None
    if comment.type == "HTML":
        text, *places = visible(comment.text)
        if not text or text.isspace():
            raise refused("COMMENT_EMPTY", "Comment must be non-empty.")
    sentences = list(_sentences(text)) if request.span_annotations else []
    if len(sentences) == 1:  # its score is the comment's
        sentences = []
    texts = [text, *(text[begin:end] for begin, end in sentences)]
    try:
        rows = predictor.score_for_call(texts).tolist()
    except TooLargeError:
        raise too_long() from None
    if places:
        begins, ends = places
        sentences = [(begins[begin], ends[end - 1]) for begin, end in sentences]
    spans = sentences or [(0, len(comment.text))]
    labels = list(predictor.info.operating_points)
    scores: dict[str, object] = {}
    for attribute, least in wanted.items():
        column = labels.index(dropins.attributes[attribute])
        values = [row[column] if isinstance(row, list) else row for row in rows]
        if found := _attribute_scores(values[0], values[1:] or values, spans, least):
            scores[attribute] = found
    return {
        **({"attributeScores": scores} if scores else {}),
        **_languages(request, dropins, "languages"),
        **_echo(request),
    }


def _wanted(request: AnalyzeRequest, languages: list[str], dropins: DropIns) -> dict[str, float]:
    """Return each attribute to answer and the least score of it that is answered."""
    if not request.requested_attributes:
        raise refused("NO_REQUESTED_ATTRIBUTES", "Missing requested_attributes")
    foreign = [one for one in languages if dropins.languages and one not in dropins.languages]
    wanted = {}
    for name, parameters in request.requested_attributes.items():
        try:
            if name not in dropins.attributes:
                raise refused("INVALID_REQUEST", f"Unknown requested attribute: {name}")
            if foreign:
                raise unsupported_languages(name, foreign, request.languages)
        except AnswerError:
            if request.drop_unsupported_attributes:
                continue
            raise
        if parameters.score_type not in ("PROBABILITY", "SCORE_TYPE_UNSPECIFIED"):
            message = (
                f"Requested score type {parameters.score_type:.64} is not supported by attribute"
                f" {name}"
            )
            raise refused("INVALID_REQUEST", message)
        wanted[name] = parameters.score_threshold
    return wanted


def _attribute_scores(
    summary: float, of_spans: list[float], spans: list[Span], least: float
) -> dict[str, object]:
    """Return one attribute's scores, those below `least` left out; none: {}."""
    shown = [
        {"begin": begin, "end": end, "score": _score(value)}
        for (begin, end), value in zip(spans, of_spans, strict=True)
        if value >= least
    ]
    return {
        **({"spanScores": shown} if shown else {}),
        **({"summaryScore": _score(summary)} if summary >= least else {}),
    }


def _score(value: float) -> dict[str, object]:
    return {"value": value, "type": "PROBABILITY"}


def _sentences(text: str) -> Iterator[Span]:
    """Cut a text into sentences, without the white space around them."""
    begin = spans = 0
    for found in _SENTENCE_END.finditer(text):
        if spans == MOST_SPANS - 1:
            break
        if span := _trimmed(text, begin, found.end()):
            spans += 1
            yield span
        begin = found.end()
    if span := _trimmed(text, begin, len(text)):
        yield span


def _trimmed(text: str, begin: int, end: int) -> Span | None:
    part = text[begin:end]
    if not part or part.isspace():
        return None
    return begin + len(part) - len(part.lstrip()), begin + len(part.rstrip())


def _language(name: str) -> str:
    """Return the ISO 639-1 code of a language: `en` of `EN` and `en-US`."""
    return re.split("[-_]", name, maxsplit=1)[0].lower()


def _languages(
    request: AnalyzeRequest | SuggestRequest, dropins: DropIns, asked: str
) -> dict[str, object]:
    """Return the languages of a call; `asked` is the field for those that it named.

    None is detected, so that it has the same ones twice.
    """
    used = request.languages or list(dropins.languages[:1]) or ["und"]
    return {asked: used, "detectedLanguages": used}


def _echo(request: AnalyzeRequest | SuggestRequest) -> dict[str, object]:
    return {} if request.client_token is None else {"clientToken": request.client_token}


def _key(request: Request) -> str:
    """Return the caller's key: the query's `key`, else the header; "" for none."""
    return request.query_params.get("key") or request.headers.get("x-goog-api-key") or ""


def _admit(request: Request, dropins: DropIns, key: str = "") -> None:
    """Check the caller's key, if any key is configured. Raises AnswerError."""
    if not dropins.perspective_keys:
        return
    key = key or _key(request)
    if not key:
        raise no_key()
    if not dropins.perspective_keys.admit(key.strip()):
        raise wrong_key()


def _root(request: Request) -> str:
    """Return the URL that the caller reached, also behind a proxy that ends TLS."""
    url = request.base_url
    scheme = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
    if scheme in ("http", "https"):
        url = url.replace(scheme=scheme)
    return str(url)
