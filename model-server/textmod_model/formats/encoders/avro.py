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
_ACTION_FIELDS: list[dict[str, Any]] = [
    {"name": "action", "type": ["null", "string"], "default": None},
    {"name": "hold", "type": ["null", "boolean"], "default": None},
    {
        "name": "policies",
        "type": {
            "type": "array",
            "items": {
                "type": "record",
                "name": "PolicyVerdict",
                "fields": [
                    {"name": "name", "type": "string"},
                    {"name": "action", "type": "string"},
                    {"name": "label", "type": "string"},
                    {"name": "score", "type": "double"},
                    {"name": "mode", "type": "string", "default": "Enforce"},
                    {
                        "name": "overBudget",
                        "type": {"type": "array", "items": "int"},
                        "default": [],
                    },
                ],
            },
        },
        "default": [],
    },
    {"name": "policyVersion", "type": ["null", "string"], "default": None},
    {"name": "scores", "type": {"type": "map", "values": "double"}, "default": {}},
    {
        "name": "explanation",
        "type": [
            "null",
            {
                "type": "record",
                "name": "Explanation",
                "fields": [
                    {"name": "omitted", "type": ["null", "string"], "default": None},
                    {"name": "offsets", "type": "string", "default": "CodePoint"},
                    {
                        "name": "spans",
                        "type": {
                            "type": "array",
                            "items": {
                                "type": "record",
                                "name": "Span",
                                "fields": [
                                    {"name": "begin", "type": "int"},
                                    {"name": "end", "type": "int"},
                                    {"name": "weight", "type": "double"},
                                ],
                            },
                        },
                        "default": [],
                    },
                    {
                        "name": "features",
                        "type": {
                            "type": "array",
                            "items": {
                                "type": "record",
                                "name": "Feature",
                                "fields": [
                                    {"name": "name", "type": "string"},
                                    {"name": "weight", "type": "double"},
                                ],
                            },
                        },
                        "default": [],
                    },
                    {"name": "others", "type": "double", "default": 0.0},
                    {"name": "base", "type": ["null", "double"], "default": None},
                    {"name": "total", "type": ["null", "double"], "default": None},
                ],
            },
        ],
        "default": None,
    },
]
"""What policies add. All have defaults, so that a reader of either schema reads both."""


def _schema(more: list[dict[str, Any]]) -> str:
    fields = [{"name": name, "type": kind} for name, kind in FIELDS.items()]
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
