"""JsonSchema: the flat verdict as JSON, framed for the schema registry.

The schema is open: what policies add is written and not named in it. Registries take a property
that is added to an open schema for incompatible, and some do so even if the property has no type.
"""

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
SCHEMA = dumps(
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Verdict",
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in PROPERTIES.items()},
        "required": list(PROPERTIES),
    }
).decode()


def encoder(writing: Writing) -> Encoder:
    """Return the encoder; the schema is registered with the first verdict."""
    return framed_encoder(writing, "JSON", SCHEMA)


FORMAT = OutputFormat("JsonSchema", "application/vnd.confluent.json", encoder, needs_registry=True)
