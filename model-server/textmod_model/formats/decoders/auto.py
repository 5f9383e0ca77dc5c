"""Auto: detected for each message.

A JSON object is read as one: by the text field if it is there, else by Seldon's payloads. A value
that is framed for a schema registry is read by its schema. Everything else in UTF-8 is a text: a
comment that begins with a brace is a comment, and so are "[deleted]" and "42".
"""

from codecs import BOM_UTF8

from textmod_model.formats.decoders.schema_registry import registry_text
from textmod_model.formats.decoders.seldon import SELDON_PAYLOADS, seldon_request
from textmod_model.formats.framing import framed, schema_id
from textmod_model.formats.message import (
    Decoded,
    Headers,
    InputFormat,
    Parse,
    Reading,
    RefusedError,
)
from textmod_model.formats.payload import MISSING, document_text, find, parse_json, plain_text


def parser(reading: Reading) -> Parse:
    """Return the parser for the path of the text and the registry, if there is one."""
    path, schemas = reading.path, reading.schemas

    def parse(raw: bytes, headers: Headers | None) -> Decoded:
        if framed(raw, headers):
            if schemas is None:
                raise RefusedError(
                    "SchemaRegistryNotSet",
                    f"the message is framed for a schema registry ({schema_id(raw)}) and"
                    " kafka.schemaRegistry is not set.",
                )
            return registry_text(schemas, raw, headers, path)
        if not raw.removeprefix(BOM_UTF8).lstrip(b" \t\r\n").startswith(b"{"):
            return Decoded((plain_text(raw),))
        try:
            document = parse_json(raw)
        except RefusedError as error:
            if error.refused.reason != "NotJson":
                raise
            return Decoded((plain_text(raw),))
        seldon = isinstance(document, dict) and not SELDON_PAYLOADS.isdisjoint(document)
        if seldon and find(document, path) is MISSING:
            return seldon_request(document, path)
        return document_text(document, path)

    return parse


FORMAT = InputFormat("Auto", None, parser, takes_text=True)
