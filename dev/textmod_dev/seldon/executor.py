"""A stand-in for Seldon's executor as ``serverType: kafka`` runs it: the classic path.

One record in, one HTTP request to the model in the same pod, one record out. It keeps the
executor's ways, losses included, because they are what a test of that path is about: group
``<predictor>.<sdep>.<namespace>`` from the earliest offset, offsets stored when a record is polled
(``KAFKA_AUTO_COMMIT``, on by default) or committed after each answer, a failed prediction or a
value that is not JSON logged and dropped, headers not passed on.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType

import httpx
from confluent_kafka import Consumer, KafkaError, Message, Producer

log = logging.getLogger("executor")

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Stream:
    """What the container's environment and arguments ask for."""

    client: dict[str, str]
    group: str
    input: str
    output: str
    workers: int
    auto_commit: bool

    @classmethod
    def read(cls, environment: Mapping[str, str], group: str) -> Stream:
        """From the variables of svcOrchSpec.env.

        Raises:
            KeyError: KAFKA_BROKER or a topic is missing.
        """
        return cls(
            client=client_config(environment),
            group=group,
            input=environment["KAFKA_INPUT_TOPIC"],
            output=environment["KAFKA_OUTPUT_TOPIC"],
            workers=int(environment.get("KAFKA_WORKERS", "4")),
            auto_commit=environment.get("KAFKA_AUTO_COMMIT", "true").lower() != "false",
        )


def client_config(environment: Mapping[str, str]) -> dict[str, str]:
    """librdkafka's settings from KAFKA_BROKER, KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_*, KAFKA_SSL_*.

    As the executor does it: certificates are files (``…_FILE``) or the PEM itself, and only used as
    a pair with the CA; without TLS the protocol is never handed on, so that SASL alone fails.
    """
    protocol = environment.get("KAFKA_SECURITY_PROTOCOL", "").upper()
    config = {"bootstrap.servers": environment["KAFKA_BROKER"]}
    if protocol.endswith("SSL"):
        config["security.protocol"] = protocol
    if protocol.startswith("SASL"):
        config["sasl.mechanisms"] = environment.get("KAFKA_SASL_MECHANISM", "PLAIN")
        config["sasl.username"] = environment.get("KAFKA_SASL_USERNAME", "")
        config["sasl.password"] = environment.get("KAFKA_SASL_PASSWORD", "")
    if protocol.endswith("SSL"):
        names = {"ca": "CA_CERT", "certificate": "CLIENT_CERT", "key": "CLIENT_KEY"}
        for suffix, form in (("_FILE", "location"), ("", "pem")):
            given = {part: environment.get(f"KAFKA_SSL_{v}{suffix}") for part, v in names.items()}
            if given["ca"] and given["certificate"]:
                config |= {f"ssl.{part}.{form}": value for part, value in given.items() if value}
    return config


class Pump:
    """Polls, hands to the workers, and stops when told or when all brokers are down."""

    def __init__(self, stream: Stream, model: str) -> None:
        self._stream = stream
        self._model = model
        self._producer = Producer(stream.client)
        self._consumer = Consumer(
            {
                **stream.client,
                "group.id": stream.group,
                "session.timeout.ms": "6000",
                "enable.auto.commit": str(stream.auto_commit).lower(),
                "auto.offset.reset": "earliest",
                "error_cb": self._on_error,
            }
        )
        self._jobs: queue.Queue[Message] = queue.Queue(maxsize=stream.workers)
        self._answered: queue.Queue[Message] = queue.Queue()
        self._over = threading.Event()

    def run(self) -> None:
        """Until `stop`; what the workers have not finished by then is not waited for."""
        self._consumer.subscribe([self._stream.input])
        for _ in range(self._stream.workers):
            threading.Thread(target=self._work, daemon=True).start()
        while not model_is_ready(self._model) and not self._over.is_set():
            log.info("Waiting for graph to be ready")
            self._over.wait(2)
        while not self._over.is_set():
            message = self._consumer.poll(POLL_SECONDS)
            self._commit_answered()
            if message is None:
                continue
            if message.error() is not None:
                log.error("Received kafka error: %s", message.error())
                continue
            try:
                json.loads(message.value() or b"")
            except ValueError:
                log.error("Failed to unmarshall Payload")  # noqa: TRY400 - nor would a trace help
                continue
            self._hand_over(message)
        self._commit_answered()
        self._consumer.close()
        self._producer.flush(10)

    def stop(self) -> None:
        """From any thread."""
        self._over.set()

    def _hand_over(self, message: Message) -> None:
        while not self._over.is_set():
            try:
                self._jobs.put(message, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return

    def _work(self) -> None:
        with httpx.Client(base_url=self._model, timeout=30) as client:
            while not self._over.is_set():
                try:
                    message = self._jobs.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    continue
                self._answer(client, message)

    def _answer(self, client: httpx.Client, message: Message) -> None:
        headers = {"Content-Type": "application/json"}
        try:
            response = client.post("/predict", content=message.value() or b"", headers=headers)
            response.raise_for_status()
        except httpx.HTTPError as error:
            log.error("Failed prediction: %s", error)  # noqa: TRY400 - its trace tells nothing more
            return
        self._producer.produce(self._stream.output, response.content, key=message.key())
        self._producer.poll(0)
        if not self._stream.auto_commit:
            self._answered.put(message)

    def _commit_answered(self) -> None:
        """In the thread that polls: a consumer's other calls are not for the workers' threads."""
        while not self._answered.empty():
            self._consumer.commit(message=self._answered.get(), asynchronous=True)

    def _on_error(self, error: KafkaError) -> None:
        log.error("Received kafka error: %s", error)
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - its public name in the docs
            self.stop()


def model_is_ready(model: str) -> bool:
    """Whether something listens where the model should, which is all that the executor asks."""
    try:
        httpx.get(model, timeout=2)
    except httpx.TransportError:
        return False
    return True


def serve_health(address: str, port: int, model: str) -> None:
    """/live, /ready and an empty /prometheus, in a thread.

    Ready while the model listens, whatever Kafka does: so it is with the executor.
    """

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            ready = self.path != "/ready" or model_is_ready(model)
            self.send_response(200 if ready else 503)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's
            """Probes are no news."""

    server = ThreadingHTTPServer((address, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main() -> int:
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("sdep", "namespace", "predictor", "server_type"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--http_port", type=int, default=8000)
    arguments, _ = parser.parse_known_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)

    address = os.environ.get("POD_IP", "127.0.0.1")
    model = f"http://{address}:9000"
    serve_health(address, arguments.http_port, model)
    over = threading.Event()
    pump: Pump | None = None

    def stop(_number: int, _frame: FrameType | None) -> None:
        over.set()
        if pump is not None:
            pump.stop()

    signal.signal(signal.SIGTERM, stop)
    if arguments.server_type == "kafka":
        group = f"{arguments.predictor}.{arguments.sdep}.{arguments.namespace}"
        pump = Pump(Stream.read(os.environ, group), model)
        log.info("Created consumer group %s", group)
        pump.run()
    # When all brokers are down the real one, too, stays up, ready, and consumes nothing any more.
    while not over.is_set():
        time.sleep(POLL_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
