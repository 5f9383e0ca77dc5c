"""A per-message pump as Seldon's executor is one: four workers, one HTTP POST for each message."""

import http.client
import os
import queue
import signal
import threading

import orjson
from confluent_kafka import Consumer, Producer

WORKERS = 4


def main() -> None:
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    servers = {"bootstrap.servers": os.environ["BOOTSTRAP"]}
    producer = Producer(servers)
    consumer = Consumer(
        servers | {"group.id": os.environ["GROUP"], "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([os.environ["INPUT"]])
    waiting: queue.Queue = queue.Queue(WORKERS)
    for _ in range(WORKERS):
        threading.Thread(target=work, args=(waiting, producer), daemon=True).start()
    while running:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            waiting.put(message)
        producer.poll(0)
    producer.flush()
    consumer.close()


def work(waiting: queue.Queue, producer: Producer) -> None:
    """Post each message to the model and produce its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["PORT"]))
    while True:
        message = waiting.get()
        request = {"data": {"ndarray": [orjson.loads(message.value())["body"]]}}
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/predict", orjson.dumps(request), headers)
        producer.produce(os.environ["OUTPUT"], connection.getresponse().read(), message.key())


if __name__ == "__main__":
    main()
