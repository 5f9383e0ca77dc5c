"""Avro: the flat verdict as an Avro record, framed for the schema registry."""

from typing import Any

from textmod_model.formats.encoders.verdict import framed_encoder
from textmod_model.formats.message import Encoder, OutputFormat, Writing
from textmod_model.formats.payload import dumps

FIELDS = {
    "id": "string",
    "label": "string",
    "score": "double",
    "flagged": "boolean",
    "threshold": "double",
    "model": "string",
}


def _field(name: str, kind: object, *default: object) -> dict[str, Any]:
    """Return a field, with a default if one is given."""
    field = {"name": name, "type": kind}
    return field | {"default": default[0]} if default else field


def _optional(name: str, kind: object) -> dict[str, Any]:
    return _field(name, ["null", kind], None)


def _record(name: str, *fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def _list(name: str, items: object) -> dict[str, Any]:
    return _field(name, {"type": "array", "items": items}, [])


_POLICY = _record(
    "PolicyVerdict",
    _field("name", "string"),
    _field("action", "string"),
    _field("label", "string"),
    _field("score", "double"),
    _field("mode", "string", "Enforce"),
    _list("overBudget", "int"),
)
_SPAN = _record("Span", _field("begin", "int"), _field("end", "int"), _field("weight", "double"))
_FEATURE = _record("Feature", _field("name", "string"), _field("weight", "double"))
_EXPLANATION = _record(
    "Explanation",
    _optional("omitted", "string"),
    _field("offsets", "string", "CodePoint"),
    _list("spans", _SPAN),
    _list("features", _FEATURE),
    _field("others", "double", 0.0),
    _optional("base", "double"),
    _optional("total", "double"),
)
_ACTION_FIELDS = [
    _optional("action", "string"),
    _optional("hold", "boolean"),
    _list("policies", _POLICY),
    _optional("policyVersion", "string"),
    _field("scores", {"type": "map", "values": "double"}, {}),
    _optional("explanation", _EXPLANATION),
]
"""What policies add. All have defaults, so that a reader of either schema reads both."""


def _schema(more: list[dict[str, Any]]) -> str:
    fields = [_field(name, kind) for name, kind in FIELDS.items()]
    return dumps(
        {
            "type": "record",
            "name": "Verdict",
            "namespace": "dev.textmoderation",
            "fields": fields + more,
        }
    ).decode()


SCHEMA = _schema([])
DECIDED_SCHEMA = _schema(_ACTION_FIELDS)
"""Of verdicts with an action."""


def encoder(writing: Writing) -> Encoder:
    """Return the encoder; the schema is registered with the first verdict."""
    return framed_encoder(writing, "AVRO", DECIDED_SCHEMA if writing.decided else SCHEMA)


FORMAT = OutputFormat("Avro", "application/vnd.confluent.avro", encoder, needs_registry=True)
