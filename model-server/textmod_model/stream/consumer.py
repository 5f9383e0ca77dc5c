"""Reading the input topic as a member of its consumer group.

The consumer knows nothing of what becomes of a message. Calls that may run into a rebalance take
the `Revocation` to run through before partitions are given up.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, cast

from textmod_model.budget import scoring_seconds
from textmod_model.errors import StreamError
from textmod_model.health import Health
from textmod_model.policies.allowance import Allowance
from textmod_model.settings import Settings
from textmod_model.stream import kafka_config, statistics
from textmod_model.stream.commits import Commits
from textmod_model.stream.group_view import CoordinatorsView, GroupView
from textmod_model.stream.input_identity import InputIdentity, TopicIds
from textmod_model.stream.kafka import (
    ClientMessage,
    Consumer,
    KafkaError,
    TopicPartition,
    is_unsupported,
    log_error,
    open_consumer,
)
from textmod_model.stream.leaving import leave
from textmod_model.stream.membership import Membership
from textmod_model.stream.ownership import Ownership
from textmod_model.stream.records import Message, with_headers, within
from textmod_model.stream.revocation import Revocation
from textmod_model.stream.speed import Speed
from textmod_model.stream.watchdog import Watchdog

log = logging.getLogger(__name__)

BATCH_BYTES = 1 << 20
"""Of values and headers in one batch, on a core: what is scored at a go must take little memory
and, however new its words are, no more than seconds, or the loop would not turn."""

SMALLEST_BATCH_BYTES = 1 << 16
"""The same on a small share of a core."""

SERVE_SECONDS = 10.0
"""How long the client may not be called while batches of what was read are worked off: rebalances
and the brokers' errors wait for it. Each time, what it has fetched since is fetched again."""

MESSAGE_BYTES = 256
"""What a queued message takes besides its value, about; for `StallDetector` alone."""

CHECK_SECONDS = 1.0
WARN_SECONDS = 60.0
"""Between two log lines about the same error: the client may report it with every fetch."""

PENDING_SECONDS = 0.1
"""The longest wait for messages while a partition still waits for its start offset."""

PROTOCOLS = ("consumer", "classic")
"""Kafka's group protocols, the better one first (KIP-848; brokers since 4.0)."""


class GroupConsumer:
    """A consumer with its membership and offsets.

    It connects in the background once it is made, and joins when messages are first asked for: what
    the group assigns must not wait for the application (see `membership`). Use from one thread.

    Args:
        settings: the server's settings.
        group: asks the group's coordinator for its view; None: no check against it.
        owners: the same before the first commit of a partition (KIP-848, exactly once).
        topic_ids: asks for the input topic's id; None: it is not looked at.
        health: gets what this consumer learns of brokers and of partitions that stand still.
        speed: reported in the metadata of every offset.
        connect: opens the client.
        clock: monotonic seconds.
        wall: Unix seconds, by which budgets a day are counted.
        cores: the container's CPU limit; infinite: there is none.
        largest: bytes of the largest message that is scored.
    """

    def __init__(
        self,
        settings: Settings,
        health: Health,
        speed: Speed,
        *,
        group: CoordinatorsView | None = None,
        owners: CoordinatorsView | None = None,
        topic_ids: TopicIds | None = None,
        connect: Callable[[dict[str, Any]], Consumer] = open_consumer,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        cores: float = 1.0,
        largest: int = 0,
    ) -> None:
        self._settings = settings
        self._batch_bytes = max(SMALLEST_BATCH_BYTES, int(BATCH_BYTES * min(1.0, cores)))
        self._batch_seconds = scoring_seconds(max(self._batch_bytes, largest), cores)
        self.speed = speed
        self._health = health
        self._connect = connect
        self._clock = clock
        self._revocation: Revocation | None = None
        """Of the running call; None before the first message is asked for."""
        self._lost: set[int] = set()
        """Partitions given up during the running call of the consumer."""
        self._carried: list[Message] = []
        self._ends: dict[int, int] = {}
        """Where our partitions end, as of the last statistics."""
        self._protocols = list(PROTOCOLS)
        self._watchdog = Watchdog(settings.input_topic, health)
        self._group, self._owners = group, owners
        self._view = GroupView()
        self._identity = InputIdentity.of(settings, topic_ids, clock)
        self._commits = Commits(settings, self._identity, speed, self._partitions, wall)
        self._check_at = 0.0
        self._serve_at = 0.0
        """When the client is to be called, if it was not before."""
        self._warn_at: dict[int, float] = {}
        """When an error with this code is logged again."""
        self._consumer = self._open()

    # --- reading ----------------------------------------------------------------------------------

    @property
    def more_waits(self) -> bool:
        """Whether the last batch was cut short: the next is here already."""
        return bool(self._carried)

    def fetch(
        self, most: int, wait: float, linger: float = 0.0, revocation: Revocation | None = None
    ) -> list[Message]:
        """Return what is there, at most `most` messages of BATCH_BYTES in all, or one larger one.

        Args:
            most: the batch's size.
            wait: seconds to wait for a first message if there is none.
            linger: seconds to wait for a batch to fill that a first message has begun.
            revocation: what to do if partitions are revoked meanwhile.

        Raises:
            StreamError: the group removed this member for good.
        """
        self._revocation = revocation
        now = self._clock()
        if now >= self._check_at:
            self._check_at = now + CHECK_SECONDS
            self._membership.start_pending(self._consumer)
            self._watchdog.check(now, self._consumer, self._membership)
            self._look_at_group(now)
            self._look_at_topic()
            self._commits.look(self._consumer)
        if self._carried and now >= self._serve_at:
            self.hold(revocation)  # else more would be carried each time
            self.resume()
        messages = self._carried or self._fetch(most, wait, linger)
        if not messages:
            self._watchdog.stall.empty_fetches += 1
            return messages
        count, size = within(messages[:most], self._batch_bytes)
        self._watchdog.stall.bytes_read += size + count * MESSAGE_BYTES
        self._carried = messages[count:]
        return messages[:count]

    def _fetch(self, most: int, wait: float, linger: float) -> list[Message]:
        messages = self._more([], most, 0)
        if not messages and wait:
            if self._membership.pending:
                wait = min(wait, PENDING_SECONDS)
            messages = self._more([], 1, wait)
            linger = 0
        if messages and len(messages) < most:
            messages = self._more(messages, most, linger)
        return messages

    def _more(self, have: list[Message], most: int, wait: float) -> list[Message]:
        """Read on; a rebalance meanwhile takes away what we had of the partitions given up.

        Only what we had: what this very call returns of such a partition was read after it came
        back (librdkafka drops the rest itself), and would be lost if it were dropped.
        """
        self._lost.clear()
        more = self._consume(most - len(have), wait)
        if self._lost:
            have = [message for message in have if message.partition() not in self._lost]
        return have + more

    def lags(self) -> dict[int, int]:
        """Return how far behind each of our partitions is, in messages; unknown ones left out."""
        return self._commits.lags(self._ends)

    @property
    def allowance(self) -> Allowance:
        """Of the budgets of policies."""
        return self._commits.allowance

    def store(self, offsets: dict[int, int]) -> None:
        """Mark offsets as done; they're committed soon, and before a partition is given up."""
        self._commits.store(self._consumer, offsets)

    def topic_partitions(self, offsets: dict[int, int]) -> list[TopicPartition]:
        """Return the offsets of partitions that are still ours, as the client takes them."""
        return self._commits.topic_partitions(offsets)

    def _partitions(self) -> int | None:
        return self._membership.size(self._consumer)

    def confirm(self, partitions: set[int]) -> bool:
        """Give up partitions that another member read on; return False while that is unknown."""
        ours = self._ownership.confirmed(self._consumer.memberid(), partitions)
        moved = self._membership.displaced(self._consumer, partitions) if ours else None
        if moved:
            self._carried = [one for one in self._carried if one.partition() not in moved]
            self._give_up(moved)
        return moved is not None

    def group_metadata(self) -> object:
        """Return this member's identity in the group, for a transaction's offsets."""
        return self._consumer.consumer_group_metadata()

    def hold(self, revocation: Revocation | None = None) -> None:
        """Stay a member of the group while reading nothing; call it every few seconds."""
        self._revocation = revocation
        self._membership.pause(self._consumer)
        self._carried = self._more(self._carried, len(self._carried) + 1, 0)
        self._membership.start_pending(self._consumer)
        now = self._clock()
        self._watchdog.excuse(now, self._consumer, self._membership)
        if now >= self._check_at and self._ownership.unconfirmed(self._membership.partitions):
            self._check_at = now + CHECK_SECONDS
            self._look_at_group(now)  # what it never confirms would be held for ever

    def resume(self) -> None:
        """Read again after `hold`."""
        self._membership.resume(self._consumer)

    def close(self, revocation: Revocation | None = None) -> None:
        """Commit and leave the group."""
        self._revocation = revocation
        leave(
            self._consumer,
            joins=lambda: self._subscribed and not self._joined,
            reads=lambda: bool(self._membership.partitions),
            poll=self._poll,
            clock=self._clock,
        )

    def _poll(self, wait: float) -> None:
        """Serve callbacks and events; messages read meanwhile are for the next member."""
        message = self._consumer.poll(wait)
        if message is not None and (error := message.error()) is not None:
            self._event(message, error)

    def _consume(self, most: int, wait: float) -> list[Message]:
        if not self._subscribed:
            self._subscribe()
        good: list[Message] = []
        found = self._consumer.consume(most, wait)
        self._serve_at = self._clock() + SERVE_SECONDS
        for message in found:
            error = message.error()
            if error is None:
                good.append(with_headers(self._identity.named(cast("Message", message))))
            else:
                self._event(message, error)
        if good:
            self._health.denied = None
        return good

    def _event(self, event: ClientMessage, error: KafkaError) -> None:
        """Handle what the client returns instead of a message."""
        code, partition = error.code(), event.partition()
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's name
            self._watchdog.stall.reached_end(partition or 0, event.offset() or 0)
        elif error.fatal() or code == KafkaError._FATAL:  # noqa: SLF001 - librdkafka's name
            if not is_unsupported(error) or len(self._protocols) == 1:
                raise StreamError(f"The consumer group ended this member: {error.str()}.")
            log.info("the broker has no %s group protocol", self._protocols.pop(0))
            self._consumer.close()
            self._consumer = self._open()
        elif code == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - librdkafka's name
            self._membership.out_of_range(self._consumer, partition or 0)
        else:
            topic, now = self._settings.input_topic, self._clock()
            if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                self._health.denied = f"The topic {topic} may not be read: {error.str()}."
            if now >= self._warn_at.get(code, now):
                self._warn_at[code] = now + WARN_SECONDS
                log.warning("read %s: %s", topic, error.str())

    # --- membership -------------------------------------------------------------------------------

    def _open(self) -> Consumer:
        options = kafka_config.consumer(
            self._settings, self._protocols[0], batch_seconds=self._batch_seconds
        )
        self._membership = Membership(
            self._settings.input_topic,
            self._identity,
            cooperative=kafka_config.is_cooperative(options),
            clock=self._clock,
            noted=self._commits.allowance.load,
        )
        by_protocol = self._owners if self._protocols[0] == "consumer" else None
        self._ownership = Ownership(by_protocol, self._clock)
        self._commits.begin(self._membership)
        callbacks = {"error_cb": self._error, "stats_cb": self._statistics}
        self._subscribed = self._joined = False
        self._ends = {}
        self._identity.reopened()
        return self._connect(options | callbacks | {"on_commit": self._commits.committed})

    def _subscribe(self) -> None:
        callbacks = {"on_assign": self._assigned, "on_revoke": self._revoked, "on_lost": self._gone}
        self._consumer.subscribe([self._settings.input_topic], **callbacks)
        self._subscribed = True

    def _look_at_group(self, now: float) -> None:
        """Rejoin the group if the coordinator and this member differ for too long."""
        if self._group is None or self._protocols[0] != "consumer":
            return
        reads = frozenset(self._membership.partitions)
        issue = self._view.look(now, self._group, self._consumer.memberid(), reads)
        if issue is not None:
            log.warning(
                "the group's coordinator and this member differ on partitions %s; rejoining",
                sorted(issue) or "of all",
            )
            self._reopen()

    def _look_at_topic(self) -> None:
        """Open a new client if the input topic was created again, or is a mirror now.

        Messages of the old topic that were read already are returned first.
        """
        self._identity.look()
        if self._carried or not self._identity.is_another:
            return
        log.error("topic %s was created again or mirrored: rejoining", self._settings.input_topic)
        self._reopen()

    def _reopen(self) -> None:
        """Leave the group, and join it with a new client."""
        self.close(self._revocation)
        self._give_up(set(self._membership.partitions))  # those that were not revoked in time
        self._carried = []
        self._consumer = self._open()

    def _error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - says that, not why
            self._health.kafka_error = error.str()
        log_error(error)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._health.kafka_seen = self._clock()
        numbers = sorted(one.partition for one in partitions)
        log.info("assigned partitions %s", numbers)
        if numbers:
            self._health.denied = None
        if self._joined and numbers:
            self._identity.ask()
        self._joined = True
        self._take(consumer, numbers)

    def _take(self, consumer: Consumer, numbers: list[int]) -> None:
        self._membership.assign(consumer, numbers)
        self._ownership.assigned(numbers)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        leaving = {one.partition for one in partitions}
        if foreign := self._ownership.unconfirmed(leaving):
            self._give_up(foreign)  # another member may have them: finish nothing of them
        if self._revocation is not None and leaving - foreign:
            self._revocation.before_revoke(leaving - foreign)
        self._commits.finish(consumer, leaving)
        self._drop(consumer, leaving)

    def _gone(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._drop(consumer, {one.partition for one in partitions})

    def _drop(self, consumer: Consumer, partitions: set[int]) -> None:
        self._membership.unassign(consumer, partitions)
        self._give_up(partitions)
        log.info("gave up partitions %s", sorted(partitions))

    def _give_up(self, partitions: set[int]) -> None:
        """Drop what was read of partitions and is not written."""
        self._lost |= partitions
        self._ownership.forget(partitions)
        self._commits.forget(partitions)
        if self._revocation is not None:
            self._revocation.after_revoke(partitions)

    # --- statistics -------------------------------------------------------------------------------

    def _statistics(self, text: str) -> None:
        """Take from librdkafka's own figures what health and the lag metric need."""
        figures = statistics.read(text, self._settings.input_topic)
        if figures.connected:
            self._health.kafka_seen = self._clock()
        self._view.note(figures.troubles)
        owned = self._membership.partitions
        self._ends = {p: end for p, end in figures.ends.items() if p in owned}
        self._membership.topic_size = figures.partitions or self._membership.topic_size
