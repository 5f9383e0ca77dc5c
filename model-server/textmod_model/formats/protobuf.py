"""Protobuf values by a schema of the registry.

A schema is the text of a .proto file, which protoc compiles (grpcio-tools brings one along), or a
descriptor in base64, as Confluent's Python serializer registers it and some registries return it.
Messages are read by the dynamic classes of the protobuf library.
"""

import base64
import binascii
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from confluent_kafka.schema_registry import Schema, dual_schema_id_deserializer
from confluent_kafka.schema_registry.serde import SchemaId
from confluent_kafka.serialization import SerializationContext
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from textmod_model.formats.message import RefusedError

MAIN = "schema.proto"
MOST_REFERENCES = 100

Referenced = Callable[[str, int], Schema]
"""The schema of a subject and version."""

Read = Callable[[bytes, SerializationContext], object]


def reader(
    schema: Schema, referenced: Referenced
) -> Callable[[bytes, SerializationContext], object]:
    """Return a function that decodes a framed value; raises RefusedError for a bad schema."""
    described = _descriptor(schema.schema_str or "")
    if described is None:
        file = _compile(schema, referenced)
    else:
        pool = DescriptorPool()
        _add(pool, described, schema, referenced)
        file = pool.FindFileByName(described.name)
    classes: dict[tuple[int, ...], Any] = {}

    def read(raw: bytes, context: SerializationContext) -> object:
        found = SchemaId("PROTOBUF")
        payload = dual_schema_id_deserializer(raw, context, found)
        indexes = tuple(found.message_indexes or [0])
        if indexes not in classes:
            classes[indexes] = GetMessageClass(_message(file, indexes))
        message = classes[indexes].FromString(payload.read())
        return MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )

    return read


def _message(file: FileDescriptor, indexes: tuple[int, ...]) -> Descriptor:
    """Return the message that Confluent's index path names: the n-th of the file, then nested."""
    top = list(file.message_types_by_name.values())
    found: Descriptor = top[_index(indexes[0], top)]
    for number in indexes[1:]:
        nested = list(found.nested_types)
        found = nested[_index(number, nested)]
    return found


def _index(number: int, among: list[Any]) -> int:
    if not 0 <= number < len(among):
        raise RefusedError("SchemaMismatch", "the schema has no message with the value's index.")
    return number


def _descriptor(text: str) -> FileDescriptorProto | None:
    """Return the descriptor that a schema in base64 holds; None for the text of a .proto file."""
    try:
        return FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, DecodeError):
        return None


def _add(
    pool: DescriptorPool, file: FileDescriptorProto, schema: Schema, referenced: Referenced
) -> None:
    """Add a descriptor to a pool, what it imports first; raises RefusedError."""
    imported = {reference.name: reference for reference in schema.references or []}
    for name in file.dependency:
        reference = imported.get(name)
        if reference is None or reference.subject is None or reference.version is None:
            try:
                known = descriptor_pool.Default().FindFileByName(name)
            except KeyError:
                message = "the registry's Protobuf schema imports a file that it does not refer to."
                raise RefusedError("SchemaInvalid", message) from None
            part = FileDescriptorProto()
            known.CopyToProto(part)
            pool.Add(part)
            continue
        found = referenced(reference.subject, reference.version)
        part_or_none = _descriptor(found.schema_str or "")
        if part_or_none is None:
            message = "the registry's Protobuf schema mixes descriptors and texts."
            raise RefusedError("SchemaInvalid", message)
        part_or_none.name = name
        _add(pool, part_or_none, found, referenced)
    pool.Add(file)


def _compile(schema: Schema, referenced: Referenced) -> FileDescriptor:
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {MAIN: schema.schema_str or ""}
        _collect(schema, referenced, sources)
        for path, text in sources.items():
            _write(folder, path, text)
        output = folder / "descriptors"
        well_known = files("grpc_tools") / "_proto"
        arguments = [f"-I{folder}", f"-I{well_known}", "--include_imports"]
        code = protoc.main(["protoc", *arguments, f"--descriptor_set_out={output}", MAIN])
        if code != 0:
            raise RefusedError("SchemaInvalid", "the registry's Protobuf schema can't be compiled.")
        described = FileDescriptorSet.FromString(output.read_bytes())
    pool = DescriptorPool()
    for file in described.file:  # imports come before what imports them
        pool.Add(file)
    return pool.FindFileByName(MAIN)


def _collect(schema: Schema, referenced: Referenced, sources: dict[str, str]) -> None:
    """Add what a schema imports, by the name that it imports it by."""
    for reference in schema.references or []:
        name, subject, version = reference.name, reference.subject, reference.version
        if name is None or subject is None or version is None or name in sources:
            continue
        if len(sources) > MOST_REFERENCES:
            raise RefusedError("SchemaInvalid", "the registry's Protobuf schema imports too much.")
        found = referenced(subject, version)
        sources[name] = found.schema_str or ""
        _collect(found, referenced, sources)


def _write(folder: Path, name: str, text: str) -> None:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise RefusedError("SchemaInvalid", "the registry's Protobuf schema imports an odd path.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
