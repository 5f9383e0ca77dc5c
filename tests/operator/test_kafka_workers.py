"""What one Kafka cluster does that fails, hangs or comes back; and that no other feels it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest
from confluent_kafka import KafkaError
from kafka_admin_fake import FakeKafka, refused_by, unresolved
from objects import PLAINTEXT, moderation

from textmod_operator.controller.kafka_workers import ClusterWork, KafkaWorkers, Look
from textmod_operator.controller.lanes import Lane
from textmod_operator.controller.streams import Streams, stream_of
from textmod_operator.desired.topics import topics
from textmod_operator.errors import TopicsNotReady
from textmod_operator.kafka.breaker import MOST_DELAY_SECONDS
from textmod_operator.kafka.clusters import KafkaClusters, KafkaPending
from textmod_operator.settings import Settings
from textmod_operator.state import KafkaConnection, LagReading, LagUnknown, ObjectKey

KEY = ObjectKey("reddit", "science")


class World:
    """One cluster with one stream, and a clock that the test sets."""

    def __init__(self, servers: str = "kafka:9092") -> None:
        self.now = 1000.0
        self.kafka = FakeKafka()
        self.kafka.create("science-input", 12)
        self.connection = KafkaConnection(servers)
        self.clusters = self.kafka.clusters(clock=lambda: self.now)
        self.streams = Streams(self.clusters)
        self.streams.follow(stream_of(moderation(), self.connection, 1))
        self.work = ClusterWork(
            self.clusters.to(self.connection), self.streams, 10.0, lambda: self.now
        )

    def why(self) -> str:
        seen = self.streams.scaling(KEY)
        assert seen is not None
        return seen.reading.why if isinstance(seen.reading, LagUnknown) else ""


def test_a_cluster_that_answers_is_proven_and_listed_at_times() -> None:
    world = World()
    first = world.work.step(world.now)
    assert (first.changed, first.decided, first.partitions) == (True, (KEY,), {"science-input": 12})
    world.now += 2
    second = world.work.step(world.now)
    assert (second.changed, second.decided, second.partitions) == (False, (KEY,), None)
    world.now += 10
    assert world.work.step(world.now).partitions is not None


def test_one_that_does_not_is_tried_ever_more_rarely_and_says_why() -> None:
    world = World("a:1,b:2")
    world.kafka.down = True
    world.kafka.causes = [refused_by("a:1"), unresolved("b:2")]
    delays = []
    for attempt in range(6):
        look = world.work.step(world.now)
        assert look.changed == (attempt == 0)
        delays.append(world.work.delay(2.0))
        world.now += delays[-1]
    assert delays == [2.0, 4.0, 8.0, 16.0, MOST_DELAY_SECONDS, MOST_DELAY_SECONDS]
    assert "a:1: connection refused; b:2: the host name can't be resolved" in world.why()
    assert world.kafka.requests == ["list_topics"] * 6  # one request an attempt, and no more
    world.kafka.down = False
    assert world.work.step(world.now).changed
    assert world.why() == ""


def test_one_that_stops_answering_costs_two_requests() -> None:
    """The partitions' leaders do not answer; then no broker does."""
    world = World()
    world.work.step(world.now)
    world.kafka.down = True
    world.kafka.requests.clear()
    assert world.work.step(world.now).changed
    assert world.kafka.requests == ["list_offsets", "describe_topics"]
    assert "kafka:9092: no answer in time" in world.why()


@pytest.mark.parametrize("error", [ValueError("boom"), RuntimeError("boom"), KeyError("boom")])
def test_whatever_is_raised_is_the_lag_s_reason(error: Exception) -> None:
    world = World()
    world.work.step(world.now)

    def boom() -> None:
        raise error

    world.kafka.before["list_offsets"] = boom
    assert world.work.step(world.now).decided == (KEY,)
    assert type(error).__name__ in world.why()
    world.now += MOST_DELAY_SECONDS
    assert world.work.step(world.now).changed
    assert world.why() == ""


def test_a_pass_waits_for_no_cluster() -> None:
    """Not asked yet: the pass is repeated. Known not to answer: the reason, and no request."""
    world = World()
    cluster = world.clusters.to(world.connection)
    with pytest.raises(KafkaPending):
        cluster.ensure((), {}, print)
    world.kafka.down = True
    world.work.step(world.now)
    world.kafka.requests.clear()
    with pytest.raises(TopicsNotReady) as problem:
        cluster.ensure((), {}, print)
    assert problem.value.reason == "KafkaUnreachable"
    assert world.kafka.requests == []


def test_a_right_that_is_missing_does_not_open_the_breaker() -> None:
    world = World()
    world.work.step(world.now)
    cluster = world.clusters.to(world.connection)
    cluster.breaker.failed(TopicsNotReady("AuthorizationFailed", "no"), world.now)
    assert cluster.breaker.proven
    cluster.breaker.failed(TopicsNotReady("AuthenticationFailed", "no"), world.now)
    assert not cluster.breaker.proven


@pytest.mark.parametrize(
    ("request_kind", "code"),
    [
        ("create_topics", KafkaError.TOPIC_EXCEPTION),  # science.output beside science_output
        ("create_topics", KafkaError.THROTTLING_QUOTA_EXCEEDED),
        ("create_topics", KafkaError.UNKNOWN),
        ("delete_topics", KafkaError.TOPIC_DELETION_DISABLED),
    ],
)
def test_brokers_that_refuse_one_object_something_answer_the_others(
    request_kind: str, code: int
) -> None:
    world = World()
    world.work.step(world.now)
    cluster = world.clusters.to(world.connection)
    world.kafka.refuse[request_kind, "science-output"] = code
    with pytest.raises(TopicsNotReady) as problem:
        cluster.ensure(topics(moderation()).values(), {}, lambda _: None)
        cluster.delete({"science-output": ""})
    assert problem.value.reason == "KafkaUnreachable"
    assert cluster.breaker.proven
    assert not world.work.step(world.now).changed


def test_brokers_that_stop_answering_answer_nobody() -> None:
    world = World()
    world.work.step(world.now)
    cluster = world.clusters.to(world.connection)
    world.kafka.refuse["create_topics", "science-output"] = KafkaError.REQUEST_TIMED_OUT
    with pytest.raises(TopicsNotReady):
        cluster.ensure(topics(moderation()).values(), {}, lambda _: None)
    assert not cluster.breaker.proven


def test_clients_are_closed_elsewhere_and_counted_until_then() -> None:
    waiting: list[Callable[[], None]] = []
    clusters = KafkaClusters(discard=waiting.append)
    clusters.to(PLAINTEXT)
    clusters.keep_only(set())
    assert clusters.get(PLAINTEXT) is None
    assert len(clusters) == 1
    waiting.pop()()
    assert len(clusters) == 0


def test_a_step_that_outlives_its_cluster_opens_nothing() -> None:
    world = World()
    world.work.step(world.now)
    cluster = world.clusters.to(world.connection)
    world.clusters.keep_only(set())
    world.kafka.requests.clear()
    world.now += 100
    assert world.work.step(world.now) == Look()
    assert world.kafka.requests == []
    with pytest.raises(KafkaPending):  # a pass that had just looked it up is repeated
        cluster.ensure((), {}, print)


def test_a_request_that_is_under_way_ends_before_its_client_is_closed() -> None:
    world = World()
    world.kafka.down = True
    world.kafka.causes = [refused_by("kafka:9092")]
    world.kafka.before["list_topics"] = lambda: world.clusters.keep_only(set())
    world.work.step(world.now)
    assert "connection refused" in world.why()


class Asked:
    """The controller's side of the workers."""

    def __init__(self) -> None:
        self.enqueued: list[ObjectKey] = []
        self.first = asyncio.Event()

    def enqueue(self, key: ObjectKey) -> None:
        self.enqueued.append(key)
        self.first.set()

    async def act(self, key: ObjectKey) -> None:
        raise ValueError(key)  # one object's trouble ends no worker


def run(test: Callable[[KafkaWorkers, World, Asked], Awaitable[None]]) -> None:
    async def main() -> None:
        world, asked = World(), Asked()
        workers = KafkaWorkers(
            world.clusters,
            world.streams,
            Settings(lag_interval=0.0),
            asked.enqueue,
            asked.act,
        )
        await test(workers, world, asked)
        await workers.stop()
        assert len(workers) == len(world.clusters) == 0

    asyncio.run(main())


def test_a_pass_is_asked_for_once_the_cluster_was_tried() -> None:
    async def test(workers: KafkaWorkers, world: World, asked: Asked) -> None:
        workers.wait_for(KEY, world.connection)
        await asked.first.wait()
        workers.wait_for(KEY, world.connection)  # it was tried between the pass and this
        assert asked.enqueued == [KEY, KEY]

    run(test)


def test_what_nobody_uses_any_more_is_gone_at_once() -> None:
    async def test(workers: KafkaWorkers, world: World, asked: Asked) -> None:
        workers.follow(KEY, world.connection, {})
        workers.follow(ObjectKey("reddit", "second"), world.connection, {})
        assert len(workers) == 1
        workers.forget(KEY)
        assert len(workers) == len(world.clusters) == 1
        workers.forget(ObjectKey("reddit", "second"))
        assert len(workers) == len(world.clusters) == 0

    run(test)


def test_a_lane_raises_what_its_call_raises_and_is_free_again() -> None:
    async def main() -> None:
        lane = Lane("test", 1)

        def fail() -> None:
            raise OSError("no")

        with pytest.raises(OSError, match="no"):
            await lane.run(fail)
        assert await lane.run(lambda: 5) == 5

    asyncio.run(main())


def test_a_lane_is_free_again_when_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        lane = Lane("test", 1)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_thread)
            with pytest.raises(RuntimeError, match="can't start"):
                await lane.run(lambda: 5)
        async with asyncio.timeout(5):
            assert await lane.run(lambda: 5) == 5

    asyncio.run(main())


def test_a_worker_goes_on_after_a_look_that_could_not_be_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(workers: KafkaWorkers, world: World, asked: Asked) -> None:
        begun = asyncio.Event()

        def failing(_: threading.Thread) -> None:
            begun.set()
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", failing)
            workers.wait_for(KEY, world.connection)
            await begun.wait()
        async with asyncio.timeout(5):
            await asked.first.wait()

    run(test)


def no_thread(_: threading.Thread) -> None:
    """What CPython does at the process's limit of threads."""
    raise RuntimeError("can't start new thread")


def test_a_reading_is_known_again_after_a_failed_poll() -> None:
    world = World()
    world.work.step(world.now)
    seen = world.streams.scaling(KEY)
    assert seen is not None
    assert isinstance(seen.reading, LagReading)


# --- nothing is left behind -----------------------------------------------------------------------


class Unsettled(World):
    """A stream with a message that waits, so that one step asks everything; what closes clients
    waits until the test runs it, as it does in its own thread."""

    def __init__(self) -> None:
        super().__init__()
        self.kafka.topics["science-input"].records[0] = [1.0]
        self.closing: list[Callable[[], None]] = []
        self.clusters._discard = self.closing.append

    def forget(self) -> None:
        """The last object that uses the cluster goes."""
        self.streams.forget(KEY)
        self.clusters.keep_only(set())

    def settle(self) -> None:
        while self.closing:
            self.closing.pop()()


EVERYTHING = (
    *("list_topics", "describe_topics", "list_offsets", "fetch_group_offsets", "fetch"),
    "list_groups",
)


def test_a_step_with_work_asks_everything() -> None:
    world = Unsettled()
    for _ in range(3):
        world.work.step(world.now)
        world.now += 30
    assert set(EVERYTHING) <= set(world.kafka.requests)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("closed", ["meanwhile", "afterwards"])
@pytest.mark.parametrize("request_name", ["", *EVERYTHING])
def test_a_cluster_that_goes_at_any_request_leaves_no_client(
    request_name: str, closed: str, down: bool
) -> None:
    """Whichever request is under way when the object goes, answered or not; whether its clients are
    closed before that request has ended, or after; and whoever looks once more."""
    world = Unsettled()
    late = world.clusters.to(world.connection)
    polls = ("list_offsets", "fetch_group_offsets", "fetch", "list_groups", "describe_topics")

    def go() -> None:
        world.forget()
        world.kafka.down = down
        if closed == "meanwhile" and request_name not in polls:  # a poll is waited for
            world.settle()

    if request_name:
        world.kafka.before[request_name] = go
    else:
        go()
    for _ in range(4):
        world.work.step(world.now)
        world.now += 30
    world.settle()
    world.work.step(world.now)
    for ask in (late.prove, lambda: late.ensure((), {}, print), lambda: late.topic_ids(["a"])):
        with pytest.raises((KafkaPending, TopicsNotReady)):
            ask()
    assert world.kafka.open == set()
    assert len(world.clusters) == 0


@pytest.mark.parametrize("kind", ["admin", "consumer", "groups"])
def test_a_client_that_fails_to_close_leaves_no_other_open(kind: str) -> None:
    world = Unsettled()
    for _ in range(3):
        world.work.step(world.now)
        world.now += 30
    assert len(world.kafka.open) == 4
    world.kafka.fails_to_close = {kind}
    world.forget()
    world.settle()
    assert world.kafka.open == set()
    assert len(world.clusters) == 0


def test_what_could_not_be_closed_for_lack_of_a_thread_is_closed_later() -> None:
    world = World()
    world.work.step(world.now)
    other = KafkaConnection("other:9092")
    world.clusters.to(other)
    started = world.clusters._discard

    def no_thread_for(_: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    world.clusters._discard = no_thread_for
    world.clusters.keep_only(set())
    assert len(world.clusters) == 2
    assert world.kafka.open
    world.clusters._discard = started
    world.clusters.keep_only(set())
    assert len(world.clusters) == 0
    assert world.kafka.open == set()


def test_clients_that_a_pass_of_a_deleted_object_looked_up_are_gone_too() -> None:
    async def test(workers: KafkaWorkers, world: World, asked: Asked) -> None:
        workers.follow(KEY, world.connection, {})
        workers.forget(KEY)
        world.clusters.to(world.connection)  # by a pass that was under way
        workers.forget(KEY)
        assert len(world.clusters) == 0

    run(test)
