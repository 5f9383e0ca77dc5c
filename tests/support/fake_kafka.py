"""A Kafka cluster in memory whose clients behave as librdkafka 2.16 does, faults included.

Only what the model server uses of confluent_kafka. Deterministic: no threads, no sleeps; what a
broker does by itself happens when a test says so. What is modelled because something broke on it:

- the pause state belongs to the client's copy of a partition and outlives its assignment;
- rebalance callbacks run inside `consume` and `poll`; a callback that does not assign leaves that
  to the client, which then looks up committed offsets itself;
- while a transaction's offsets are pending, `committed` times out for any request that names the
  partition; a client that looks them up itself and whose assignment changes meanwhile starts the
  partition without an offset, as `auto.offset.reset` says;
- an offset that was stored and not committed is dropped when its partition is unassigned;
- by itself the client commits no offset that is not beyond the last that it committed of the
  partition, whatever became of the partition since;
- the eager protocol refuses `incremental_assign`, the cooperative one `assign`;
- a member that does not call its client for `max.poll.interval.ms` is out of the group.
"""

import contextlib
from collections import defaultdict, deque
from types import SimpleNamespace

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, KafkaException, TopicPartition

from textmod_model.stream.input_identity import Topic

UNSET = -1001


class FakeMessage:
    """A consumed record, or an event in the place of one."""

    def __init__(
        self, partition, offset, value=b"x", key=b"k", *, topic="in", error=None, headers=None
    ):
        self._fields = (topic, partition, offset, key, value)
        self._headers = headers
        self._error = error

    def __len__(self):
        return len(self._fields[4] or b"")

    def topic(self):
        return self._fields[0]

    def partition(self):
        return self._fields[1]

    def offset(self):
        return self._fields[2]

    def key(self):
        return self._fields[3]

    def value(self):
        return self._fields[4]

    def headers(self):
        return self._headers

    def timestamp(self):
        return (1, 0)

    def error(self):
        return self._error

    @property
    def where(self):
        return (self.partition(), self.offset())


class FakePartition:
    """A log: records by offset; None is a control record, which consumers skip."""

    def __init__(self):
        self.records = []
        self.start = 0

    @property
    def end(self):
        return self.start + len(self.records)

    def at(self, offset):
        return self.records[offset - self.start]


class FakeCluster:
    """The input topic's partitions and one group's committed offsets."""

    def __init__(self, partitions=2, topic="in"):
        self.topic = topic
        self.topic_id = "a" * 22
        self.cluster_id = "cluster-1"
        self.logs = {number: FakePartition() for number in range(partitions)}
        self.committed = {}
        self.notes = {}
        """What stands beside the committed offsets."""
        self.unstable = set()
        """Partitions with offsets of an open transaction."""
        self.unreachable = False
        self.commit_error = None
        """What the next commit of named offsets is answered with."""
        self.moves = 0
        """How often the leaders became ones that clients which are open do not find."""

    def append(self, partition, *values):
        self.logs[partition].records.extend(values)

    def create_again(self, topic_id, *, keeps_offsets=False, moved=False):
        """Delete the topic, and create one of its name; a late commit may outlive that.

        Clients that are open now do not find the leaders of one that has `moved`: their epochs are
        lower than those of the old topic's (librdkafka's issue 4898).
        """
        self.topic_id = topic_id
        self.moves += moved
        self.logs = {number: FakePartition() for number in self.logs}
        if not keeps_offsets:
            self.committed.clear()
            self.notes.clear()

    def fail_over(self, topic_id, cluster_id, translated):
        """Become another cluster, to which the topic and its group's offsets were mirrored."""
        self.topic_id, self.cluster_id = topic_id, cluster_id
        self.logs = {number: FakePartition() for number in self.logs}
        self.committed |= translated

    def truncate(self, partition, start):
        """Delete the records before `start`, as retention does."""
        log = self.logs[partition]
        del log.records[: start - log.start]
        log.start = start


class FakeConsumer:
    """confluent_kafka.Consumer, as one member of the group; tests assign and revoke."""

    def __init__(self, cluster, options, clock=None):
        self.cluster = cluster
        self.clock = clock
        self.options = options
        self.cooperative = options["group.protocol"] == "consumer" or options.get(
            "partition.assignment.strategy", ""
        ).startswith("cooperative")
        self.assigned = {}
        """Partition → next offset to be fetched; UNSET while the client looks it up itself."""
        self.read = {}
        """Partition → offset after the last message that the application got."""
        self.paused = set()
        self.stored = {}
        self.stored_notes = {}
        self.known = {}
        """Partition → the last offset that this client committed."""
        self.moves = cluster.moves
        self.closed = False
        self.refusals = 0
        """How many calls that assign will fail."""
        self.lookups = 0
        self._ended = {}
        self._events = deque()
        self._callbacks = {}
        self._touched = False
        self.evictions = 0
        """How often it lost its partitions because it was not called."""
        self.pauses = 0
        self._called_at = None
        self.frozen = set()
        """Partitions that the client fetches nothing of, for a reason nobody knows."""

    # --- what tests do ---

    def rebalance(self, *, revoked=(), assigned=(), lost=()):
        """Run through a rebalance during the next call that polls."""
        for kind, numbers in (("revoke", revoked), ("lost", lost), ("assign", assigned)):
            if numbers:
                self._events.append((kind, list(numbers)))

    def event(self, error, partition=-1, offset=UNSET):
        self._events.append(("event", FakeMessage(partition, offset, error=error)))

    # --- what the application calls ---

    def subscribe(self, topics, on_assign, on_revoke, on_lost):
        self._callbacks = {"assign": on_assign, "revoke": on_revoke, "lost": on_lost}

    def unsubscribe(self):
        if self.assigned:
            self.rebalance(revoked=list(self.assigned))

    def close(self):
        self.closed = True

    def consume(self, most, wait):
        self._note_call()
        found = self._serve()
        for partition in self.assigned:
            readable = partition not in self.paused | self.frozen
            readable = readable and self.moves == self.cluster.moves
            if readable and self.assigned[partition] != UNSET:
                found += self._read(partition, most - len(found))
        if not found and self.clock is not None:
            self.clock.advance(wait)
        return found

    def _note_call(self):
        if self.clock is None:
            return
        limit, before = self.options["max.poll.interval.ms"] / 1000, self._called_at
        self._called_at = self.clock()
        if before is not None and self.clock() - before > limit and self.assigned:
            self.evictions += 1
            self.event(KafkaError(KafkaError._MAX_POLL_EXCEEDED))
            self.rebalance(lost=list(self.assigned), assigned=list(self.assigned))

    def _read(self, partition, most):
        """Read records; at the end of the log an event, outside of it another."""
        log, offset, found = self.cluster.logs[partition], self.assigned[partition], []
        while log.start <= offset < log.end and len(found) < most:
            if log.at(offset) is not None:
                found.append(FakeMessage(partition, offset, log.at(offset)))
                self.read[partition] = offset + 1
            offset += 1
        outside = not log.start <= offset <= log.end
        if outside and self.options["auto.offset.reset"] == "earliest":
            offset = log.start
        elif outside:
            found.append(self._event(KafkaError._AUTO_OFFSET_RESET, partition, offset))
            offset = UNSET  # its fetcher has stopped
        elif offset == log.end and self._ended.get(partition) != offset and len(found) < most:
            self._ended[partition] = offset
            if self.options.get("enable.partition.eof"):
                found.append(self._event(KafkaError._PARTITION_EOF, partition, offset))
        self.assigned[partition] = offset
        return found

    def poll(self, wait):
        found = self.consume(1, wait)
        return found[0] if found else None

    def assignment(self):
        return [TopicPartition(self.cluster.topic, number) for number in self.assigned]

    def _may_refuse(self):
        if self.refusals:
            self.refusals -= 1
            raise KafkaException(KafkaError(KafkaError._STATE))

    def assign(self, partitions):
        self._may_refuse()
        self._touched = True
        if partitions and self.cooperative and self._callbacks:
            self._refuse("incremental_assign()")
        self._change()
        self._clear()
        self._add(partitions)

    def unassign(self):
        self._touched = True
        self._change()
        self._clear()

    def _clear(self):
        self.assigned, self.read, self.stored, self.stored_notes = {}, {}, {}, {}

    def incremental_assign(self, partitions):
        self._may_refuse()
        self._touched = True
        if not self.cooperative:
            self._refuse("assign()")
        for one in partitions:
            if one.partition in self.assigned:
                raise KafkaException(KafkaError(KafkaError._CONFLICT))
        self._change()
        self._add(partitions)

    def incremental_unassign(self, partitions):
        self._touched = True
        if not self.cooperative:
            self._refuse("unassign()")
        for one in partitions:
            if one.partition not in self.assigned:
                raise KafkaException(KafkaError(KafkaError._INVALID_ARG))
        self._change()
        for one in partitions:
            del self.assigned[one.partition]
            for known in (self.read, self.stored, self.stored_notes):
                known.pop(one.partition, None)

    def committed(self, partitions, timeout):
        self.lookups += 1
        if self.cluster.unreachable or self.cluster.unstable & {p.partition for p in partitions}:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        cluster, numbers = self.cluster, [one.partition for one in partitions]
        return [
            TopicPartition(
                cluster.topic, at, cluster.committed.get(at, UNSET), cluster.notes.get(at, "")
            )
            for at in numbers
        ]

    def position(self, partitions):
        return [self._where(p, self.read.get(p.partition, UNSET)) for p in partitions]

    def offsets_for_times(self, partitions, timeout):
        if self.cluster.unreachable:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        assert all(one.offset == OFFSET_END for one in partitions)
        return [self._where(p, self.cluster.logs[p.partition].end) for p in partitions]

    def list_topics(self, topic, timeout):
        if self.cluster.unreachable:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        found = SimpleNamespace(partitions=dict.fromkeys(self.cluster.logs))
        return SimpleNamespace(topics={topic: found})

    def get_watermark_offsets(self, partition, timeout):
        if self.cluster.unreachable:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        log = self.cluster.logs[partition.partition]
        return log.start, log.end

    def pause(self, partitions):
        self.pauses += 1
        self.paused |= {one.partition for one in partitions}

    def resume(self, partitions):
        for one in partitions:
            if one.partition in self.paused and one.partition in self.assigned:
                # what was fetched and not read is fetched again
                offset = self.read.get(one.partition, self.assigned[one.partition])
                self.assigned[one.partition] = offset
        self.paused -= {one.partition for one in partitions}

    def store_offsets(self, offsets):
        for one in offsets:
            if one.partition not in self.assigned:
                raise KafkaException(KafkaError(KafkaError._STATE))
            self.stored[one.partition] = one.offset
            self.stored_notes[one.partition] = one.metadata

    def commit(self, asynchronous, offsets=None):
        if offsets is not None:
            error, self.cluster.commit_error = self.cluster.commit_error, None
            if error is None:
                self._commit({one.partition: one.offset for one in offsets})
                self.cluster.notes |= {one.partition: one.metadata for one in offsets}
            if asynchronous:
                self._events.append(("commit", (error, offsets)))
            elif error is not None:
                raise KafkaException(error)
            return
        beyond = {p: o for p, o in self.stored.items() if o > self.known.get(p, -1)}
        if not beyond:
            raise KafkaException(KafkaError(KafkaError._NO_OFFSET))
        self._commit(beyond)
        self.cluster.notes |= {partition: self.stored_notes[partition] for partition in beyond}
        self.stored, self.stored_notes = {}, {}

    def _commit(self, offsets):
        self.known |= offsets
        self.cluster.committed |= offsets

    def consumer_group_metadata(self):
        return SimpleNamespace(member=self)

    def memberid(self):
        return "me"

    # --- how librdkafka does it ---

    def _serve(self):
        found = []
        while self._events:
            kind, content = self._events.popleft()
            if kind == "event":
                found.append(content)
                continue
            if kind == "commit":
                self.options["on_commit"](*content)
                continue
            partitions = [TopicPartition(self.cluster.topic, number) for number in content]
            self._touched = False
            self._callbacks[kind](self, partitions)
            if self._touched:
                continue
            if kind == "assign":
                with contextlib.suppress(KafkaException):
                    (self.incremental_assign if self.cooperative else self.assign)(partitions)
            elif self.cooperative:
                self.incremental_unassign(partitions)
            else:
                self.unassign()
        for partition, offset in self.assigned.items():
            if offset == UNSET and partition not in self.cluster.unstable:
                start = self.cluster.logs[partition].start
                self.assigned[partition] = self.cluster.committed.get(partition, start)
        return found

    def _add(self, partitions):
        for one in partitions:
            log = self.cluster.logs[one.partition]
            offset = log.start if one.offset == OFFSET_BEGINNING else one.offset
            self.assigned[one.partition] = offset
            self._ended.pop(one.partition, None)

    def _change(self):
        """Outdate the client's own lookups: it then starts where `auto.offset.reset` says."""
        for partition, offset in self.assigned.items():
            if offset == UNSET and self.options["auto.offset.reset"] == "earliest":
                self.assigned[partition] = self.cluster.logs[partition].start

    def _event(self, code, partition, offset):
        return FakeMessage(partition, offset, error=KafkaError(code))

    def _where(self, partition, offset):
        return TopicPartition(self.cluster.topic, partition.partition, offset)

    def _refuse(self, instead):
        raise KafkaException(KafkaError(KafkaError._STATE, f"must be made using {instead}"))


class FakeTopicIds:
    """Answers with the topic's id at once, unless it is silent or denied."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.asked = False
        self.silent = False
        self.denied = False
        self.questions = 0

    def ask(self):
        self.asked = True
        self.questions += 1

    def answer(self, wait_seconds):
        if self.silent or not self.asked:
            return None
        self.asked = False
        if self.denied:
            return None
        return Topic(self.cluster.topic_id, self.cluster.cluster_id)


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += seconds


def by_partition(messages):
    """Offsets by partition, in order."""
    found = defaultdict(list)
    for message in messages:
        found[message.partition()].append(message.offset())
    return dict(found)


class FakeTopic:
    """What a broker wrote, in order, and what it takes."""

    def __init__(self, max_bytes=1_048_588):
        self.max_bytes = max_bytes
        self.partitions = 2
        self.records = []
        self.error = None
        """Answer every write with this error code."""
        self.moves = 0
        """How often its leaders became ones that clients which are open do not find."""

    def values(self):
        return [record["value"] for record in self.records]


class FakeBrokers:
    """The topics that producers write; tests change how they answer."""

    def __init__(self, *topics):
        self.topics = {name: FakeTopic() for name in topics}
        self.silent = False
        """Nothing is acknowledged: requests wait."""
        self.unknown = False
        """Nobody answers what partitions the topics have."""
        self.commit_errors = deque()
        """Errors that the next calls of `commit_transaction` raise."""
        self.offsets = {}
        self.aborts = 0
        self.opened = 0


class FakeProducer:
    """confluent_kafka.Producer: a queue, delivery reports served by `flush` and `poll`.

    A broker refuses a batch as a whole. A gapless producer then fails fatally: `flush` raises, and
    what is still queued can only be purged. Any failed record makes a transaction abortable.
    """

    def __init__(self, brokers, *, batch_bytes=900_000, gapless=True, capacity=100_000):
        self.brokers = brokers
        self.batch_bytes, self.gapless, self.capacity = batch_bytes, gapless, capacity
        self.queue = []
        self.reports = deque()
        self.fatal = None
        self.prepared = False
        """Whether `init_transactions` has succeeded."""
        self.transaction = None
        """Uncommitted (topic, record) pairs; None outside of a transaction."""
        self.sent_offsets = {}
        self.failed = None
        self.knows = {name: topic.moves for name, topic in brokers.topics.items()}
        brokers.opened += 1

    def __len__(self):
        return len(self.queue) + len(self.reports)

    def produce(self, topic, value, key, partition, on_delivery, timestamp, headers):
        if self.fatal is not None:
            raise KafkaException(self.fatal)
        if len(self) >= self.capacity:
            raise BufferError
        if partition >= self.brokers.topics[topic].partitions:
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
        record = {"value": value, "key": key, "headers": headers, "timestamp": timestamp}
        record["partition"] = partition
        self.queue.append((topic, record, on_delivery))

    def flush(self, wait):
        self._send()
        self._serve()
        if self.fatal is not None and self.queue:
            raise KafkaException(self.fatal)
        return len(self)

    def poll(self, wait):
        self._send()
        return self._serve()

    def purge(self):
        purged = KafkaError(KafkaError._PURGE_QUEUE)
        self.reports += [(report, purged) for _, _, report in self.queue]
        self.queue = []

    def list_topics(self, topic, timeout):
        if self.brokers.unknown:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        known = self.brokers.topics.get(topic) or FakeTopic()
        found = SimpleNamespace(partitions=dict.fromkeys(range(known.partitions)))
        return SimpleNamespace(topics={topic: found})

    def init_transactions(self, timeout):
        if self.brokers.silent:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, retriable=True))
        self.prepared = True

    def begin_transaction(self):
        assert self.prepared
        assert self.transaction is None
        self.transaction, self.failed, self.sent_offsets = [], None, {}

    def send_offsets_to_transaction(self, offsets, group, timeout):
        self.sent_offsets = {one.partition: one.offset for one in offsets}

    def commit_transaction(self, timeout):
        if self.brokers.commit_errors:
            raise KafkaException(self.brokers.commit_errors.popleft())
        self._send()
        self._serve()
        if self.failed is not None:
            code = self.failed.code()
            raise KafkaException(KafkaError(code, "failed", False, False, True))
        for topic, record in self.transaction:
            self.brokers.topics[topic].records.append(record)
        self.brokers.offsets |= self.sent_offsets
        self.transaction = None

    def abort_transaction(self, timeout):
        self.purge()
        self._serve()
        self.brokers.aborts += 1
        self.transaction = None

    def _send(self):
        if self.brokers.silent or self.fatal is not None:
            return
        topics = self.brokers.topics
        lost = {name for name, moves in self.knows.items() if moves < topics[name].moves}
        queue = [one for one in self.queue if one[0] not in lost]
        self.queue = [one for one in self.queue if one[0] in lost]
        while queue:
            batch = self._batch(queue)
            topic = topics[batch[0][0]]
            code = topic.error
            if sum(size_of(record) for _, record, _ in batch) > topic.max_bytes:
                code = KafkaError.MSG_SIZE_TOO_LARGE
            error = None if code is None else KafkaError(code)
            self.reports += [(report, error) for _, _, report in batch]
            if error is None:
                self._store(batch)
            else:
                self.failed = self.failed or error
                if self.gapless and self.transaction is None:
                    self.fatal = KafkaError(KafkaError._GAPLESS_GUARANTEE, "gap", True)
                    self.queue = queue
                    return

    def _batch(self, queue):
        """Take the records that go to one topic together."""
        batch, size = [queue.pop(0)], 0
        while queue and queue[0][0] == batch[0][0]:
            size += size_of(queue[0][1])
            if size > self.batch_bytes:
                break
            batch.append(queue.pop(0))
        return batch

    def _store(self, batch):
        for topic, record, _ in batch:
            if self.transaction is None:
                self.brokers.topics[topic].records.append(record)
            else:
                self.transaction.append((topic, record))

    def _serve(self):
        served = len(self.reports)
        while self.reports:
            report, error = self.reports.popleft()
            if error is not None:
                report(error, None)
        return served


def size_of(record):
    """Bytes of a produced record, about as Kafka counts them."""
    headers = sum(len(name) + len(value or b"") for name, value in record["headers"])
    return 70 + len(record["value"] or b"") + len(record["key"] or b"") + headers
