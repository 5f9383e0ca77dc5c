"""What a topic takes, held against batches as another client builds them."""

import pytest
from confluent_kafka import KafkaError
from fake_kafka import FakeMessage
from hypothesis import given
from hypothesis import strategies as some
from kafka.record.default_records import DefaultRecordBatchBuilder

from textmod_model.stream.delivery.rules import TopicRules, record_size
from textmod_model.stream.records import Record
from textmod_model.stream.topics import rules_of


def record(value=b"v", key=b"k", headers=(), time=None):
    source = FakeMessage(0, 0, headers=list(headers))
    return Record(None, source, key, value, list(headers), time)


def built(one):
    """The bytes of a batch with this record alone, by kafka-python."""
    builder = DefaultRecordBatchBuilder(2, 0, True, -1, -1, -1, 1 << 30)
    headers = [(name, value) for name, value in one.headers]
    builder.append(0, 0, one.key, one.value, headers)
    return len(builder.build())


sizes = some.sampled_from([0, 1, 63, 64, 65, 8191, 8192, 8193, 100_000])
maybe = some.none() | sizes.map(bytes)
names = some.sampled_from(["a", "ce_id", "Ünïcode", "n" * 64])


@given(value=maybe, key=maybe, headers=some.lists(some.tuples(names, maybe), max_size=70))
def test_the_size_of_a_record_is_exact(value, key, headers):
    one = record(value, key, headers)
    assert record_size(one) == built(one)


@pytest.mark.parametrize("limit", [500, 100_000])
def test_one_byte_decides(limit):
    empty = record_size(record(b"v" * (limit - 200)))
    fits = record(b"v" * (limit - 200 + limit - empty))
    while record_size(fits) > limit:
        fits = fits._replace(value=fits.value[1:])
    rules = TopicRules(limit)
    assert rules.refusal(fits, 0) is None
    larger = fits._replace(value=fits.value + b"vv")
    assert rules.refusal(larger, 0).code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_large_headers_count_whatever_the_value():
    many = [("h", b"x" * 20_000)] * 6
    assert TopicRules(100_000).refusal(record(headers=many), 0) is not None
    assert TopicRules(130_000).refusal(record(headers=many), 0) is None


@pytest.mark.parametrize(
    ("time", "refused"), [(0, True), (9_000, False), (10_000, False), (12_001, True), (None, False)]
)
def test_time_stamps_out_of_range_are_refused(time, refused):
    rules = TopicRules(1_000, before_ms=5_000, after_ms=2_000)
    error = rules.refusal(record(time=time), 10_000)
    assert (error is not None) is refused
    assert error is None or error.code() == KafkaError.INVALID_TIMESTAMP


class Entry:
    def __init__(self, value):
        self.value = value


def entries(**values):
    defaults = {
        "max.message.bytes": "1048588",
        "cleanup.policy": "delete",
        "message.timestamp.type": "CreateTime",
        "message.timestamp.before.max.ms": "9223372036854775807",
        "message.timestamp.after.max.ms": "3600000",
    }
    return {name: Entry(value) for name, value in (defaults | values).items()}


def test_rules_come_from_the_settings_of_the_topic():
    assert rules_of(entries()) == TopicRules(1_048_588, after_ms=3_600_000)
    assert rules_of(entries(**{"cleanup.policy": "compact,delete"})).keyed
    own_time = rules_of(entries(**{"message.timestamp.type": "LogAppendTime"}))
    assert own_time == TopicRules(1_048_588)
