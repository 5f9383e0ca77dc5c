"""JsonSchema: the flat verdict as JSON, framed for the schema registry."""

from typing import Any

from textmod_model.formats.encoders.verdict import framed_encoder
from textmod_model.formats.message import Encoder, OutputFormat, Writing
from textmod_model.formats.payload import dumps

PROPERTIES = {
    "id": "string",
    "label": "string",
    "score": "number",
    "flagged": "boolean",
    "threshold": "number",
    "model": "string",
}
ACTION_PROPERTIES = {
    "action": "Allow, Review or Remove: the strictest that a policy in force asks for.",
    "hold": "Whether a text under review is kept back until somebody looked at it.",
    "policies": "What each policy says: name, action, label, score, mode.",
    "policyVersion": "The digest of the policies that decided.",
    "scores": "The probability of each label.",
    "explanation": "Spans of the text and their weights, for the actions that ask for it.",
}
"""What policies add. The properties have no type: a registry takes a typed one for incompatible,
since data of the first schema, which is open, might have that name with another type."""


def _schema(more: dict[str, Any]) -> str:
    return dumps(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": "Verdict",
            "type": "object",
            "properties": {name: {"type": kind} for name, kind in PROPERTIES.items()} | more,
            "required": list(PROPERTIES),
        }
    ).decode()


SCHEMA = _schema({})
DECIDED_SCHEMA = _schema({name: {"description": text} for name, text in ACTION_PROPERTIES.items()})
"""Of verdicts with an action."""


def encoder(writing: Writing) -> Encoder:
    """Return the encoder; the schema is registered with the first verdict."""
    return framed_encoder(writing, "JSON", DECIDED_SCHEMA if writing.decided else SCHEMA)


FORMAT = OutputFormat("JsonSchema", "application/vnd.confluent.json", encoder, needs_registry=True)
