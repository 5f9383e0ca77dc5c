"""A partition whose committed offset is unstable is read again from its beginning.

A member was killed between TxnOffsetCommit and EndTxn, so offsets of its transaction are pending,
and the broker answers OffsetFetch with UNSTABLE_OFFSET_COMMIT. The heir waits for a stable answer.
If its assignment changes meanwhile, librdkafka starts the partition without an offset, and
`auto.offset.reset` decides.
"""

import sys
import time
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

SECONDS = 20
MESSAGES = 100


def main(bootstrap, protocol="consumer"):
    topic = f"unstable-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": bootstrap})
    for _ in range(MESSAGES):
        producer.produce(topic, b"read already", partition=0)
    producer.flush(30)
    options = {
        "bootstrap.servers": bootstrap,
        "group.id": topic,
        "group.protocol": protocol,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
    }

    # A member that has read everything, and is killed with a transaction open.
    dead = Consumer(options)
    dead.subscribe([topic])
    poll_until(lambda: len(dead.assignment()) == 2, dead)
    done = [TopicPartition(topic, 0, MESSAGES)]
    dead.commit(offsets=done, asynchronous=False)
    transaction = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic})
    transaction.init_transactions(30)
    transaction.begin_transaction()
    transaction.send_offsets_to_transaction(done, dead.consumer_group_metadata(), 30)
    dead.close()

    heir, other = Consumer(options), Consumer(options)
    heir.subscribe([topic])
    poll_until(lambda: len(heir.assignment()) == 2, heir)
    # Another joins and leaves: the heir's assignment changes.
    other.subscribe([topic])
    poll_until(lambda: len(other.assignment()) == 1, heir, other)
    again = read(heir, 2)
    other.close()
    again += read(heir, 5)
    transaction.abort_transaction(30)
    again += read(heir, 5)
    heir.close()
    print(f"expected: nothing is read again, the committed offset is {MESSAGES}")
    print(f"seen: {again} messages read again")
    return 1 if again else 0


def read(consumer, seconds):
    deadline, found = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        found += sum(1 for message in consumer.consume(100, 0.2) if message.error() is None)
    return found


def poll_until(condition, *consumers):
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"the group did not settle within {SECONDS} s")
        for consumer in consumers:
            consumer.poll(0.1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
