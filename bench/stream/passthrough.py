"""Consume, JSON in, JSON out, produce: what librdkafka and Python cost without any scoring."""

import os
import signal

import orjson
from confluent_kafka import Consumer, Producer

ANSWER = {"data": {"names": ["t:0", "t:1"], "ndarray": [[0.75, 0.25]]}, "meta": {}}


def main() -> None:
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    servers = {"bootstrap.servers": os.environ["BOOTSTRAP"]}
    producer = Producer(servers | {"enable.idempotence": True, "delivery.report.only.error": True})
    consumer = Consumer(
        servers
        | {
            "group.id": os.environ["GROUP"],
            "auto.offset.reset": "earliest",
            "enable.auto.offset.store": False,
            "group.protocol": "consumer",
        }
    )
    consumer.subscribe([os.environ["INPUT"]])
    output = os.environ["OUTPUT"]
    while running:
        messages = consumer.consume(256, 0.02)
        for message in messages:
            orjson.loads(message.value())["body"]
            producer.produce(output, orjson.dumps(ANSWER), message.key(), message.partition())
        if messages:
            producer.flush()
            consumer.store_offsets(messages[-1])
    consumer.close()


if __name__ == "__main__":
    main()
