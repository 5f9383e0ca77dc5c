"""SchemaRegistry: values framed for a schema registry: Avro, Protobuf or JSON Schema."""

from collections.abc import Sequence

from textmod_model.formats.framing import PREFIX_BYTES, VALUE_SCHEMA_HEADER
from textmod_model.formats.message import (
    Decoded,
    Headers,
    InputFormat,
    Parse,
    Reading,
    RefusedError,
    Schemas,
)
from textmod_model.formats.payload import document_text


def parser(reading: Reading) -> Parse:
    """Return the parser for the registry and the path of the text."""
    path, schemas = reading.path, reading.schemas
    if schemas is None:
        message = "the format SchemaRegistry needs a registry; the settings see to it"
        raise ValueError(message)

    def parse(raw: bytes, headers: Headers | None) -> Decoded:
        prefixed = raw[:1] == b"\0" and len(raw) > PREFIX_BYTES
        if not prefixed and not any(name == VALUE_SCHEMA_HEADER for name, _ in headers or []):
            message = "the message is not framed for a schema registry."
            raise RefusedError("NotFramed", message)
        return registry_text(schemas, raw, headers, path)

    return parse


def registry_text(
    schemas: Schemas, raw: bytes, headers: Headers | None, path: Sequence[str]
) -> Decoded:
    """Return the text of a framed value: a string, or the field of a record; see `Schemas.read`."""
    document = schemas.read(raw, headers)
    return Decoded((document,)) if isinstance(document, str) else document_text(document, path)


FORMAT = InputFormat("SchemaRegistry", None, parser, needs_registry=True)
