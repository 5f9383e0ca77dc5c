"""The events of both topics: JSON values, described by CloudEvents headers. Pure.

Readers ignore unknown fields and types: a newer version may write them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from textmod_console.errors import DataError, sentences

PREFIX: Final = "dev.textmoderation."
REVIEW_REQUESTED: Final = f"{PREFIX}review.requested.v1"
DECISION: Final = f"{PREFIX}decision.v1"
APPEAL: Final = f"{PREFIX}appeal.v1"
COUNTED: Final = f"{PREFIX}verdicts.counted.v1"

Verdict = Literal["Allow", "Review", "Remove"]
DecisionName = Literal["Approve", "Remove", "Escalate", "Skip", "Unsure"]
ActorKind = Literal["Human", "Automation", "Import"]
Outcome = Literal["Upheld", "Overturned"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Score = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[^\x00]+$")]
"""What a database column holds; Postgres has no NUL."""


def _at_most(size: int) -> AfterValidator:
    """Refuse what is longer in UTF-8: an index of Postgres holds 2,704 bytes a row."""

    def check(name: str) -> str:
        if len(name.encode()) > size:
            raise ValueError(f"is longer than {size} bytes")
        return name

    return AfterValidator(check)


Item = Annotated[Name, _at_most(1024)]
Label = Annotated[Name, _at_most(500)]
Headers = list[tuple[str, bytes]]


def _has_a_time_in_utc(at: datetime) -> datetime:
    try:
        at.astimezone(UTC)
    except OverflowError:  # an hour before the year 1, or after 9999
        raise ValueError("is out of range in UTC") from None
    return at


Moment = Annotated[AwareDatetime, AfterValidator(_has_a_time_in_utc)]


class _Event(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    def value(self) -> bytes:
        """Return the JSON that is the Kafka message's value; absent fields are left out."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


class Reason(_Event):
    """One reason why an item is in the queue."""

    kind: str
    """Policy, Random or Uncertain; a newer version may write others."""
    policy: str | None = None
    action: str | None = None
    score: float | None = None


class Acted(_Event):
    """A policy that acts on an item; listed also where no policy asked for a review."""

    name: str
    action: str


class ActedBriefly(_Event):
    """The same, of a length that a database's key takes."""

    name: Annotated[Name, _at_most(63)]
    action: Annotated[Name, _at_most(10)]


class Selection(_Event):
    """How an item was chosen, and how probable that was: estimates weigh it by 1/p."""

    strategy: str
    probability: float = Field(gt=0, le=1, allow_inf_nan=False)


class Seen(_Event):
    """Whether score and explanation were visible before the decision."""

    score: bool
    explanation: bool


class Statement(_Event):
    """A statement of reasons, by the names and values of the DSA Transparency Database."""

    model_config = ConfigDict(alias_generator=None)

    decision_ground: str | None = None
    category: str | None = None
    automated_detection: Literal["Yes", "No"]
    automated_decision: Literal[
        "AUTOMATED_DECISION_FULLY",
        "AUTOMATED_DECISION_PARTIALLY",
        "AUTOMATED_DECISION_NOT_AUTOMATED",
    ]


class Tool(_Event):
    """The program that a decision was made with."""

    name: str
    version: str


class ReviewRequested(_Event, extra="allow"):
    """`review.requested.v1`: a text to review.

    Unknown fields are kept: a newer version may have added them.
    """

    item: Item
    text: str
    truncated_from: int | None = Field(None, ge=1)
    """Characters of the whole text, where `text` is its beginning alone."""
    author: str | None = None
    context: str | None = None
    reasons: tuple[Reason, ...] = ()
    action: Verdict | None = None
    policies: tuple[Acted, ...] = ()
    flagged: bool = False
    selection: Selection
    hold: bool = False
    blind: bool = False
    label: Label
    scores: dict[Label, Score] = {}
    explanation: dict[str, JsonValue] | None = None
    model: str = ""
    policy_version: str | None = None
    at: Moment
    due: Moment | None = None


class Decision(_Event):
    """`decision.v1`: a decision about an item. Never edited, only superseded."""

    id: Name = Field(max_length=64)
    item: Item
    decision: DecisionName
    labels: dict[str, Share] = {}
    policy: str | None = None
    reason: str | None = None
    note: str | None = None
    selection: Selection | None = None
    action: Verdict | None = None
    flagged: bool = False
    seen: Seen = Seen(score=False, explanation=False)
    actor: Name
    actor_kind: ActorKind
    tool: Tool
    model: str = ""
    policy_version: str | None = None
    text_sha256: str = Field("", alias="textSha256")
    milliseconds: int | None = Field(None, ge=0)
    supersedes: str | None = None
    retracts: str | None = None
    at: Moment
    requested_at: Moment | None = None
    scores: dict[Label, Score] = {}
    appeal: str | None = None
    outcome: Outcome | None = None
    statement_of_reasons: Statement | None = None

    @property
    def judges(self) -> bool:
        """Whether a person says what the text is; until then a blind item hides its score."""
        return bool(self.labels) and self.actor_kind != "Automation"


class Appeal(_Event):
    """`appeal.v1`: a request to review an item again."""

    appeal: Name = Field(max_length=64)
    item: Item
    by: str
    reason: str
    at: Moment


class Count(_Event):
    """Texts with a verdict that are alike."""

    at: Moment
    """The beginning of the ten minutes of their messages' time."""
    flagged: bool
    policies: tuple[ActedBriefly, ...] = Field((), max_length=16)
    policy_version: str | None = Field(None, max_length=100, pattern=r"^[^\x00]*$")
    texts: int = Field(ge=1, le=10**12)
    scores: float = Field(ge=0, le=10**12, allow_inf_nan=False)
    """The sum of the scores that decided."""


class Counted(_Event):
    """`verdicts.counted.v1`: all texts with a verdict in a range of offsets of the input."""

    source: Name = Field(max_length=300)
    """Topic, a slash, partition."""
    begin: int = Field(alias="from", ge=0, lt=2**63)
    until: int = Field(ge=1, lt=2**63)
    """The first offset behind the range."""
    model: Name = Field(max_length=200)
    counts: tuple[Count, ...]

    @model_validator(mode="after")
    def _has_offsets(self) -> Counted:
        if self.until <= self.begin:
            raise ValueError("until must be greater than from")
        return self


Event = ReviewRequested | Decision | Appeal | Counted
_TYPES: Final[Mapping[str, type[Event]]] = {
    REVIEW_REQUESTED: ReviewRequested,
    DECISION: Decision,
    APPEAL: Appeal,
    COUNTED: Counted,
}


def parse(ce_type: str, value: bytes) -> Event | None:
    """Return the event, or None for a type of a newer version.

    Raises:
        DataError: the value is not JSON or lacks a field; no value of it is repeated.
    """
    kind = _TYPES.get(ce_type)
    if kind is None:
        return None
    event: Event
    try:
        event = kind.model_validate_json(value)
    except ValidationError as error:
        message = f"a {ce_type} can't be read: {' '.join(sentences(error))}"
        raise DataError(message) from None
    why = _unusable(event)
    if why is not None:
        raise DataError(f"a {ce_type} can't be used: {why}.")
    return event


_MOST_LABELS: Final = 1_000
"""Each has its own histogram of scores, and a choice on the page of policies."""
_LEAST_PROBABILITY: Final = 1e-12
"""Squares of 1/p are added up."""


def _unusable(event: Event) -> str | None:
    """Return why an event that can be read is not taken in; older versions took in more."""
    if not isinstance(event, ReviewRequested):
        return None
    item = event.item
    if not item.isprintable() or item != item.strip():  # no form and no address could name it
        return "its item holds characters that can't be seen, or begins or ends with a space"
    if event.selection.probability < _LEAST_PROBABILITY:
        return f"its probability is less than {_LEAST_PROBABILITY:g}"
    if len(event.scores) > _MOST_LABELS:
        return f"it has scores of more than {_MOST_LABELS:,} labels"
    return None


def header(headers: Iterable[tuple[str, bytes | None]], name: str) -> str:
    """Return one header of a Kafka message, such as `ce_type`; empty if it is not there."""
    found = [value for key, value in headers if key == name and value is not None]
    return found[-1].decode(errors="replace") if found else ""


def headers(ce_type: str, ce_id: str, source: str, at: datetime) -> Headers:
    """Return the CloudEvents headers of Kafka's binary mode.

    Args:
        ce_type: the event's type.
        ce_id: unique with the source: a decision's own id.
        source: the writer, such as `/textmoderation/NAMESPACE/NAME/console`.
        at: when it happened.
    """
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", ce_type.encode()),
        ("ce_id", ce_id.encode()),
        ("ce_source", source.encode()),
        ("ce_time", at.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()),
        ("content-type", b"application/json"),
    ]


def labels_of(decision: DecisionName, label: str) -> dict[str, float]:
    """Return the labels that a decision implies; Skip, Unsure and Escalate imply none."""
    if decision == "Approve":
        return {label: 0.0}
    return {label: 1.0} if decision == "Remove" else {}


def plain(event: BaseModel) -> dict[str, Any]:
    """Return the event as JSON's own values, by the names of the contract."""
    return event.model_dump(mode="json", by_alias=True, exclude_none=True)
