"""Which topic of its name each partition of the input is read from, by Kafka's topic ids.

A topic that is deleted and created again has the name and the offsets of the old one:

- A stale position, or an offset that was committed late, is within the new topic once that is long
  enough, and what is before it would never be read. So the topic's id is written beside every
  committed offset, an offset of another topic is not taken, and a client that has read another
  topic is opened again.
- Its messages would get the ids of other texts. The topic that the stream began with has plain
  ids, `topic/partition/offset`; a later one has its own id behind the name:
  `topic@id/partition/offset`.

Brokers before Kafka 2.8 have no topic ids: there nothing of this is noticed.

MirrorMaker copies committed offsets to another cluster, translated to the mirrored topic and with
what stands beside them. That topic has another id, and is the same stream: so the cluster's id is
written too, and the offset with a note of another cluster is taken like one without a note. No
member commits for another cluster by mistake: the coordinator refuses who is not in its group.
"""

import logging
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from textmod_model.settings import Settings
from textmod_model.stream.records import Message, Renamed

log = logging.getLogger(__name__)

ASK_SECONDS: Final = 30.0
"""Between two questions while nothing happens."""

SILENCE_SECONDS: Final = 10.0
"""After so long without an answer, do not wait for one: some brokers deny the request for good."""

ANSWER_SECONDS: Final = 0.25
"""The longest wait for an answer at a time."""

_NOTE: Final = re.compile(
    r"(?:^|;)topic=([\w-]{22})(?:;cluster=([\w.:-]{1,128}))?(?:;|$)", re.ASCII
)
_CLUSTER: Final = re.compile(r"[\w.:-]{1,128}", re.ASCII)
"""Kafka's own ids have 22 characters; others', such as `redpanda.<UUID>`, more. Notes of offsets
have at most 4,096 (`offset.metadata.max.bytes`)."""


class Topic(NamedTuple):
    """One of the topics that have had the input's name."""

    id: str
    """Kafka's topic id; empty: not known, or there is none."""
    cluster: str
    """The id of the cluster that it is in; empty likewise."""


_UNKNOWN: Final = Topic("", "")


class TopicIds(Protocol):
    """Asks the brokers for the input topic's id, in the background."""

    def ask(self) -> None:
        """Send a request; the answer to an earlier one is not wanted any more."""
        ...

    @property
    def asked(self) -> bool:
        """Whether an answer is to come."""
        ...

    def answer(self, wait_seconds: float) -> Topic | None:
        """Return the topic, once; None: there is no answer yet, or the request failed."""
        ...


class InputIdentity:
    """Follows the topic's id, and which partitions were started on which topic.

    Args:
        topic: the name.
        first: the id of the topic that the stream began with; empty: not known.
        ids: asks for the topic's id; None: ids are not looked at.
        clock: monotonic seconds.
    """

    def __init__(
        self, topic: str, first: str, ids: TopicIds | None, clock: Callable[[], float]
    ) -> None:
        self._topic = topic
        self._first = url_safe(first)
        self._ids = ids
        self._clock = clock
        self._current = _UNKNOWN
        """As of the last answer."""
        self._client_knows = ""
        """The first id that was answered since the client was opened."""
        self._uncertain_since: float | None = None
        """When it became doubtful; None: it is certain."""
        self._ask_at = 0.0
        self._started: dict[int, Topic] = {}
        """Partitions that are read, and the topic then."""
        self._claimed: dict[int, Topic] = {}
        """The topic that partitions which are about to start were committed for."""
        self._names: dict[int, str] = {}
        """What stands for the topic in the ids of messages, where that is not its name."""
        self.ask()

    @classmethod
    def of(
        cls, settings: Settings, ids: TopicIds | None, clock: Callable[[], float]
    ) -> "InputIdentity":
        """Follow the input topic of the settings."""
        return cls(settings.input_topic, settings.input_topic_id, ids, clock)

    # --- the topic's id ---------------------------------------------------------------------------

    def ask(self) -> None:
        """Ask for the id anew: the topic may have been created again."""
        if self._ids is None:
            return
        now = self._clock()
        self._ids.ask()
        self._ask_at = now + ASK_SECONDS
        self._uncertain_since = now

    def look(self) -> None:
        """Take an answer, and ask now and then; call it every second."""
        if self._ids is None:
            return
        self._take(0)
        if self._clock() >= self._ask_at:
            self._ask_at = self._clock() + ASK_SECONDS
            self._ids.ask()

    def _certain(self) -> bool:
        """Tell whether the id is that of the topic as it is now; wait a moment for the answer."""
        if self._uncertain_since is None or self._ids is None:
            return True
        if not self._ids.asked:
            self._ids.ask()
        self._take(ANSWER_SECONDS)
        since = self._uncertain_since
        return since is None or self._clock() - since > SILENCE_SECONDS

    def _take(self, wait_seconds: float) -> None:
        found = None if self._ids is None else self._ids.answer(wait_seconds)
        if found is None:
            return
        self._uncertain_since = None
        cluster = found.cluster if _CLUSTER.fullmatch(found.cluster) else ""
        self._current = Topic(url_safe(found.id), cluster)
        self._client_knows = self._client_knows or self._current.id
        for partition, topic in self._started.items():
            if topic.id in ("", self._current.id):  # started before the first answer
                self._started[partition] = self._current
                self._name(partition)

    @property
    def is_another(self) -> bool:
        """Whether the topic is another one than the client was opened with, or a partition began.

        Such a client may never read it: librdkafka (2.16; its issue 4898) takes no leader whose
        epoch is lower than one that it knows, whichever topic that was of.
        """
        now = self._current.id
        return bool((now and now != self._client_knows) or self.replaced())

    def reopened(self) -> None:
        """Note that a new client takes the place of the last: no partition is read yet."""
        self._client_knows = self._current.id
        for known in (self._started, self._claimed, self._names):
            known.clear()

    # --- partitions -------------------------------------------------------------------------------

    def start_at(self, partition: int, offset: int, note: str) -> int | None:
        """Return where to start a partition; negative: at its beginning. None: not known yet.

        Args:
            partition: its number.
            offset: the committed one; negative: none.
            note: what stands beside it.
        """
        self._claimed.pop(partition, None)
        found = _NOTE.search(note.rstrip("\0"))  # a client may leave a C string's end
        if offset >= 0 and found is None:
            return offset
        noted = _UNKNOWN if found is None else Topic(found[1], found[2] or "")
        same = offset >= 0 and noted.id == self._current.id
        if not same and not self._certain():
            return None
        now = self._current
        if offset < 0:
            return -1
        if noted.cluster and now.cluster and noted.cluster != now.cluster:
            text = "offset %d of partition %d was copied from cluster %s: reading on there"
            log.info(text, offset, partition, noted.cluster)
            return offset
        if now.id in ("", noted.id):
            # If a later answer is another, the partition is started again then.
            self._claimed[partition] = noted
            return offset
        text = "offset %d of partition %d is of an earlier topic %s: reading from the beginning"
        log.error(text, offset, partition, self._topic)
        return -1

    def is_same(self, partition: int) -> bool:
        """Tell whether the topic is known to be the one that the partition was started on."""
        return self._certain() and partition not in self.replaced()

    def started(self, partitions: Iterable[int]) -> None:
        """Note that these are read from now on."""
        for partition in partitions:
            if partition not in self._started:
                topic = self._claimed.pop(partition, self._current)
                self._started[partition] = self._current if topic.id == self._current.id else topic
                self._name(partition)

    def forget(self, partition: int) -> None:
        """Drop a partition that is not read any more."""
        self._started.pop(partition, None)
        self._names.pop(partition, None)

    def named(self, message: Message) -> Message:
        """Return the message, under the name that stands in its ids."""
        name = self._names.get(message.partition() or 0) if self._names else None
        return message if name is None else Renamed(message, name)

    def replaced(self) -> set[int]:
        """Return the partitions that were started on a topic that is gone."""
        now = self._current.id
        return {p for p, topic in self._started.items() if topic.id and now and topic.id != now}

    def beside(self, partition: int, speed: str, spent: str) -> str:
        """Return what to write beside the partition's offset: the topic, if known, and these."""
        topic = self._started.get(partition, _UNKNOWN)
        which = topic.id and f"topic={topic.id}"
        where = topic.id and topic.cluster and f"cluster={topic.cluster}"
        return ";".join(filter(None, (speed, which, where, spent)))

    def _name(self, partition: int) -> None:
        topic = self._started[partition].id
        if self._first and topic and topic != self._first:
            self._names[partition] = f"{self._topic}@{topic}"


def url_safe(topic_id: str) -> str:
    """Return an id as Kafka's own tools write it; the client has another Base64. Zeros: none."""
    return "" if topic_id == "A" * 22 else topic_id.replace("+", "-").replace("/", "_")
