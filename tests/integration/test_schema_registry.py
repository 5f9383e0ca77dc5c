"""Values framed by Confluent's own serializers, schemas in a real registry (Apicurio)."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from policy_sets import raw

from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.processes import free_port
from textmod_dev.schema_registry import SchemaRegistry as Registry
from textmod_model.formats import catalog
from textmod_model.formats.message import (
    Decoded,
    Reading,
    RegistryUnavailable,
    Verdicts,
    Writing,
)
from textmod_model.formats.schema_registry import SchemaRegistry, open_client
from textmod_model.policies.evaluate import Evaluator
from textmod_model.policies.solved import parse

pytestmark = pytest.mark.integration

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
AVRO = json.dumps(
    {
        "type": "record",
        "name": "Comment",
        "fields": [
            {"name": "id", "type": "string"},
            {
                "name": "post",
                "type": {
                    "type": "record",
                    "name": "Post",
                    "fields": [
                        {"name": "body", "type": ["null", "string"]},
                        {
                            "name": "seen",
                            "type": {"type": "long", "logicalType": "timestamp-millis"},
                        },
                    ],
                },
            },
        ],
    }
)
JSON = json.dumps({"title": "Comment", "type": "object", "properties": {"id": {"type": "string"}}})
PROTO = """
syntax = "proto3";
package forum;
import "google/protobuf/timestamp.proto";
import "post.proto";
message Unrelated { int32 n = 1; }
message Comment {
  message Inner { string body = 1; }
  string id = 1;
  Post post = 2;
  google.protobuf.Timestamp seen = 3;
  int64 votes = 4;
}
"""
POST = 'syntax = "proto3"; package forum; message Post { string body = 1; }'
COMMENT = {"id": "c1", "post": {"body": "you fool 🙂", "seen": 1_700_000_000_000}}


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with Registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def opened():
    """Close the clients that a test opened; their sockets would be noticed."""
    clients = []
    yield clients
    for one in clients:
        one.close()


@pytest.fixture(scope="module")
def connect(opened):
    def connect(registry, output_topic="out"):
        client = open_client(registry.url, None, None, None)
        opened.append(client)
        return SchemaRegistry(client, "in", output_topic)

    return connect


@pytest.fixture(scope="module")
def client(registry, opened):
    opened.append(SchemaRegistryClient({"url": registry.url}))
    return opened[-1]


def context(topic="in"):
    return SerializationContext(topic, MessageField.VALUE, [])


def topic_subject(context, _name):
    return f"{context.topic}-value"


CONF = {"subject.name.strategy": topic_subject}


@pytest.fixture
def decoder(registry, connect):
    def decoder(message_format="SchemaRegistry", path="post.body", schemas=None):
        schemas = schemas or connect(registry)
        return catalog.decoder(message_format, Reading(tuple(path.split(".")), schemas))

    return decoder


@pytest.fixture(scope="module")
def avro(client):
    return AvroSerializer(client, AVRO, conf=CONF)(COMMENT, context("avro"))


@pytest.fixture(scope="module")
def proto(client):
    """A value as a Java or Go producer writes it: the schema in the registry is .proto text."""
    client.register_schema("post.proto", Schema(POST, "PROTOBUF"))
    reference = SchemaReference("post.proto", "post.proto", 1)
    number = client.register_schema("proto-value", Schema(PROTO, "PROTOBUF", [reference]))
    body = COMMENT["post"]["body"].encode()
    post = b"\x0a" + bytes([len(body)]) + body
    message = b"\x0a\x02c1" + b"\x12" + bytes([len(post)]) + post
    return b"\0" + number.to_bytes(4, "big") + b"\x02\x02" + message  # indexes: one, the second


@pytest.mark.parametrize("message_format", ["SchemaRegistry", "Auto"])
def test_reads_avro(decoder, avro, message_format):
    decoded = decoder(message_format)(avro, None)
    assert decoded == Decoded(("you fool 🙂",), None, "c1")


@pytest.mark.parametrize("message_format", ["SchemaRegistry", "Auto"])
def test_reads_json_schema(decoder, client, message_format):
    raw = JSONSerializer(JSON, client, conf=CONF)(COMMENT, context("json"))
    decoded = decoder(message_format)(raw, None)
    assert decoded == Decoded(("you fool 🙂",), None, "c1")


@pytest.mark.parametrize("message_format", ["SchemaRegistry", "Auto"])
def test_reads_protobuf_by_the_text_of_its_schema(decoder, proto, message_format):
    assert decoder(message_format)(proto, None) == Decoded(("you fool 🙂",), None, "c1")


def test_reads_what_confluents_protobuf_serializer_writes(decoder, client):
    file = descriptor_pb2.FileDescriptorProto(name="one.proto", package="forum", syntax="proto3")
    field = file.message_type.add(name="Note").field.add(name="body", number=1, type=9, label=1)
    assert field.name == "body"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    note = GetMessageClass(pool.FindMessageTypeByName("forum.Note"))
    serializer = ProtobufSerializer(note, client, {**CONF, "use.deprecated.format": False})
    raw = serializer(note(body="hi"), context("note"))
    assert decoder(path="body")(raw, None) == Decoded(("hi",))


def test_reads_a_schema_that_is_nothing_but_a_string(decoder, client):
    raw = AvroSerializer(client, '"string"', conf=CONF)("hi", context("plain"))
    assert decoder()(raw, None) == Decoded(("hi",))


def test_under_auto_what_is_not_framed_is_read_as_before(decoder):
    decode = decoder("Auto", "body")
    assert decode(b'{"body":"hi"}', None).texts == ("hi",)
    assert decode(b"{{hi", None).texts == ("{{hi",)


def test_dead_letters_say_what_is_wrong(decoder, avro, proto):
    decode = decoder()
    found = {
        "unknown": decode(b"\0\0\1\2\3" + b"hunter2", None),
        "unframed": decode(b'{"body":"hunter2"}', None),
        "short": decode(b"\0\0\0\0\1", None),
        "cut": decode(avro[:9], None),
        "index": decode(proto[:5] + b"\x02\x0c" + proto[7:], None),
        "header": decode(b"hunter2", [("__value_schema_id", b"\1")]),
        "field": decoder(path="post.text")(avro, None),
        "empty": decode(proto[:7] + b"\x0a\x02c1", None),
    }
    assert {name: refused.reason for name, refused in found.items()} == {
        "unknown": "UnknownSchema",
        "unframed": "NotFramed",
        "short": "NotFramed",
        "cut": "SchemaMismatch",
        "index": "SchemaMismatch",
        "header": "NotFramed",
        "field": "NoTextField",
        "empty": "NoTextField",
    }
    assert all("hunter2" not in refused.message for refused in found.values())


VERDICTS = Verdicts(("kept", "removed"), 0.5, "science:1")


@pytest.mark.parametrize("output", ["Avro", "JsonSchema"])
def test_writes_verdicts_that_confluents_deserializer_reads(registry, connect, client, output):
    read = (
        AvroDeserializer(client, conf=CONF)
        if output == "Avro"
        else JSONDeserializer(None, schema_registry_client=client, conf=CONF)
    )
    writer = connect(registry, f"out-{output}")
    encode = catalog.encoder(output, Writing(VERDICTS, writer))
    value = encode(Decoded(("x",), None, 42), [0.75], "in/0/7")
    assert read(value, context(f"out-{output}")) == {
        "id": "42",
        "label": "removed",
        "score": 0.75,
        "flagged": True,
        "threshold": 0.5,
        "model": "science:1",
    }
    assert client.get_versions(f"out-{output}-value") == [1]


@pytest.mark.parametrize("output", ["Avro", "JsonSchema"])
@pytest.mark.parametrize("compatibility", ["BACKWARD", "FULL"])
def test_the_schema_of_verdicts_with_actions_is_compatible_with_the_one_before(
    registry, connect, client, output, compatibility
):
    topic = f"out-{output}-{compatibility}"
    client.set_compatibility(f"{topic}-value", compatibility)
    before = catalog.encoder(output, Writing(VERDICTS, connect(registry, topic)))
    before(Decoded(("x",), None, 42), [0.75], "in/0/7")
    found = parse(raw())
    [ruling] = Evaluator(found, VERDICTS.columns).rule(np.array([0.75]))
    after = catalog.encoder(output, Writing(VERDICTS, connect(registry, topic), decided=True))
    value = after(Decoded(("x",), None, 42), [0.75], "in/0/7", [ruling])
    assert client.get_versions(f"{topic}-value") == ([1, 2] if output == "Avro" else [1])
    read = (
        AvroDeserializer(client, conf=CONF)
        if output == "Avro"
        else JSONDeserializer(None, schema_registry_client=client, conf=CONF)
    )
    verdict = read(value, context(topic))
    assert (verdict["action"], verdict["hold"]) == ("Review", True)
    assert verdict["policyVersion"] == found.version
    assert verdict["scores"] == {"removed": 0.75}
    assert [said["name"] for said in verdict["policies"]] == ["off-topic"]


def test_a_schema_is_asked_for_once_and_an_outage_is_not_the_messages_fault(
    tmp_path, decoder, connect, opened
):
    with Registry(tmp_path) as registry:
        opened.append(SchemaRegistryClient({"url": registry.url}))
        raw = AvroSerializer(opened[-1], AVRO, conf=CONF)(COMMENT, context("avro"))
        known = decoder(schemas=connect(registry))
        assert isinstance(known(raw, None), Decoded)
        registry.stop()
        assert isinstance(known(raw, None), Decoded), "the schema is cached"
        unknowing = decoder(schemas=connect(registry))
        began = time.monotonic()
        with pytest.raises(RegistryUnavailable, match=r"kafka\.schemaRegistry"):
            unknowing(raw, None)
        assert time.monotonic() - began < 10
        encode = catalog.encoder("Avro", Writing(VERDICTS, connect(registry)))
        with pytest.raises(RegistryUnavailable):
            encode(Decoded(("x",)), [0.5], "in/0/1")
        registry.start()
        assert isinstance(encode(Decoded(("x",)), [0.5], "in/0/1"), bytes)


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with KafkaBroker(tmp_path_factory.mktemp("kafka") / "kafka") as running:
        yield running


def test_a_stream_waits_for_its_registry_and_says_so(broker, model, tmp_path, opened):
    """Messages in Avro, verdicts in Avro; the registry is away when the first message comes."""
    topics = {role: f"{role}-registry" for role in ("in", "out", "dead")}
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in topics.values()]).values():
        future.result(30)
    ports = {
        f"PREDICTIVE_UNIT_{name}_SERVICE_PORT": str(free_port())
        for name in ("HTTP", "GRPC", "METRICS")
    }
    ready = f"http://127.0.0.1:{ports['PREDICTIVE_UNIT_METRICS_SERVICE_PORT']}/health/ready"
    with Registry(tmp_path) as registry:
        opened.append(SchemaRegistryClient({"url": registry.url}))
        serializer = AvroSerializer(opened[-1], AVRO, conf=CONF)
        raw = serializer(COMMENT, context(topics["in"]))
        registry.pause()
        environment = os.environ | {
            "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "TEXTMOD_INPUT_TOPIC": topics["in"],
            "TEXTMOD_OUTPUT_TOPIC": topics["out"],
            "TEXTMOD_DEAD_LETTER_TOPIC": topics["dead"],
            "TEXTMOD_CONSUMER_GROUP": "registry",
            "TEXTMOD_MESSAGE_FORMAT": "SchemaRegistry",
            "TEXTMOD_MESSAGE_TEXT_FIELD": "post.body",
            "TEXTMOD_MESSAGE_OUTPUT_FORMAT": "Avro",
            "TEXTMOD_SCHEMA_REGISTRY_URL": registry.url,
            "TEXTMOD_ARTIFACT": str(model),
            "TEXTMOD_BIND_ADDRESS": "127.0.0.1",
            "TEXTMOD_TERMINATION_LOG": os.devnull,
            **ports,
        }
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        producer.produce(topics["in"], raw, b"k")
        producer.flush(30)
        command = [sys.executable, "-m", "textmod_model", "stream"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as worker:
            try:
                until(lambda: "schema registry can't be reached" in answer(ready))
                registry.resume()
                message = first(broker.bootstrap_servers, topics["out"])
                until(lambda: "is loaded" in answer(ready))
            finally:
                registry.resume()
                worker.terminate()
                worker.wait(30)
        opened.append(SchemaRegistryClient({"url": registry.url}))
        verdict = AvroDeserializer(opened[-1], conf=CONF)(message.value(), context(topics["out"]))
    assert verdict["id"] == "c1"
    assert dict(message.headers())["content-type"] == b"application/vnd.confluent.avro"


def answer(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as found:  # noqa: S310 - our own worker
            return found.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()
    except OSError:
        return ""


def until(holds, seconds=90):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def first(bootstrap, topic):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(60)
    consumer.close()
    assert message is not None
    assert message.error() is None
    return message
