"""Two members of a group have the same partitions.

A member joins and is assigned all partitions; its application does not poll yet. Another member
joins. Then the first one's connection to the coordinator breaks while a heartbeat is on its way. It
reports that it has no partitions, so the coordinator gives half of them to the other member. When
the application polls at last, it is called with the assignment of all partitions.
"""

import contextlib
import socket
import sys
import threading
import time
import uuid

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic

HOST = "127.0.0.1"


def main(bootstrap, proxy_port, target_port):
    """Run it; the broker listens at `target_port` as well, and advertises `proxy_port` there."""
    proxy = Proxy(int(proxy_port), int(target_port))
    topic = f"unserved-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 6, 1)])[topic].result(30)
    first, at_first = member(topic, f"{HOST}:{proxy_port}")
    time.sleep(3)  # it joins in the background
    second, at_second = member(topic, bootstrap)
    poll(3, second)
    proxy.stalled.set()
    poll(2, second)
    proxy.reset()
    poll(8, second)
    early = set(at_second)
    deadline = time.monotonic() + 5
    while not at_first and time.monotonic() < deadline:
        first.poll(0.05)
    both = early & set(at_first)
    print("expected: no partition is assigned to both members")
    print(f"seen: {sorted(both)} are assigned to both")
    first.close()
    second.close()
    return 1 if both else 0


def member(group, servers):
    options = {"bootstrap.servers": servers, "group.id": group, "group.protocol": "consumer"}
    consumer, assigned = Consumer(options), []

    def on_assign(consumer, partitions):
        assigned.extend(one.partition for one in partitions)
        consumer.incremental_assign(partitions)

    consumer.subscribe([group], on_assign=on_assign)
    return consumer, assigned


def poll(seconds, consumer):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        consumer.poll(0.1)


class Proxy:
    """Forwards connections until they are stalled and reset."""

    def __init__(self, port, target):
        self.stalled = threading.Event()
        self._target, self._open = target, []
        self._server = socket.create_server((HOST, port))
        threading.Thread(target=self._serve, daemon=True).start()

    def reset(self):
        """Close all connections; new ones work."""
        connections, self._open = self._open, []
        self.stalled.clear()
        for one in connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _serve(self):
        while True:
            client, _ = self._server.accept()
            broker = socket.create_connection((HOST, self._target))
            self._open += [client, broker]
            for one, other in ((client, broker), (broker, client)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one, other):
        with contextlib.suppress(OSError):
            while piece := one.recv(65536):
                if self.stalled.is_set():
                    return
                other.sendall(piece)
            other.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
