"""Targets of fuzzing: what a stream reads besides messages, and what registries and pods answer."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shlex
from collections import Counter
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

from faults.fuzz_targets import scratch, split, target

AVRO: Final = json.dumps(
    {
        "type": "record",
        "name": "Comment",
        "fields": [
            {"name": "body", "type": ["null", "string"]},
            {"name": "votes", "type": {"type": "array", "items": "long"}},
            {"name": "seen", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        ],
    }
)
JSON: Final = json.dumps({"title": "Comment", "type": "object"})
PROTO: Final = """
syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Comment {
  message Inner { repeated string body = 1; }
  string body = 1;
  map<string, Inner> inner = 2;
  google.protobuf.Timestamp seen = 3;
  oneof vote { int64 up = 4; double down = 5; }
}
"""


@cache
def _registry() -> tuple[Any, list[int]]:
    """A registry with a schema of each kind, and their ids."""
    from confluent_kafka.schema_registry import Schema

    client = _client()
    schemas = [Schema(AVRO, "AVRO"), Schema(JSON, "JSON"), Schema(PROTO, "PROTOBUF")]
    ids = [client.register_schema(f"s{number}", one) for number, one in enumerate(schemas)]
    return client, ids


def _client() -> Any:  # noqa: ANN401 - untyped
    from confluent_kafka.schema_registry._sync.mock_schema_registry_client import (
        MockSchemaRegistryClient,
    )

    return MockSchemaRegistryClient({"url": "mock://fuzz"})


def _read(client: Any, number: int, value: bytes) -> None:  # noqa: ANN401 - untyped
    """A framed value is decoded or refused; the registry was there, so it is never blamed."""
    from textmod_model.formats import catalog
    from textmod_model.formats.message import Decoded, Reading, Refused
    from textmod_model.formats.schema_registry import SchemaRegistry

    schemas = SchemaRegistry(client, "in", "out")
    decode = catalog.decoder("SchemaRegistry", Reading(("body",), schemas, 1 << 20))
    found = decode(b"\0" + number.to_bytes(4, "big") + value, [])
    assert isinstance(found, Decoded | Refused)


@target
def registry_value(data: bytes) -> None:
    """A value framed by a known schema; the first byte chooses Avro, JSON Schema or Protobuf."""
    client, ids = _registry()
    _read(client, ids[data[0] % len(ids) if data else 0], data[1:])


@target
def registry_schema(data: bytes) -> None:
    """A schema that anybody may have registered, of the kind in the first line, and a value."""
    from confluent_kafka.schema_registry import Schema

    kind, rest = split(data)
    schema, _, value = rest.partition(b"\n--\n")
    kinds = {b"a": "AVRO", b"j": "JSON"}
    client = _client()
    text = schema.decode(errors="replace")
    number = client.register_schema("s", Schema(text, kinds.get(kind[:1], "PROTOBUF")))
    _read(client, number, value)


@target
def cloudevents(data: bytes) -> None:
    """A value that is announced as a CloudEvent in JSON is decoded or refused, in every format."""
    from textmod_model.formats import catalog
    from textmod_model.formats.message import Decoded, Reading, Refused

    for name in ("Auto", "Json", "Seldon", "Text"):
        decode = catalog.decoder(name, Reading(("body",), None, 1 << 20))
        found = decode(data, [("Content-Type", b"application/cloudevents+json; charset=utf-8")])
        assert isinstance(found, Decoded | Refused)
        assert not isinstance(found, Decoded) or found.texts


@target
def policies_file(data: bytes) -> None:
    """A file of policies is refused in a sentence, or decides every score."""
    import numpy as np

    from textmod_model.policies.evaluate import Evaluator
    from textmod_model.policies.solved import PoliciesInvalid, parse

    for versioned in (True, False):
        with contextlib.suppress(PoliciesInvalid):
            found = parse(data, versioned=versioned)
            evaluator = Evaluator(found, ("removed",))
            assert evaluator.policies == found
            assert len(found.policies) <= 16
            np.testing.assert_equal(parse(data, versioned=versioned), found)


@target
def artifact_file(data: bytes) -> None:
    """A file of an artifact with the right digests; the first line is its name."""
    from textmod_model import artifact
    from textmod_model.scoring import onnx_model

    first, content = split(data)
    names = (artifact.COMPILED, artifact.MODEL, onnx_model.FILE)
    name = names[first[0] % len(names) if first else 0]
    folder = scratch() / "artifact"
    folder.mkdir(exist_ok=True)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    kind = "onnx" if name == onnx_model.FILE else "pipeline"
    made = artifact.Manifest(
        name="fuzz", version="1", recipe="seed", kind=kind, threshold=0.5, metrics={},
        training_data_digest=digest, training_rows=1, versions={}, files={name: digest},
    )  # fmt: skip
    (folder / name).write_bytes(content)
    loaded = artifact.Artifact(folder, made)
    with contextlib.suppress(artifact.ArtifactError):
        if name == artifact.COMPILED:
            loaded.compiled()
        elif name == artifact.MODEL:
            loaded.pipeline()
        else:
            onnx_model.load(loaded)


@target
def redrive_letter(data: bytes) -> None:
    """A record of the dead-letter topic, whoever wrote it: headers as lines, then the value."""
    from textmod_model.stream import redrive

    head, gap, value = data.partition(b"\n\n")
    headers: list[tuple[str, bytes | None]] = []
    for line in head.split(b"\n"):
        name, given, content = line.partition(b"=")
        headers.append((name.decode(errors="replace"), content if given else None))
    message: Any = SimpleNamespace(
        topic=lambda: "dead", partition=lambda: 0, offset=lambda: 7, key=lambda: b"k",
        value=lambda: value if gap else None, headers=lambda: headers,
    )  # fmt: skip
    letter = redrive.Letter(message)
    report = redrive.Report()
    chosen, progress = redrive.choose([letter], redrive.Plan(), {}, report)
    assert progress
    assert len(chosen) + sum(report.left.values()) == 1
    assert isinstance(letter.topic(), str)
    assert 0 <= (letter.partition() or 0) < 1 << 63
    assert 0 <= (letter.offset() or 0) < 1 << 63
    assert letter.reason.isascii() and letter.reason.isalnum()
    letter.timestamp()
    [sent] = redrive.to_input("in")([letter])
    names = Counter(name.lower() for name, _ in sent.headers)
    assert names["textmod.redrive.count"] == 1
    assert not [name for name in names if name.startswith("textmod.error.")]


@target
def redrive_arguments(data: bytes) -> None:
    """Any arguments are taken or refused; without brokers nothing more happens."""
    import argparse

    from textmod_model.serving import redrive_cli

    parser = argparse.ArgumentParser(exit_on_error=False)
    redrive_cli.add_command(parser.add_subparsers())
    try:
        words = shlex.split(data.decode(errors="replace"))
    except ValueError:
        return
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            args = parser.parse_args(["redrive", *words])
        except (SystemExit, argparse.ArgumentError):
            return
        assert redrive_cli.run(args, {}) != 0


@target
def seldon_call(data: bytes) -> None:
    """A synchronous call in Seldon's protocol; the first line is the content type."""
    from textmod_model.formats.message import RefusedError
    from textmod_model.formats.payload import texts_of
    from textmod_model.serving import rest, seldon_feedback

    kind, body = split(data)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "query_string": kind.partition(b"?")[2],
        "headers": [(b"content-type", kind.partition(b"?")[0])],
    }
    with contextlib.suppress(RefusedError):
        document = rest._document(rest.Request(scope), body)  # noqa: SLF001 - before any server
        with contextlib.suppress(RefusedError):
            json.dumps(seldon_feedback.answer(document))
        assert all(isinstance(text, str) for text in texts_of(document))


# --- the operator ---------------------------------------------------------------------------------


@target
def model_answer(data: bytes) -> None:
    """What a pod says of its model is read, or is no answer."""
    from textmod_operator.policies.model import answered

    with contextlib.suppress(ValueError, RecursionError):
        document: Any = json.loads(data)
        with contextlib.suppress(ValueError):
            assert len(answered(document).error or "") <= 300


@target
def console_answer(data: bytes) -> None:
    """What a console says of its figures is read, or is no answer."""
    from textmod_operator.conditions import measured_of
    from textmod_operator.policies import evidence_of

    with contextlib.suppress(ValueError, RecursionError):
        document: Any = json.loads(data)
        for read in (measured_of, evidence_of):
            with contextlib.suppress(ValueError):
                read(document)


@target
def written_policies(data: bytes) -> None:
    """What stands in a ConfigMap that somebody may have changed has a version, or none."""
    from textmod_operator.policies.solved import Solution

    Solution.version_in(data.decode(errors="replace"))
