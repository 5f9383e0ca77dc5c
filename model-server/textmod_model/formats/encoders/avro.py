"""Avro: the flat verdict as an Avro record, framed for the schema registry."""

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
SCHEMA = dumps(
    {
        "type": "record",
        "name": "Verdict",
        "namespace": "dev.textmoderation",
        "fields": [{"name": name, "type": kind} for name, kind in FIELDS.items()],
    }
).decode()


def encoder(writing: Writing) -> Encoder:
    """Return the encoder; the schema is registered with the first verdict."""
    return framed_encoder(writing, "AVRO", SCHEMA)


FORMAT = OutputFormat("Avro", "application/vnd.confluent.avro", encoder, needs_registry=True)
