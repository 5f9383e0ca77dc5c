"""The JSON API, for programs such as bots, importers and simulated reviewers.

GET  /api/next?skip=ITEM…           the next card, claimed; 204 when there is none
GET  /api/counts                    how much there is to do
GET  /api/items/ITEM                a card with its history
POST /api/items/ITEM/decision       {"decision", "version", "note"?, "reason"?, "policy"?,
                                     "milliseconds"?, "appeal"?, "outcome"?}
POST /api/items/ITEM/release        give the claim back
POST /api/undo                      {"decision": ID}, within ten seconds
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse, Response

from textmod_console.access.person import Permission
from textmod_console.desk import Answer, Card, Entry
from textmod_console.errors import sentences
from textmod_console.events import DecisionName, Outcome
from textmod_console.pages.visit import RefusedError, Visit, is_item
from textmod_console.pages.words import concealed

_MAX_SKIP = 100
_VISIBLE = r"^[!-~]*$"
_HIDDEN = frozenset({"scores", "action", "flagged", "explanation"})


class DecisionBody(BaseModel):
    """The body of a decision."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    decision: DecisionName
    version: int = Field(ge=0, lt=2**62)
    note: str | None = Field(None, max_length=2000)
    reason: str | None = Field(None, max_length=200)
    policy: str | None = Field(None, max_length=253, pattern=_VISIBLE)
    milliseconds: int | None = Field(None, ge=0, le=3_600_000)
    appeal: str | None = Field(None, max_length=64, pattern=_VISIBLE)
    outcome: Outcome | None = None


class UndoBody(BaseModel):
    """The body of an undo."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    decision: Annotated[str, Field(min_length=1, max_length=64, pattern=_VISIBLE)]


Body = TypeVar("Body", DecisionBody, UndoBody)


def next_card(visit: Visit) -> Response:
    """Claim the next card."""
    skip = frozenset(filter(is_item, visit.query.get("skip", [])[-_MAX_SKIP:]))
    card = visit.desk.next_card(visit.name, skip)
    if card is None:
        return Response(status_code=204)
    values = card_json(card)
    if not visit.shows(Permission.SEE_DECISIONS):  # whose they were, and the notes, are the history
        values["decided"] = [
            {name: one[name] for name in ("decision", "at")} for one in values["decided"]
        ]
    return JSONResponse(values)


def counts(visit: Visit) -> Response:
    """Return how much there is to do."""
    return JSONResponse(_json(visit.desk.counts()))


def item(visit: Visit) -> Response:
    """Return a card with its history."""
    name = visit.item(visit.path.get("item"))
    card = visit.desk.card(name, visit.name)
    visit.desk.record(visit.name, "reveal", name)
    history = [_entry(entry, concealed=concealed(card)) for entry in visit.desk.history(name)]
    return JSONResponse(card_json(card) | {"history": history})


def _entry(entry: Entry, *, concealed: bool) -> dict[str, Any]:
    """Return one line of a history; a blind item's score is in none of them."""
    line: dict[str, Any] = _json(entry)
    return line | {"detail": _open(line["detail"]) if concealed else line["detail"]}


def _open(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event without the fields that a concealed item hides."""
    return {name: value for name, value in event.items() if name not in _HIDDEN}


def decide(visit: Visit) -> Response:
    """Take a decision; it answers with the decision's event."""
    name = visit.item(visit.path.get("item"))
    asked = _body(visit, DecisionBody)
    card = visit.desk.card(name, visit.name)
    answer = Answer(
        **asked.model_dump(exclude={"version"}),
        seen_score=card.scores is not None,
        seen_explanation=card.explanation is not None,
    )
    decision = visit.desk.decide(name, visit.name, answer, asked.version)
    event = _json(decision)
    blind = card.blind and concealed(dataclasses.replace(card, decided=(*card.decided, decision)))
    return JSONResponse(_open(event) if blind else event)


def undo(visit: Visit) -> Response:
    """Take a decision back."""
    visit.desk.undo(_body(visit, UndoBody).decision, visit.name)
    return Response(status_code=204)


def release(visit: Visit) -> Response:
    """Give a claim back."""
    visit.desk.release(visit.item(visit.path.get("item")), visit.name)
    return Response(status_code=204)


def card_json(card: Card) -> dict[str, Any]:
    """Return a card as JSON values, named as in the events; a concealed one has no score."""
    values: dict[str, Any] = _json(card)
    if not concealed(card):
        return values
    kinds = [{"kind": reason.kind} for reason in card.reasons]
    decided = [_open(decision) for decision in values["decided"]]
    return _open(values) | {"reasons": kinds, "policies": [], "decided": decided}


def _body(visit: Visit, kind: type[Body]) -> Body:
    try:
        return kind.model_validate(visit.document)
    except ValidationError as error:
        raise RefusedError(422, " ".join(sentences(error))) from None


def _json(value: object) -> Any:  # noqa: ANN401 - what JSON can hold
    """Turn values of the desk into JSON's; a lone surrogate becomes a question mark."""
    if isinstance(value, BaseModel):
        return _json(value.model_dump(by_alias=True, exclude_none=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {_camel(name): _json(part) for name, part in fields.items() if part is not None}
    if isinstance(value, Mapping):
        return {str(name): _json(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_json(part) for part in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
