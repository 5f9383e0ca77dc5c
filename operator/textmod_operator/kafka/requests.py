"""One admin client, and what its failures are to an object: the condition's reason and sentence."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from textmod_operator import metrics
from textmod_operator.errors import TopicsNotReady
from textmod_operator.kafka.connection import (
    REQUEST_SECONDS,
    UNREACHABLE,
    Causes,
    client_config,
    no_token,
    problem,
    unreachable,
    words,
)
from textmod_operator.kafka.tokens import TokenError, ask_aws
from textmod_operator.state import KafkaConnection

MakeClient = Callable[[dict[str, Any]], AdminClient]
ALLOWED: Final = object()
"""The result of a request that failed as it was allowed to."""


class AdminRequests:
    """The client of one Kafka cluster. Thread-safe.

    Raises:
        TopicsNotReady: from every method, with the reason, when the brokers can't be reached, don't
            know us, or refuse.
    """

    def __init__(self, connection: KafkaConnection, make_client: MakeClient = AdminClient) -> None:
        self._connection = connection
        self._causes = Causes(connection)
        _require_aws(connection)
        config = {
            **client_config(connection, "textmod-operator"),
            "topic.metadata.refresh.interval.ms": -1,  # the topics are listed anyway
        }
        try:
            self.client = make_client({**config, "error_cb": self._causes.note})
        except KafkaException as exception:
            raise unreachable("making a Kafka client", words(exception)) from exception

    def list_topics(self) -> dict[str, Any]:
        """Name → metadata of every topic that we may see, in one request."""
        metrics.KAFKA_REQUESTS.labels("list_topics").inc()
        try:
            listed = self.client.list_topics(timeout=REQUEST_SECONDS).topics
        except KafkaException as exception:
            raise self._problem(exception.args[0], "listing the topics") from exception
        self._causes.clear()
        return dict(listed)

    def result(self, future: Future[Any], doing: str, allowed: int | None = None) -> Any:  # noqa: ANN401
        """Wait for a request's result.

        Args:
            future: of the request.
            doing: the request, for the condition, such as "creating topic x".
            allowed: an error code with which it may fail; the result is then `ALLOWED`.
        """
        try:
            result = future.result(REQUEST_SECONDS * 2)
        except KafkaException as exception:
            error = exception.args[0]
            if error.code() == allowed:
                return ALLOWED
            raise self._problem(error, doing) from exception
        except TimeoutError as exception:
            metrics.KAFKA_ERRORS.inc()
            raise unreachable(doing, self._causes.sentence()) from exception
        self._causes.clear()
        return result

    def close(self) -> None:
        """Close the connections. Nothing may be asked afterwards."""
        close_client(self.client)

    def _problem(self, error: KafkaError, doing: str) -> TopicsNotReady:
        metrics.KAFKA_ERRORS.inc()
        self.client.poll(0)  # hands the client's own errors to error_cb
        return problem(self._connection, error, doing, self._causes)


def close_client(client: AdminClient) -> None:
    """Close the connections of a client and end its threads, whoever still refers to it.

    Dropping the last reference would do so too, but the traceback of an error, a profiler or a
    debugger may hold one for ever; and if the garbage collector happens to find the client on one
    of the client's own threads, librdkafka aborts the process.
    """
    client.__exit__(None, None, None)


def is_refusal(problem: TopicsNotReady) -> bool:
    """Whether the brokers answered and said no: asking again soon would not change that."""
    cause = problem.__cause__
    if not isinstance(cause, KafkaException) or problem.reason == "AuthenticationFailed":
        return False
    error = cause.args[0]
    return error.code() not in UNREACHABLE and not error.retriable()


def _require_aws(connection: KafkaConnection) -> None:
    """Ask for a token before the client does, which then waits ten seconds and keeps the reason."""
    if connection.aws_region is None:
        return
    try:
        ask_aws(connection.aws_region)
    except TokenError as error:
        raise no_token(connection, str(error)) from error
