"""Requests of Perspective API (commentanalyzer v1alpha1) and its errors, as Google writes them.

Field names are taken in camelCase and in snake_case, null counts as left out, unknown fields are
ignored. As by Google's parser a number may be a string, the name of an enumeration may be in any
case, and a single value stands for a list of one: some clients rely on it. Error types and messages
are those that Perspective documents under "Limits and errors".
"""

import json
from contextlib import suppress
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AliasChoices,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from textmod_model.serving.calls import AnswerError

LONGEST_COMMENT = 20_480
"""Bytes of UTF-8 of the longest comment."""

_STATUS = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    405: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_ERROR = "type.googleapis.com/google.commentanalyzer.v1alpha1.Error"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


def _number(value: object) -> object:
    """Return the number that a string holds; anything else as it is."""
    if isinstance(value, str):
        for kind in (int, float):
            with suppress(ValueError):
                return kind(value)
    return value


def _several(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _constant(value: object) -> object:
    return value.upper().replace("-", "_") if isinstance(value, str) else value


Item = TypeVar("Item")
Float = Annotated[float, BeforeValidator(_number)]
Integer = Annotated[int, BeforeValidator(_number)]
Several = Annotated[list[Item], BeforeValidator(_several)]
Constant = Annotated[str, BeforeValidator(_constant)]
"""The name of a value of an enumeration, in upper case."""


class Part(BaseModel):
    """A part of a request, as protobuf's JSON form has it."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        alias_generator=AliasGenerator(
            validation_alias=lambda name: AliasChoices(to_camel(name), name)
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if not isinstance(value, dict):
            return value
        return {name: part for name, part in value.items() if part is not None}


class TextEntry(Part):
    """A text, of a comment or of its context."""

    text: str = ""
    type: Constant = "PLAIN_TEXT"

    def checked(self) -> Self:
        """Return it; raises AnswerError if it is empty, too long or of an unknown type."""
        if self.type not in ("PLAIN_TEXT", "TEXT_TYPE_UNSPECIFIED", "HTML"):
            raise refused("INVALID_REQUEST", "Unknown text type")
        if not self.text or self.text.isspace():
            raise refused("COMMENT_EMPTY", "Comment must be non-empty.")
        # A client that truncates a text may cut an emoji in two.
        if len(self.text.encode("utf-8", "surrogatepass")) > LONGEST_COMMENT:
            raise too_long()
        return self


class ArticleAndParentComment(Part):
    """The older form of a context."""

    article: TextEntry | None = None
    parent_comment: TextEntry | None = None


class Context(Part):
    """What a comment answers to. Taken and not used, as in Perspective."""

    entries: Several[TextEntry] = []
    article_and_parent_comment: ArticleAndParentComment | None = None


class AttributeParameters(Part):
    """How an attribute is asked for."""

    score_type: Constant = "PROBABILITY"
    score_threshold: Float = 0.0


class Score(Part):
    """A score that a client suggests."""

    value: Float = 0.0
    type: Constant = "PROBABILITY"


class SpanScore(Part):
    """A suggested score of a part of the text."""

    begin: Integer = 0
    end: Integer = 0
    score: Score | None = None


class AttributeScores(Part):
    """The suggested scores of one attribute."""

    summary_score: Score | None = None
    span_scores: Several[SpanScore] = []


Name = Annotated[str, Field(max_length=256)]


class Request(Part):
    """What both methods have."""

    comment: TextEntry = TextEntry()
    context: Context | None = None
    languages: Several[Name] = Field([], max_length=64)
    client_token: str | None = None
    community_id: str | None = None
    session_id: str | None = None

    @model_validator(mode="after")
    def _one_kind_of_context(self) -> Self:
        context = self.context
        if context and context.entries and context.article_and_parent_comment:
            message = (
                "Context can have either entries or article_and_parent_comment, but both fields"
                " were populated."
            )
            raise ValueError(message)
        return self


class AnalyzeRequest(Request):
    """A request of comments:analyze."""

    requested_attributes: dict[Name, AttributeParameters] = Field({}, max_length=256)
    span_annotations: bool = False
    do_not_store: bool = False
    drop_unsupported_attributes: bool = False


class SuggestRequest(Request):
    """A request of comments:suggestscore."""

    attribute_scores: dict[Name, AttributeScores] = Field({}, max_length=256)


Kind = TypeVar("Kind", bound=Request)


def parse(kind: type[Kind], body: bytes) -> Kind:
    """Read a request; an empty body is an empty request. Raises AnswerError."""
    try:
        document = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise refused("INVALID_REQUEST", "Invalid JSON payload received.") from None
    if not isinstance(document, dict):
        message = "Invalid JSON payload received. Root element must be a message."
        raise refused("INVALID_REQUEST", message)
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        [first, *_] = error.errors(include_input=False, include_url=False, include_context=False)
        raise refused("INVALID_REQUEST", _sentence(first["loc"], first["msg"])) from None
    except RecursionError:
        raise refused("INVALID_REQUEST", "Invalid JSON payload received.") from None


def _sentence(where: tuple[int | str, ...], what: str) -> str:
    """Say where a request is wrong; keys of a map are the client's own text and left out."""
    if not where:
        return what.removeprefix("Value error, ")
    known = [str(part) for part in where if isinstance(part, int) or part.isidentifier()]
    return f"Invalid value at '{'.'.join(known)}': {what}."


def failure(code: int, message: str, *details: dict[str, object]) -> object:
    """Return Google's error document."""
    status = _STATUS[code]
    shown = list(details) or [{"@type": _ERROR, "errorType": "INVALID_REQUEST"}]
    return {"error": {"code": code, "message": message, "status": status, "details": shown}}


def refused(error_type: str, message: str, **more: object) -> AnswerError:
    """Return the error of a request that Perspective refuses."""
    detail = {"@type": _ERROR, "errorType": error_type, **more}
    return AnswerError(400, failure(400, message, detail))


def too_long() -> AnswerError:
    """Return the error of a comment that is too long."""
    return refused("COMMENT_TOO_LONG", "Comment text too long.")


def unsupported_languages(attribute: str, languages: list[str], given: list[str]) -> AnswerError:
    """Return the error of a request in languages that the attribute does not have."""
    message = f"Attribute {attribute} does not support request languages: {', '.join(languages)}"
    about = {"attribute": attribute, "requestedLanguages": given, "detectedLanguages": given}
    return refused(
        "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", message, languageNotSupportedByAttributeError=about
    )


def no_key() -> AnswerError:
    """Return the error of a call without a key."""
    message = (
        "Method doesn't allow unregistered callers (callers without established identity). Please"
        " use API Key or other form of API consumer identity to call this API."
    )
    return AnswerError(403, failure(403, message, _info("API_KEY_MISSING")))


def wrong_key() -> AnswerError:
    """Return the error of a call with a key that is not known."""
    message = "API key not valid. Please pass a valid API key."
    return AnswerError(400, failure(400, message, _info("API_KEY_INVALID")))


def _info(reason: str) -> dict[str, object]:
    service = {"service": "commentanalyzer.googleapis.com"}
    return {"@type": _ERROR_INFO, "reason": reason, "domain": "googleapis.com", "metadata": service}
