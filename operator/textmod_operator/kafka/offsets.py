"""What is asked of groups' coordinators: one request per broker, whatever the number of groups.

Kafka answers for many groups at once (OffsetFetch v8, KIP-709), but librdkafka asks for one group
a request, and ends the whole process if a coordinator has moved (librdkafka#5040) or the connection
to it breaks just then (librdkafka#4605). So these questions go through kafka-python, and nothing
else does.
"""

from __future__ import annotations

import logging
import ssl
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, NoError, SaslAuthenticationFailedError
from kafka.net.sasl.oauth import AbstractTokenProvider
from kafka.structs import OffsetAndMetadata, TopicPartition

from textmod_operator import metrics
from textmod_operator.kafka.connection import pem_blocks
from textmod_operator.kafka.tokens import TokenError, TokenSource, ask_aws, ask_provider
from textmod_operator.state import KafkaConnection

logger = logging.getLogger(__name__)

Partition = tuple[str, int]
"""Topic and partition number."""


_MEMBERLESS = frozenset({"Empty", "Dead"})
_REBALANCING: Final = ("PREPARING_REBALANCE", "COMPLETING_REBALANCE")
"""Groups of the classic protocol. The newer one (KIP-848) has no pause to wait for."""


class Committed(NamedTuple):
    """A committed offset, and what its committer wrote beside it ("" for nothing)."""

    offset: int
    metadata: str


class OffsetsError(Exception):
    """A group could not be asked or set; the sentence says why, without a full stop."""


class GroupOffsets:
    """Reads and sets the committed offsets on one Kafka cluster. Connects at the first request; not
    thread-safe.

    `request_seconds` bounds every request and the first connection.
    """

    def __init__(self, connection: KafkaConnection, *, request_seconds: float) -> None:
        self._connection = connection
        self._milliseconds = int(request_seconds * 1000)
        self._tokens = _token_source(connection, request_seconds)
        self._client: KafkaAdminClient | None = None
        self._refused: set[str] = set()
        """Groups that may not be read. They are asked alone, so that they spoil no batch."""

    def fetch(
        self, groups: Mapping[str, Iterable[Partition]]
    ) -> dict[str, dict[Partition, Committed] | str]:
        """Committed offsets by group and partition; those that have none are left out. For a group
        that could not be read, the sentence that says why, without a full stop."""
        together = {group: at for group, at in groups.items() if group not in self._refused}
        alone = set(groups) - set(together)
        found: dict[str, dict[Partition, Committed] | str] = {}
        try:
            found.update(self._ask(together, again=True))
        except KafkaError as error:
            metrics.KAFKA_ERRORS.inc()
            if error.retriable:
                self.close()
                return dict.fromkeys(groups, _sentence(error))
            alone = set(groups)
        for group in alone:
            try:
                found.update(self._ask({group: groups[group]}))
                self._refused.discard(group)
            except KafkaError as error:
                metrics.KAFKA_ERRORS.inc()
                found[group] = _sentence(error)
                self._refused.add(group)
        self._refused &= groups.keys()
        return found

    def put(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """Set committed offsets of a group that has no members.

        Raises:
            OffsetsError: it has some, we may not, or no broker answers.
        """
        if not offsets:
            return
        given = {
            TopicPartition(*at): OffsetAndMetadata(offset, "", -1) for at, offset in offsets.items()
        }
        try:
            answers = self._connected().alter_group_offsets(group, given)
        except KafkaError as error:
            raise OffsetsError(f"group {group}: {_sentence(error)}") from error
        refused = {error for error in answers.values() if error is not NoError}
        if refused:
            why = ", ".join(sorted(error.__name__ for error in refused))
            raise OffsetsError(f"group {group} does not take offsets ({why})")

    def has_members(self, group: str) -> bool:
        """Return whether the group has members, of either group protocol.

        Raises:
            OffsetsError: no broker answers.
        """
        try:
            listed = self._connected().list_groups()
        except KafkaError as error:
            raise OffsetsError(f"listing the groups: {_sentence(error)}") from error
        states = [item.get("group_state") for item in listed if item.get("group_id") == group]
        return any(state not in _MEMBERLESS for state in states)

    def rebalancing(self) -> set[str]:
        """Return the groups that are known to rebalance now; none where no broker says so, as
        before Kafka 2.6."""
        metrics.KAFKA_REQUESTS.labels("list_groups").inc()
        try:
            listed = self._connected().list_groups(states_filter=_REBALANCING)
        except KafkaError as error:
            metrics.KAFKA_ERRORS.inc()
            logger.info("list the groups that rebalance: %s", _sentence(error))
            self.close()  # a new client learns which brokers there are
            return set()
        return {str(item["group_id"]) for item in listed}

    def close(self) -> None:
        """Close the connections. Idempotent."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(
        self, groups: Mapping[str, Iterable[Partition]], *, again: bool = False
    ) -> dict[str, dict[Partition, Committed]]:
        if not groups:
            return {}
        metrics.KAFKA_REQUESTS.labels("fetch_group_offsets").inc()
        client = self._connected()
        try:
            answer = client.list_group_offsets(
                {group: [TopicPartition(*p) for p in at] for group, at in groups.items()}
            )
        except KafkaError:
            if not again:
                raise
            self.close()  # the coordinator may have moved: a new client asks where it is
            return self._ask(groups)
        return {
            group: {
                (at.topic, at.partition): _committed(committed)
                for at, committed in offsets.items()
                if committed.offset >= 0
            }
            for group, offsets in answer.items()
        }

    def _connected(self) -> KafkaAdminClient:
        if self._client is None:
            if self._tokens is not None:
                _give(self._tokens)  # the library shows a refused one as brokers out of reach
            self._client = _Client(
                **_settings(self._connection, self._tokens),
                client_id="textmod-lag",
                request_timeout_ms=self._milliseconds,
                bootstrap_timeout_ms=self._milliseconds,
            )
        return self._client


class _Client(KafkaAdminClient):  # type: ignore[misc]  # the library ships no types
    """Closes its thread and sockets when the first connection fails: the library (3.0.12) leaves
    them behind at every attempt."""

    def __init__(self, **settings: object) -> None:
        try:
            super().__init__(**settings)
        except BaseException:
            if hasattr(self, "_client"):
                self._closed = False
                self.close()
            raise


def _give(tokens: TokenSource) -> str:
    try:
        return tokens.token()
    except TokenError as error:
        raise SaslAuthenticationFailedError(str(error)) from None


class _Tokens(AbstractTokenProvider):  # type: ignore[misc]  # the library ships no types
    """The library's way to ask for a token, at every login."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    def token(self) -> str:
        return _give(self._source)


def _token_source(connection: KafkaConnection, seconds: float) -> TokenSource | None:
    oauth, region = connection.oauth, connection.aws_region
    if oauth is not None:
        return TokenSource(lambda: ask_provider(oauth, seconds))
    return None if region is None else TokenSource(lambda: ask_aws(region))


def _settings(connection: KafkaConnection, tokens: TokenSource | None) -> dict[str, Any]:
    """The connection as kafka-python's settings."""
    settings: dict[str, Any] = {
        "bootstrap_servers": connection.bootstrap_servers.split(","),
        "security_protocol": connection.security_protocol,
    }
    if tokens is not None:
        settings |= {
            "sasl_mechanism": "OAUTHBEARER",
            "sasl_oauth_token_provider": _Tokens(tokens),
        }
    elif connection.sasl_mechanism:
        settings |= {
            "sasl_mechanism": connection.sasl_mechanism,
            "sasl_plain_username": connection.sasl_username,
            "sasl_plain_password": connection.sasl_password,
        }
    if connection.tls:
        settings["ssl_context"] = _tls(connection)
    return settings


def _tls(connection: KafkaConnection) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=connection.ca_pem and pem_blocks(connection.ca_pem))
    if connection.certificate_pem and connection.key_pem:
        # Python reads a client's certificate only from a file: one of ours alone, for a moment.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as both:
            both.write(f"{connection.key_pem}\n{connection.certificate_pem}")
            both.flush()
            context.load_cert_chain(Path(both.name))
    return context


def _committed(found: OffsetAndMetadata) -> Committed:
    """confluent-kafka (2.16) counts the NUL that ends a C string as part of the metadata."""
    return Committed(found.offset, (found.metadata or "").removesuffix("\0"))


def _sentence(error: KafkaError) -> str:
    return str(error).rstrip(".") or type(error).__name__
