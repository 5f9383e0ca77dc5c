"""The plain micro-batch consumer that one would write first: nlp.pipe and scikit-learn by batch."""

import os
import signal

import orjson
from confluent_kafka import Consumer, Producer

from textmod_model import artifact


def main() -> None:
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    pipeline = artifact.load(os.environ["TEXTMOD_ARTIFACT"]).pipeline()
    servers = {"bootstrap.servers": os.environ["BOOTSTRAP"]}
    producer = Producer(servers | {"enable.idempotence": True})
    consumer = Consumer(
        servers
        | {
            "group.id": os.environ["GROUP"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "group.protocol": "consumer",
        }
    )
    consumer.subscribe([os.environ["INPUT"]])
    output = os.environ["OUTPUT"]
    while running:
        messages = consumer.consume(256, 0.05)
        if not messages:
            continue
        texts = [orjson.loads(message.value())["body"] for message in messages]
        for message, row in zip(messages, pipeline.predict_proba(texts).tolist(), strict=True):
            answer = {"data": {"names": ["t:0", "t:1"], "ndarray": [row]}, "meta": {}}
            producer.produce(output, orjson.dumps(answer), message.key())
        producer.flush()
        consumer.commit(asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    main()
