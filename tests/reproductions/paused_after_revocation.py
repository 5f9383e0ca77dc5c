"""A partition that is revoked while it is paused comes back paused, and stays so.

One member pauses what it is assigned. A second joins, takes a partition, and leaves again. The
first gets the partition back in a new assignment, of which it has paused nothing.
"""

import sys
import time
import uuid

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

SECONDS = 20


def main(bootstrap, protocol="consumer"):
    topic = f"paused-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(30)
    options = {
        "bootstrap.servers": bootstrap,
        "group.id": topic,
        "group.protocol": protocol,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    first, second = Consumer(options), Consumer(options)
    first.subscribe([topic])
    poll_until(lambda: len(first.assignment()) == 2, first)
    first.pause(first.assignment())
    second.subscribe([topic])
    poll_until(lambda: len(second.assignment()) == 1, first, second)
    [moved] = second.assignment()
    second.close()
    poll_until(lambda: len(first.assignment()) == 2, first)

    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, b"hello", partition=moved.partition)
    producer.flush(30)
    message = first.poll(5)
    first.close()
    print(f"expected: partition {moved.partition}, newly assigned, is read")
    print(f"seen: {'it is read' if message else 'nothing is read within 5 s'}")
    return 0 if message else 1


def poll_until(condition, *consumers):
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"the group did not settle within {SECONDS} s")
        for consumer in consumers:
            consumer.poll(0.1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
