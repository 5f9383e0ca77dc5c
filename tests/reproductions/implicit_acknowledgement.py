"""Messages are reported as delivered, and were never written.

A producer has two requests for a partition on their way. The broker is not yet its leader when the
first one comes, and refuses it; when the second comes, it is. Brokers before KAFKA-15591 take any
sequence number from a producer that they don't know, so the second one is written. librdkafka then
takes the first for written too, with offset -1, and does not send it again. It does so in a
transaction, too.

The proxy here refuses a partition's first request in the broker's stead.
"""

import contextlib
import json
import socket
import struct
import sys
import threading
import time
import uuid

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

HOST = "127.0.0.1"
MESSAGES = 20
PRODUCE = 0
NOT_LEADER = 6


def main(bootstrap, proxy_port, target_port, options="{}"):
    """Run it; the broker listens at `target_port` as well, and advertises `proxy_port` there.

    `options` is JSON: the producer's own.
    """
    topic = f"implicit-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(30)
    proxy = Proxy(int(proxy_port), int(target_port), (topic.encode(), 0))
    asked = {"enable.idempotence": True, "linger.ms": 5} | json.loads(options)
    producer = Producer(asked | {"bootstrap.servers": f"{HOST}:{proxy_port}"})
    if "transactional.id" in asked:
        producer.init_transactions(30)
        producer.begin_transaction()
    producer.produce(topic, b"hello", partition=1)  # it knows its id and its connection from here
    producer.flush(30)
    reports = []
    for number in range(MESSAGES):
        producer.produce(
            topic, str(number), partition=0, on_delivery=lambda error, _: reports.append(error)
        )
        time.sleep(0.01)  # longer than it lingers: a request each
    producer.flush(30)
    if "transactional.id" in asked:
        producer.commit_transaction(30)
    if not proxy.refused or len(reports) < MESSAGES:
        raise SystemExit(f"{len(proxy.refused)} refused, {len(reports)} of {MESSAGES} reported")
    found = written(bootstrap, topic)
    print("expected: all messages reported as delivered are there, in order")
    print(f"seen: {reports.count(None)} are reported, and there are {found}")
    return 0 if found == list(range(MESSAGES)) else 1


def written(bootstrap, topic):
    options = {"bootstrap.servers": bootstrap, "group.id": topic, "enable.partition.eof": True}
    consumer, found = Consumer(options), []
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        while True:
            message = consumer.poll(30)
            if message is None:
                raise SystemExit(f"{topic} can't be read")
            if message.error() is None:
                found.append(int(message.value()))
            elif message.error().code() == KafkaError._PARTITION_EOF:
                return found
    finally:
        consumer.close()


class Proxy:
    """Forwards requests and answers, but for a partition's first Produce request.

    That is refused once the next is there, or after half a second if none comes.
    """

    def __init__(self, port, target, place):
        self.refused = []
        self._target, self._place = target, place
        self._server = socket.create_server((HOST, port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            client, _ = self._server.accept()
            broker = socket.create_connection((HOST, self._target))
            threading.Thread(target=self._requests, args=(client, broker), daemon=True).start()
            threading.Thread(target=carry, args=(broker, client), daemon=True).start()

    def _requests(self, client, broker):
        with contextlib.suppress(OSError, EOFError):
            while True:
                frame = read_frame(client)
                if not self.refused and place_of(frame) == self._place:
                    client.settimeout(0.5)
                    with contextlib.suppress(TimeoutError):
                        client.recv(1, socket.MSG_PEEK)
                    client.settimeout(None)
                    client.sendall(refusal(frame, self._place))
                    self.refused.append(frame)
                else:
                    broker.sendall(frame)
        broker.close()


def carry(broker, client):
    with contextlib.suppress(OSError):
        while piece := broker.recv(65536):
            client.sendall(piece)


def read_frame(connection):
    length = read(connection, 4)
    return length + read(connection, *struct.unpack(">i", length))


def read(connection, count):
    found = b""
    while len(found) < count:
        piece = connection.recv(count - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def place_of(frame):
    """The topic and partition of a Produce request, version 9 to 12, of one partition."""
    key, version, _, client = struct.unpack_from(">hhih", frame, 4)
    if key != PRODUCE:
        return None
    if version not in range(9, 13):
        raise SystemExit(f"Produce has version {version}: mend this program")
    at = 14 + max(client, 0) + 1
    at += max(frame[at] - 1, 0) + 1  # the transactional id
    at += 6 + 1  # acks, time-out, one topic
    name = frame[at + 1 : at + frame[at]]
    at += frame[at] + 1  # one partition
    return name, *struct.unpack_from(">i", frame, at)


def refusal(frame, place):
    """A Produce answer that says that the broker is not the leader."""
    topic, partition = place
    tags, one = b"\0", b"\2"
    body = frame[8:12] + tags + one + bytes([len(topic) + 1]) + topic + one
    body += struct.pack(">ihqqq", partition, NOT_LEADER, -1, -1, -1)
    body += b"\1" + b"\0" + tags  # no errors of records, no sentence
    body += tags + struct.pack(">i", 0) + tags  # not throttled
    return struct.pack(">i", len(body)) + body


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
