"""What reading the lag costs: Kafka requests a minute for a growing number of objects.

    cd bench && python -m autoscaling.lag_requests [objects …]

Each object has a topic of three partitions and a group of its own on one real broker. Idle: all is
read, nothing arrives. Active: every group has lag. Polls every 5 s of a virtual clock; requests are
counted by the clients themselves.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from textmod_dev.kafka_broker import KafkaBroker
from textmod_operator.kafka.lag import LagMonitor
from textmod_operator.state import KafkaConnection, LagReading, ObjectKey

POLLS = 12
"""A minute of them."""


class Requests:
    """Counts what both clients of a monitor send."""

    def __init__(self, monitor: LagMonitor, servers: str) -> None:
        self._sent = 0
        self._python = 0
        config: dict[str, Any] = {
            "bootstrap.servers": servers,
            "statistics.interval.ms": 100,
            "stats_cb": self._note,
        }
        source: Any = monitor._source  # noqa: SLF001 - to count from inside
        self._admin = source._admin = AdminClient(config)  # noqa: SLF001
        connected = source._groups._connected  # noqa: SLF001

        def counted() -> Any:  # noqa: ANN401 - the library ships no types
            client = connected()
            manager = client._manager  # noqa: SLF001
            if not hasattr(manager, "counted"):
                manager.counted = send = manager.send

                def count(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
                    self._python += 1
                    return send(*args, **kwargs)

                manager.send = count
            return client

        source._groups._connected = counted  # noqa: SLF001

    def _note(self, statistics: str) -> None:
        brokers = json.loads(statistics)["brokers"].values()
        self._sent = sum(broker["tx"] for broker in brokers)

    def total(self) -> int:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            self._admin.poll(0.1)
        return self._sent + self._python


def measure(count: int) -> dict[str, float]:
    """Requests a minute and milliseconds a poll, for so many idle and active objects."""
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder) / "kafka") as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        topics = [f"input-{i}" for i in range(count)]
        for future in admin.create_topics([NewTopic(t, 3, 1) for t in topics]).values():
            future.result(120)
        monitor = LagMonitor(KafkaConnection(broker.bootstrap_servers))
        requests = Requests(monitor, broker.bootstrap_servers)
        for topic in topics:
            monitor.watch(ObjectKey("team", topic), topic, f"group-{topic}")
        now = time.time()

        def minute(before: Callable[[], None] = lambda: None) -> tuple[int, float]:
            nonlocal now
            start, busy = requests.total(), 0.0
            for _ in range(POLLS):
                before()
                now += 5
                began = time.monotonic()
                readings = monitor.poll(now)
                busy += time.monotonic() - began
                assert all(isinstance(r, LagReading) for r in readings.values()), readings
            return requests.total() - start, 1000 * busy / POLLS

        while not all(isinstance(r, LagReading) for r in monitor.poll(now).values()):
            time.sleep(0.5)
        idle, idle_poll = minute()
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})

        def arrive() -> None:
            for topic in topics:
                producer.produce(topic, b"x")
            producer.flush(30)

        active, active_poll = minute(arrive)
        monitor.close()
    return {
        "objects": count,
        "idle_requests_per_minute": idle,
        "active_requests_per_minute": active,
        "idle_milliseconds_per_poll": round(idle_poll, 1),
        "active_milliseconds_per_poll": round(active_poll, 1),
    }


def main() -> None:
    for count in [int(word) for word in sys.argv[1:]] or [10, 100, 1000]:
        print(json.dumps(measure(count)), flush=True)


if __name__ == "__main__":
    main()
