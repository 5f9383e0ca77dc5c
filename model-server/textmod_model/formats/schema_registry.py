"""A schema registry with Confluent's API: framed values to objects, and verdicts to framed values.

The door to confluent_kafka.schema_registry and its (de)serializers. They take 0.2 s to import, so
only a stream with a registry imports this module. Schemas and readers are kept by id; a registry
that does not answer raises RegistryUnavailable, and the stream waits.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from confluent_kafka.schema_registry import (
    Schema,
    SchemaRegistryClient,
    dual_schema_id_deserializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.serde import SchemaId
from confluent_kafka.serialization import MessageField, SerializationContext

from textmod_model.formats.framing import schema_id
from textmod_model.formats.message import Headers, RefusedError, RegistryUnavailable
from textmod_model.formats.payload import dumps, parse_json

REQUEST_SECONDS = 5.0
UNKNOWN_SECONDS = 30.0
"""How long an id that the registry does not know is not asked for again."""
MOST_UNKNOWN = 10_000
SCHEMA_NOT_FOUND = 40403
INCOMPATIBLE = 409

Answer = TypeVar("Answer")
Read = Callable[[bytes, SerializationContext], object]


def open_client(
    url: str, username: str | None, password: str | None, ca_file: str | None
) -> SchemaRegistryClient:
    """Return a client; it connects at its first request."""
    options: dict[str, Any] = {"url": url, "timeout": REQUEST_SECONDS, "max.retries": 0}
    if username is not None:
        options["basic.auth.user.info"] = f"{username}:{password or ''}"
    if ca_file is not None:
        options["ssl.ca.location"] = ca_file
    return SchemaRegistryClient(options)


class SchemaRegistry:
    """Schemas of one registry, for one input and one output topic. Use from one thread."""

    def __init__(
        self,
        client: SchemaRegistryClient,
        input_topic: str,
        output_topic: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._input_topic = input_topic
        self._output = SerializationContext(output_topic, MessageField.VALUE, [])
        self._subject = f"{output_topic}-value"
        self._clock = clock
        self._readers: dict[object, Read] = {}
        self._unknown: dict[object, float] = {}

    def read(self, raw: bytes, headers: Headers | None) -> object:
        """Decode a framed value to objects; see `formats.message.Schemas`."""
        context = SerializationContext(self._input_topic, MessageField.VALUE, headers)
        key = raw[1:5] if raw[:1] == b"\0" else _guid(raw, context)
        reader = self._readers.get(key)
        if reader is None:
            reader = self._readers[key] = self._reader(key, raw)
        try:
            return reader(raw, context)
        except RefusedError:
            raise
        except Exception as error:  # noqa: BLE001 - each deserializer has errors of its own
            if _of_the_registry(error):  # a schema that this one refers to is fetched when needed
                raise self._unavailable(error) from None
            message = f"the value does not fit its schema ({schema_id(raw)})."
            raise RefusedError("SchemaMismatch", message) from None

    def writer(self, kind: str, schema: str) -> Callable[[dict[str, Any]], bytes]:
        """Return a function that frames a document; see `formats.message.Schemas`."""
        serializer: Any = None

        def write(document: dict[str, Any]) -> bytes:
            nonlocal serializer
            if serializer is None:
                self._ask(lambda: self._client.register_schema(self._subject, Schema(schema, kind)))
                serializer = self._serializer(kind, schema)
            try:
                raw: bytes = serializer(document, self._output)
            except Exception:  # noqa: BLE001 - the schema is registered, so it is the document
                message = "the verdict does not fit its schema."
                raise RefusedError("WrongSchema", message) from None
            return raw

        return write

    def _serializer(self, kind: str, schema: str) -> Callable[..., Any]:
        options = {"subject.name.strategy": lambda _context, _name: self._subject}
        if kind == "AVRO":
            return AvroSerializer(self._client, schema, conf=options)  # type: ignore[no-any-return]
        return JSONSerializer(  # type: ignore[no-any-return]
            schema,
            self._client,
            conf=options | {"validate": False},
            json_encode=lambda document: dumps(document).decode(),
        )

    def _reader(self, key: object, raw: bytes) -> Read:
        """Fetch a schema and return a function that reads by it."""
        if self._unknown.get(key, 0.0) > self._clock():
            raise _unknown(raw)
        fetch = (
            partial(self._client.get_schema, int.from_bytes(key, "big"))
            if isinstance(key, bytes)
            else partial(self._client.get_schema_by_guid, str(key))
        )
        try:
            schema: Schema = self._ask(fetch)
        except SchemaRegistryError:
            if len(self._unknown) >= MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown[key] = self._clock() + UNKNOWN_SECONDS
            raise _unknown(raw) from None
        # The client's own strategies ask the registry for subjects; reading needs none.
        options = {"subject.name.strategy": lambda _context, _name: None}
        if schema.schema_type == "JSON":
            options |= {"validate": False}  # type: ignore[dict-item]
            return JSONDeserializer(  # type: ignore[no-any-return]
                None, schema_registry_client=self._client, conf=options, json_decode=_loads
            )
        if schema.schema_type == "PROTOBUF":
            return self._protobuf(schema)
        return AvroDeserializer(self._client, conf=options)  # type: ignore[no-any-return]

    def _protobuf(self, schema: Schema) -> Read:
        from textmod_model.formats import protobuf

        try:
            return protobuf.reader(schema, self._referenced)
        except RefusedError as error:
            refused = error.refused

        def refuse(_raw: bytes, _context: SerializationContext) -> object:
            raise RefusedError(*refused)

        return refuse

    def _referenced(self, subject: str, version: int) -> Schema:
        schema: Schema = self._ask(lambda: self._client.get_version(subject, version)).schema
        return schema

    def _ask(self, request: Callable[[], Answer]) -> Answer:
        """Ask the registry.

        Raises SchemaRegistryError if there is no such schema, RegistryUnavailable for anything else
        that goes wrong: it is not about the message.
        """
        try:
            return request()
        except Exception as error:
            if isinstance(error, SchemaRegistryError) and error.error_code == SCHEMA_NOT_FOUND:
                raise
            raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> RegistryUnavailable:
        if isinstance(error, SchemaRegistryError):
            return RegistryUnavailable(_refusal(error, self._subject))
        return RegistryUnavailable(
            f"The schema registry can't be reached ({type(error).__name__}): check"
            " kafka.schemaRegistry."
        )


def _of_the_registry(error: Exception) -> bool:
    """Tell whether an error is the registry's or its HTTP client's, not the value's."""
    return isinstance(error, SchemaRegistryError | OSError) or type(error).__module__.startswith(
        "httpx"
    )


def _guid(raw: bytes, context: SerializationContext) -> object:
    """Return the GUID in the header; raises RefusedError if there is none."""
    found = SchemaId("")
    try:
        dual_schema_id_deserializer(raw, context, found)
    except Exception:  # noqa: BLE001 - malformed headers fail in many ways
        message = "the message is not framed for a schema registry."
        raise RefusedError("NotFramed", message) from None
    return found.guid


def _unknown(raw: bytes) -> RefusedError:
    return RefusedError("UnknownSchema", f"the schema registry does not know {schema_id(raw)}.")


def _refusal(error: SchemaRegistryError, subject: str) -> str:
    if error.http_status_code == INCOMPATIBLE:
        return (
            f"The schema registry refuses the verdict's schema for subject {subject}: it is not"
            " compatible with the registered one. Use another output topic or delete the subject."
        )
    return (
        f"The schema registry answers {error.http_status_code}: check kafka.schemaRegistry (url,"
        " secretRef)."
    )


def _loads(raw: bytes | str) -> object:
    return parse_json(raw if isinstance(raw, bytes) else raw.encode())
