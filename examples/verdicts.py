"""Reads verdicts (and dead letters) from Kafka, prints them and counts them.

    python examples/verdicts.py --bootstrap-servers localhost:9092 --topic science-output \\
        --dead-letter-topic science-dead-letter --from beginning --idle 5

Needs the package confluent-kafka: .venv/bin/python has it after `make setup`. Works against any
Kafka: pass --config with librdkafka's key=value lines for what your brokers ask.
Every record says which input it answers (`topic/partition/offset`, in the header ce_id or in the
textmod.error.* headers), so records that came twice are counted once. It joins no consumer group
and commits nothing. Ends after --limit records or --idle seconds without one; the last line printed
is a JSON object: verdicts, dead_letters, duplicates.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaException,
    Message,
    TopicPartition,
)

METADATA_SECONDS = 10.0


def headers_of(message: Message) -> dict[str, str]:
    """A record's headers as text."""
    pairs = dict(message.headers() or [])
    return {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value or ""
        for name, value in pairs.items()
    }


def answered(message: Message) -> str:
    """The input that a verdict or a dead letter is about: ``topic/partition/offset``."""
    headers = headers_of(message)
    if "ce_id" in headers:
        return headers["ce_id"]
    return "/".join(
        headers.get(f"textmod.error.{p}", "?") for p in ("topic", "partition", "offset")
    )


def describe(message: Message, *, dead: bool) -> str:
    """One line about a record."""
    if dead:
        headers = headers_of(message)
        reason = headers.get("textmod.error.reason", "?")
        return f"dead letter  {answered(message)}  {reason}: {headers.get('textmod.error.message')}"
    value = (message.value() or b"").decode(errors="replace")
    return f"verdict      {answered(message)}  {value}"


def assignment(consumer: Consumer, topic: str, start: int) -> list[TopicPartition]:
    """All partitions of a topic, from `start` on; exits when there is no such topic."""
    metadata = consumer.list_topics(topic, timeout=METADATA_SECONDS).topics[topic]
    if metadata.error is not None:
        sys.exit(f"Topic {topic}: {metadata.error.str()}.")
    return [TopicPartition(topic, partition, start) for partition in metadata.partitions]


def client_config(arguments: argparse.Namespace) -> dict[str, str]:
    """librdkafka's settings: the file's, with the command line's brokers."""
    config = {"bootstrap.servers": arguments.bootstrap_servers}
    if arguments.config is not None:
        for line in arguments.config.read_text().splitlines():
            name, separator, value = line.partition("=")
            if separator and not line.lstrip().startswith("#"):
                config[name.strip()] = value.strip()
    return config


def read(consumer: Consumer, arguments: argparse.Namespace) -> dict[str, int]:
    """Reads until the limit or the idle time; returns the counts."""
    seen: Counter[str] = Counter()
    counts = {"verdicts": 0, "dead_letters": 0}
    last = time.monotonic()
    while arguments.idle is None or time.monotonic() - last < arguments.idle:
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error() is not None:
            raise KafkaException(message.error())
        last = time.monotonic()
        dead = message.topic() == arguments.dead_letter_topic
        seen[answered(message)] += 1
        counts["dead_letters" if dead else "verdicts"] += 1
        if not arguments.quiet:
            print(describe(message, dead=dead))
        if arguments.limit is not None and seen.total() >= arguments.limit:
            break
    return {**counts, "duplicates": seen.total() - len(seen)}


def main() -> int:
    """Reads and counts; always 0 unless Kafka fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--topic", required=True, help="of the verdicts")
    parser.add_argument("--dead-letter-topic")
    parser.add_argument("--config", type=Path, help="properties file for librdkafka")
    parser.add_argument("--from", choices=("beginning", "end"), default="end", dest="start")
    parser.add_argument("--limit", type=int, help="records in all")
    parser.add_argument("--idle", type=float, help="end after so many seconds without a record")
    parser.add_argument("--quiet", action="store_true", help="print the counts only")
    arguments = parser.parse_args()

    last_error: list[str] = []  # of the connections: Kafka's exceptions do not say why
    settings: dict[str, Any] = {
        "group.id": "textmod-verdicts",
        "enable.auto.commit": "false",
        "log_level": 2,  # else each failed attempt to connect is a line, twenty a second
        "error_cb": lambda error: last_error.append(error.str()),
    }
    consumer = Consumer(settings | client_config(arguments))
    start = OFFSET_BEGINNING if arguments.start == "beginning" else OFFSET_END
    counts: dict[str, int] = {}
    try:
        topics = [arguments.topic]
        if arguments.dead_letter_topic:
            topics.append(arguments.dead_letter_topic)
        consumer.assign([each for topic in topics for each in assignment(consumer, topic, start)])
        counts = read(consumer, arguments)
    except KafkaException as error:
        consumer.poll(0)  # calls error_cb
        why = f" ({last_error[-1]})" if last_error else ""
        sys.exit(f"Kafka at {arguments.bootstrap_servers}: {error.args[0].str()}{why}.")
    except KeyboardInterrupt:
        return 130
    finally:
        consumer.close()
    print(json.dumps(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
