"""Writes single decisions to the feedback topic, each acknowledged or reported as not written.

It has a producer of its own, opened with the first decision: neither an outage nor a refusal of
this topic touches the stream.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from textmod_model.errors import ConfigurationError
from textmod_model.formats.message import Headers
from textmod_model.settings import Settings
from textmod_model.stream import kafka, kafka_config

log = logging.getLogger(__name__)

SECONDS: Final = 5.0
"""How long a caller waits for the acknowledgement."""
AT_ONCE: Final = 4
"""Callers that may wait; the others of the port's places are for scoring."""
POLL_SECONDS: Final = 0.05


class NotWrittenError(Exception):
    """The decision is not known to be in the topic; the message says why."""


class Feedback:
    """The writer; `write` may be called from several threads.

    Args:
        topic: of decisions.
        open_producer: opens the client; called again after one that failed fatally, or whose record
            Kafka did not acknowledge.
        monotonic: seconds.
    """

    def __init__(
        self,
        topic: str,
        open_producer: Callable[[], Any],
        *,
        seconds: float = SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._open = open_producer
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._producer: Any = None

    def write(self, key: bytes, value: bytes, headers: Headers) -> None:
        """Return once the topic has it. Raises NotWrittenError."""
        if not self._places.acquire(blocking=False):
            raise NotWrittenError(f"{AT_ONCE} decisions wait for Kafka already; try again later.")
        try:
            self._write(key, value, headers)
        finally:
            self._places.release()

    def _write(self, key: bytes, value: bytes, headers: Headers) -> None:
        try:
            producer = self._client()
        except ConfigurationError as error:
            raise NotWrittenError(str(error)) from None
        reports: list[kafka.KafkaError | None] = []
        try:
            producer.produce(
                self._topic,
                key=key,
                value=value,
                headers=headers,
                on_delivery=lambda error, _: reports.append(error),
            )
        except (BufferError, kafka.KafkaException) as error:
            raise self._failed(producer, error) from None
        until = self._monotonic() + self._seconds
        while not reports and self._monotonic() < until:
            producer.poll(POLL_SECONDS)
        if not reports:
            raise self._failed(producer, None)
        if reports[0] is not None:
            raise self._failed(producer, kafka.KafkaException(reports[0]))

    def _client(self) -> Any:  # noqa: ANN401 - a producer
        with self._lock:
            if self._producer is None:
                self._producer = self._open()
            return self._producer

    def _failed(self, producer: object, error: Exception | None) -> NotWrittenError:
        """Return the error; drop a producer that failed fatally or got no answer.

        After its topic was created again, a producer may send to the old leader for ever
        (librdkafka 2.16; its issue 4898).
        """
        why, finished = f"Kafka did not acknowledge it within {self._seconds:.0f} s", error is None
        if isinstance(error, kafka.KafkaException):
            cause = error.args[0]
            timed_out = cause.code() == kafka.KafkaError._MSG_TIMED_OUT  # noqa: SLF001 - its name
            why, finished = cause.str(), cause.fatal() or timed_out
        elif error is not None:
            why = "too many decisions wait for Kafka"
        if finished:
            with self._lock:
                if self._producer is producer:
                    self._producer = None
        log.warning("write a decision to %s: %s", self._topic, why)
        return NotWrittenError(f"the decision was not stored: {why}; try again later.")


def feedback(settings: Settings) -> Feedback | None:
    """Return the writer of the settings' feedback topic; None where there is none."""
    if not settings.feedback_topic or not settings.kafka_bootstrap_servers:
        return None
    options = kafka_config.single_records(settings, SECONDS) | {"error_cb": kafka.log_error}
    return Feedback(settings.feedback_topic, lambda: kafka.open_producer_with(options))
