"""Sends comments to a Kafka topic: at a rate, with a burst, from a file.

    python examples/produce.py --bootstrap-servers localhost:9092 --topic science-input \\
        --file comments.csv --rate 50 --burst 400x20@10 --limit 5000

Needs the package confluent-kafka: .venv/bin/python has it after `make setup`. Works against any
Kafka: put what your brokers ask for (security.protocol, sasl.mechanism, …) as key=value lines of
librdkafka's names into a file and pass it with --config.

A CSV file is read by its BODY column (--column names another), any other file line by line. A file
that is not UTF-8 is read as Windows-1252, or as --encoding says; what is not in that is replaced.
When --limit asks for more than the file holds, it starts over. The last line printed is a JSON
object: sent, failed, seconds.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import random
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaError, Message, Producer


class Comment(NamedTuple):
    """One comment and the key it travels under."""

    key: str | None
    text: str


@dataclass(frozen=True)
class Burst:
    """`rate` messages a second for `seconds`, beginning `start` seconds in."""

    rate: float
    seconds: float
    start: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Burst:
        """``RATExSECONDS`` or ``RATExSECONDS@START``, such as ``400x20@10``."""
        number = r"(\d+(?:\.\d+)?)"
        match = re.fullmatch(rf"{number}x{number}(?:@{number})?", text)
        if match is None:
            raise argparse.ArgumentTypeError(f"{text} is not RATExSECONDS[@START]")
        return cls(float(match[1]), float(match[2]), float(match[3] or 0))


def due_times(rate: float, burst: Burst | None) -> Iterator[float]:
    """Seconds from the start at which each message is due; without end.

    During the burst its rate replaces the usual one.
    """
    now = 0.0
    while True:
        yield now
        in_burst = burst is not None and burst.start <= now < burst.start + burst.seconds
        now += 1 / (burst.rate if burst is not None and in_burst else rate)


def read_comments(arguments: argparse.Namespace) -> list[Comment]:
    """The file's comments, empty ones left out; exits with one sentence when there are none."""
    path: Path = arguments.file
    try:
        file = io.StringIO(decoded(path.read_bytes(), arguments.encoding), newline="")
    except OSError as error:
        sys.exit(f"{path} cannot be read: {error.strerror}.")
    if path.suffix == ".csv":
        texts = _column(csv.DictReader(file), arguments.column, path)
    else:
        texts = [line.rstrip("\r\n") for line in file]
    comments = [
        Comment(None if arguments.key == "none" else str(number), text)
        for number, text in enumerate(texts)
        if text.strip()
    ]
    if not comments:
        sys.exit(f"{path} holds no comments.")
    if arguments.seed is not None:
        random.Random(arguments.seed).shuffle(comments)  # noqa: S311 - an order, not a secret
    return comments


def decoded(data: bytes, encoding: str | None) -> str:
    """The text of a file; without an encoding UTF-8, or Windows-1252 if it is not that."""
    if encoding is None:
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            encoding = "cp1252"
    return data.decode(encoding, errors="replace")


def _column(rows: csv.DictReader[str], name: str, path: Path) -> list[str]:
    if name not in (rows.fieldnames or ()):
        sys.exit(f"{path} has no column {name}: name one of {rows.fieldnames} with --column.")
    return [row[name] or "" for row in rows]


def encode(comment: Comment, form: str) -> bytes:
    """The record's value: JSON with a body, Seldon's request, or the bare text."""
    if form == "text":
        return comment.text.encode()
    if form == "seldon":
        return json.dumps({"data": {"ndarray": [comment.text]}}).encode()
    return json.dumps({"id": comment.key, "body": comment.text}).encode()


def send(producer: Producer, comments: list[Comment], arguments: argparse.Namespace) -> int:
    """Sends everything in its time; returns how many the brokers did not take."""
    failures = 0

    def on_delivery(error: KafkaError | None, _: Message) -> None:
        nonlocal failures
        if error is not None:
            failures += 1
            print(f"not delivered: {error.str()}", file=sys.stderr)

    start = time.monotonic()
    stream = zip(
        itertools.islice(itertools.cycle(comments), arguments.limit or len(comments)),
        due_times(arguments.rate, arguments.burst),
        strict=False,
    )
    for comment, due in stream:
        while (wait := start + due - time.monotonic()) > 0:
            producer.poll(min(wait, 0.1))
        while True:
            try:
                producer.produce(
                    arguments.topic,
                    encode(comment, arguments.format),
                    key=comment.key,
                    on_delivery=on_delivery,
                )
                break
            except BufferError:  # more in flight than librdkafka holds: wait for some to arrive
                producer.poll(0.1)
        producer.poll(0)
    return failures + int(producer.flush(arguments.timeout))


def client_config(arguments: argparse.Namespace) -> dict[str, str]:
    """librdkafka's settings: the file's, with the command line's brokers."""
    config = {"bootstrap.servers": arguments.bootstrap_servers}
    if arguments.config is not None:
        for line in arguments.config.read_text().splitlines():
            name, separator, value = line.partition("=")
            if separator and not line.lstrip().startswith("#"):
                config[name.strip()] = value.strip()
    return config


def main() -> int:
    """Sends the comments; 1 when the brokers did not take all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--config", type=Path, help="properties file for librdkafka")
    parser.add_argument("--file", type=Path, required=True, help="CSV, or one comment a line")
    parser.add_argument("--column", default="BODY", help="of a CSV (default: BODY)")
    parser.add_argument("--encoding", help="of the file (default: UTF-8, else cp1252)")
    parser.add_argument("--key", choices=("row", "none"), default="row", help="records' keys")
    parser.add_argument("--format", choices=("json", "seldon", "text"), default="json")
    parser.add_argument("--rate", type=float, default=50, help="messages a second (default: 50)")
    parser.add_argument("--burst", type=Burst.parse, metavar="RATExSECONDS[@START]")
    parser.add_argument("--limit", type=int, help="messages in all (default: the file's)")
    parser.add_argument("--seed", type=int, help="shuffle the file's order by this seed")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for the last to arrive")
    arguments = parser.parse_args()
    if arguments.rate <= 0:
        parser.error("--rate must be above 0")

    comments = read_comments(arguments)
    settings = {
        "enable.idempotence": "true",
        # With more, a message that a new leader refused may count as written (KAFKA-15591).
        "max.in.flight.requests.per.connection": "1",
        "partitioner": "murmur2_random",
    }
    producer = Producer(settings | client_config(arguments))
    start = time.monotonic()
    failed = send(producer, comments, arguments)
    sent = (arguments.limit or len(comments)) - failed
    seconds = round(time.monotonic() - start, 3)
    print(json.dumps({"sent": sent, "failed": failed, "seconds": seconds}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
