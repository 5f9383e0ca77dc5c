"""The operator's passes over its own doors, between an API server and a Kafka cluster in memory.

Every request of a process to either counts, and one of them can end the process or fail: the same
one in every run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from fake_api_server import FakeApiServer
from kafka_admin_fake import FakeGroups, FakeKafka
from objects import PLAINTEXT, body, scaling_seen

from textmod_operator.controller.claims import Claims
from textmod_operator.controller.inventory import Inventory
from textmod_operator.controller.passes import Passes
from textmod_operator.controller.reconcile import Edges
from textmod_operator.controller.status_writer import StatusWriter
from textmod_operator.errors import ClusterError, Problem
from textmod_operator.kafka.admin import KafkaAdmin
from textmod_operator.kafka.offsets import OffsetsError, Partition
from textmod_operator.kube.cluster import Cluster
from textmod_operator.kube.resources import path_of
from textmod_operator.state import KafkaConnection, Manifest, ObjectKey, Ref

SCIENCE = ObjectKey("reddit", "science")
PATH = "/apis/textmoderation.dev/v1alpha1/namespaces/reddit/textmoderations/science"
DEPLOYMENTS = "/apis/apps/v1/namespaces/reddit/deployments"
PASS_SECONDS = 61.0
"""Between two passes: what failed is tried again by then."""
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STEADY_PASSES = 8
"""More than any change takes."""


class Killed(BaseException):
    """The process is gone."""


class Strike:
    """What happens to the n-th request of a process.

    Args:
        how: "killed" before it is sent; "away": it is not carried out, and nobody answers; "lost":
            it is carried out, and its answer never comes; "half": a request for several topics is
            carried out for the first alone, and of the others nothing is known.
        at: the number of the request, from 1; 0: none.
    """

    def __init__(self, how: str = "", at: int = 0) -> None:
        self.how, self.at, self.sent = how, at, 0

    def next(self) -> str:
        """Count a request; what happens to it."""
        self.sent += 1
        how = self.how if self.sent == self.at else ""
        if how == "killed":
            raise Killed
        return how


class StruckServer(FakeApiServer):
    """The API server, as a process that is struck meets it."""

    strike = Strike()

    def request(self, method: str, path: str, kind: str, **options: Any) -> Any:
        how = self.strike.next()
        if how == "away":
            raise ClusterError(0, "connection refused")
        answer = super().request(method, path, kind, **options)
        if how == "lost":
            raise ClusterError(0, "read timed out")
        return answer


class StruckKafka(FakeKafka):
    """The brokers, as a process that is struck meets them."""

    strike = Strike()
    seconds = 0.0
    """Of the monotonic clock of whoever asks it."""

    def kafka_admin(self, connection: KafkaConnection, **how: Any) -> KafkaAdmin:
        return super().kafka_admin(connection, clock=lambda: self.seconds, **how)

    def admin(self, config: dict[str, Any]) -> Any:
        return _StruckAdmin(super().admin(config), self)


class StruckGroups(FakeGroups):
    """The group coordinator, as a process that is struck meets it."""

    kafka: StruckKafka

    def fetch(self, groups: Mapping[str, Iterable[Partition]]) -> Any:
        return self._struck(lambda: super(StruckGroups, self).fetch(groups))

    def put(self, group: str, offsets: Mapping[Partition, int]) -> None:
        self._struck(lambda: super(StruckGroups, self).put(group, offsets))

    def has_members(self, group: str) -> bool:
        return bool(self._struck(lambda: group in self.kafka.members))

    def _struck(self, act: Callable[[], Any]) -> Any:
        how = self.kafka.strike.next()
        if how == "away":
            raise OffsetsError("no broker answers")
        answer = act()
        if how == "lost":
            raise OffsetsError("no answer in time")
        return answer


class _StruckAdmin:
    def __init__(self, admin: Any, kafka: StruckKafka) -> None:
        self._admin, self._kafka = admin, kafka

    def poll(self, timeout: float) -> int:
        return 0

    def __exit__(self, *raised: object) -> None:
        self._admin.__exit__(*raised)

    def __getattr__(self, request: str) -> Any:
        def send(*asked: Any, **options: Any) -> Any:
            how = self._kafka.strike.next()
            if how == "half" and isinstance(asked[0], list):
                return self._half(request, asked[0], options)
            self._kafka.down = how == "away"
            try:
                answers = getattr(self._admin, request)(*asked, **options)
            finally:
                self._kafka.down = False
            if how != "lost":
                return answers
            one = isinstance(answers, Future)
            return _unanswered() if one else dict.fromkeys(answers, _unanswered())

        return send

    def _half(self, request: str, asked: list[Any], options: dict[str, Any]) -> dict[Any, Any]:
        answers: dict[Any, Any] = getattr(self._admin, request)(asked[:1], **options)
        return answers | {getattr(one, "topic", one): _unanswered() for one in asked[1:]}


def _unanswered() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
    return future


class Whole:
    """A cluster, its brokers, and one operator after the other."""

    def __init__(self, strimzi: tuple[str, ...] | None = None) -> None:
        self.server, self.kafka = StruckServer(), StruckKafka()
        self.strimzi = strimzi
        self.controllers: list[Callable[[], None]] = [self._controllers]
        self.server.documents["/version"] = {"major": "1", "minor": "36"}
        self.start()

    def start(self, strike: Strike | None = None) -> None:
        """A new process: it knows nothing but what it reads."""
        self.strike(strike or Strike())
        self.cluster = Cluster(self.server, "operator-1", self.strimzi)
        self._watches = self.cluster.list_watches(())
        self._inventory, self._claims = Inventory(), Claims()
        self._kafka = self.kafka.clusters()
        edges = Edges(
            self.cluster,
            self._kafka,
            self.cluster.capabilities,
            self._claims,
            self.cluster.patch_status,
        )
        wrote = lambda key, found: self._inventory.note(key, found) and None  # noqa: E731
        writer = StatusWriter(self.cluster, 10.0, wrote, clock=lambda: 0.0)
        scaling = scaling_seen()
        self._passes = Passes(self._inventory, edges, lambda _: scaling, writer, lambda: NOW)

    def strike(self, strike: Strike) -> None:
        """Have the next requests of the process meet this."""
        self.server.strike = self.kafka.strike = strike

    def asks(self, spec: dict[str, Any]) -> None:
        """A user applies the object."""
        asked = body(spec)
        kept = self.server.read(PATH)
        if kept is not None:
            asked = {**kept, "spec": asked["spec"]}
        self.server.put(PATH, asked)

    def deletes(self) -> None:
        """A user deletes the object."""
        self.kafka.before["delete_topics"] = self.check_that_nothing_writes
        self.server.remove(PATH)

    def run(self) -> None:
        """One pass; a failure that the controller would back off from is no end of it."""
        for controller in self.controllers:
            controller()
        self.kafka.seconds += PASS_SECONDS
        for list_watch in self._watches:
            list_watch.step()
        self.watch_reports()
        # What the lag monitor finds out: the brokers answer.
        self._kafka.to(PLAINTEXT).breaker.succeeded()
        with contextlib.suppress(ClusterError, Problem):
            self._passes.run(SCIENCE)

    def watch_reports(self) -> None:
        """The operator gets to know the object as it is now."""
        found = self.server.read(PATH)
        if found is None:
            self._inventory.forget(SCIENCE)
        else:
            self._inventory.note(SCIENCE, found)
            self._claims.note(SCIENCE, found)

    @property
    def conditions(self) -> dict[str, tuple[str, str]]:
        """Condition → its reason and message."""
        found = (self.server.read(PATH) or {}).get("status", {}).get("conditions", ())
        return {one["type"]: (one["reason"], one["message"]) for one in found}

    def _controllers(self) -> None:
        """Kubernetes' own controllers: what is asked for serves at once."""
        owner = (self.server.read(PATH) or {}).get("metadata", {}).get("uid")
        for found in self.server.everything().values():  # the garbage collector
            owners = found["metadata"].get("ownerReferences") or ()
            if owners and all(one["uid"] != owner for one in owners):
                self.server.remove(path_of(Ref.of(found)))
        workload = f"{DEPLOYMENTS}/science"
        if (found := self.server.read(workload)) is not None:
            count = found["spec"]["replicas"]
            serving = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), count)
            generation = found["metadata"]["generation"]
            self.server.edit(workload, {"status": {"observedGeneration": generation, **serving}})

    def check_that_nothing_writes(self) -> None:
        """Raises AssertionError while a workload is there, whose pods would write to the topics."""
        workload = self.server.read(f"{DEPLOYMENTS}/science")
        assert workload is None, "the topics are deleted before the workload"

    def settle(self) -> int:
        """Passes until nothing is written any more; how many that took.

        Raises:
            AssertionError: it never ends.
        """
        for number in range(STEADY_PASSES):
            before = self.state()
            self.run()
            if self.state() == before and number:
                return number
        raise AssertionError("every pass writes something")

    def state(self) -> Manifest:
        """All that is there, without what differs between two runs that did the same."""
        objects = {
            path: _plain(found)
            for path, found in self.server.everything().items()
            if not path.startswith("/events/")
        }
        topics = {
            name: (len(topic.records), topic.config) for name, topic in self.kafka.topics.items()
        }
        groups = {name: config for name, config in self.kafka.group_configs.items() if config}
        offsets = {name: dict(found) for name, found in self.kafka.groups.items()}
        return {"objects": objects, "topics": topics, "groups": groups, "offsets": offsets}

    @property
    def topic_ids(self) -> dict[str, str]:
        return {name: topic.topic_id for name, topic in self.kafka.topics.items()}


def _plain(found: Any) -> Any:
    if isinstance(found, dict):
        left_out = ("resourceVersion", "uid", "topicId", "generation", "observedGeneration")
        return {name: _plain(value) for name, value in found.items() if name not in left_out}
    return [_plain(one) for one in found] if isinstance(found, list) else found
