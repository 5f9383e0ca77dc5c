from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from merging import merge_patched
from objects import PLAINTEXT, body

from textmod_operator.controller.controller import Controller
from textmod_operator.controller.decisions import raised_size
from textmod_operator.controller.inventory import is_newer
from textmod_operator.controller.status_writer import merge_patch
from textmod_operator.controller.triggers import Patience
from textmod_operator.errors import ClusterError
from textmod_operator.kafka.clusters import KafkaPending
from textmod_operator.settings import Settings
from textmod_operator.state import LagReading, LagUnknown, ObjectKey, ScalingSeen

VALUES = st.recursive(
    st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@given(before=OBJECTS, after=OBJECTS)
def test_a_merge_patch_leads_from_one_to_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert merge_patched(before, merge_patch(before, after)) == after
    assert merge_patch(after, after) == {}


def test_readings_of_an_object_are_ordered_as_numbers() -> None:
    nine, ten = ({"metadata": {"resourceVersion": version}} for version in ("9", "10"))
    assert is_newer(ten, nine)
    assert not is_newer(nine, ten)
    assert not is_newer(nine, nine)


SEEN = LagReading(1.0, ())
UP_SLOWLY = {"scaleUp": {"stabilizationWindowSeconds": 60}}
DOWN_SLOWLY = {"scaleDown": {"stabilizationWindowSeconds": 60}}


@pytest.mark.parametrize(
    ("spec", "reading", "desired", "size"),
    [
        ({"replicas": 2}, SEEN, 7, 7),
        ({"replicas": 2, "autoscaling": {"behavior": DOWN_SLOWLY}}, SEEN, 7, 7),
        ({"replicas": 2, "autoscaling": {"maxReplicas": 4}}, SEEN, 7, 4),
        ({"replicas": 4, "autoscaling": {"maxReplicas": 4}}, SEEN, 7, None),
        ({"replicas": 7}, SEEN, 7, None),
        ({"replicas": 9}, SEEN, 7, None),
        ({"replicas": 0}, SEEN, 7, None),
        ({"replicas": 2}, LagUnknown(1.0, "No broker answers."), 7, None),
        ({"replicas": 2, "autoscaling": {"behavior": UP_SLOWLY}}, SEEN, 7, None),
        ({"replicas": 2, "autoscaling": {"metricsProvider": "Keda"}}, SEEN, 7, None),
        ({"replicas": 2, "autoscaling": {"metricsProvider": "None"}}, SEEN, 7, None),
        ({"replicas": 2, "message": {"format": "Nonsense"}}, SEEN, 7, None),
    ],
)
def test_only_what_the_hpa_would_do_a_little_later_is_done_ahead_of_it(
    spec: dict[str, Any], reading: LagReading | LagUnknown, desired: int, size: int | None
) -> None:
    assert raised_size(body(spec), ScalingSeen(reading, desired, "why")) == size


def test_kopf_gives_up_early_what_is_forbidden_and_later_nothing() -> None:
    now = 0.0
    patience = Patience(lambda: now)
    assert len(list(patience)) == 2
    now = 11.0
    assert len(list(itertools.islice(patience, 1000))) == 1000


def test_a_namespace_that_is_forbidden_from_the_start_ends_nothing() -> None:
    """One of `watchNamespaces` was deleted, and the operator's Role there with it."""
    patience = Patience(lambda: 0.0, probing=False)
    assert len(list(itertools.islice(patience, 1000))) == 1000


def test_only_a_task_that_failed_is_a_reason_to_start_again() -> None:
    """A look at the lag ends well every two seconds, and liveness is asked at any time."""

    async def ends_well() -> None: ...

    async def fails() -> None:
        raise ValueError

    async def alive_with(*work: Any) -> bool:
        controller = Controller(None, Settings())
        controller._tasks = [asyncio.create_task(task()) for task in work]
        await asyncio.wait(controller._tasks)
        return controller.alive

    assert asyncio.run(alive_with(ends_well))
    assert not asyncio.run(alive_with(ends_well, fails))


@pytest.mark.parametrize(
    "failure", [KafkaPending(PLAINTEXT), ClusterError(404, "gone"), ValueError("a bug")]
)
def test_a_pass_that_outlives_its_object_leaves_nothing_of_it(failure: Exception) -> None:
    """Whatever it ends with: what it has put into a cache, or looked up, is dropped again."""

    class Outliving:
        def run(self, key: ObjectKey) -> None:
            asyncio.run_coroutine_threadsafe(goes(), loop).result()
            controller._kafka.to(PLAINTEXT)
            raise failure

    async def goes() -> None:
        controller.on_event("DELETED", body(resourceVersion="2"))
        cluster.forgotten.clear()

    async def main() -> int:
        controller.lead()
        controller.on_event("ADDED", body(resourceVersion="1"))
        work = asyncio.create_task(controller._work(Outliving()))  # type: ignore[arg-type]
        async with asyncio.timeout(5):
            await cluster.forgotten.wait()
        work.cancel()
        return len(controller._kafka) + len(controller._kafka_workers) + len(controller._queue)

    cluster = Revoking()
    controller = Controller(cluster, Settings())  # type: ignore[arg-type]
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        assert runner.run(main()) == 0
    controller._threads.shutdown()


class Revoking:
    """A cluster that only takes permissions of consoles back."""

    def __init__(self) -> None:
        self.revoked: list[str] = []
        self.forgotten = asyncio.Event()

    def forget(self, key: ObjectKey) -> None:
        self.forgotten.set()

    def revoke_console(self, namespace: str, name: str) -> None:
        self.revoked.append(f"{namespace}/{name}")


class Listing(Revoking):
    """A cluster that lists what it has, namespace by namespace."""

    def __init__(self, *there: ObjectKey, forbidden: str = "") -> None:
        super().__init__()
        self._there = there
        self._forbidden = forbidden

    def moderations(self, namespaces: tuple[str, ...]) -> set[ObjectKey]:
        if self._forbidden in namespaces:
            raise ClusterError(403, "forbidden")
        return {key for key in self._there if not namespaces or key.namespace in namespaces}


def swept(cluster: Listing, namespaces: tuple[str, ...], *known: ObjectKey) -> set[ObjectKey]:
    """The objects that a controller still knows once it has forgotten one."""

    async def main() -> set[ObjectKey]:
        settings = Settings(namespaces=namespaces, resync_interval=0.01)
        controller = Controller(cluster, settings)  # type: ignore[arg-type]
        for number, key in enumerate(known, start=1):
            controller.on_event(
                None, body(name=key.name, namespace=key.namespace, resourceVersion=str(number))
            )
        sweeping = asyncio.create_task(controller._sweep_regularly())
        async with asyncio.timeout(10):
            await cluster.forgotten.wait()
        sweeping.cancel()
        controller._threads.shutdown()
        return set(controller._inventory)

    return asyncio.run(main())


def test_the_last_object_is_missed_too_when_it_was_deleted_during_an_outage() -> None:
    """kopf lists no objects then, and sends no event."""
    one, other = ObjectKey("reddit", "one"), ObjectKey("reddit", "other")
    assert swept(Listing(), (), one) == set()
    assert swept(Listing(other), (), one, other) == {other}


def test_a_namespace_that_may_not_be_listed_any_more_holds_up_no_other() -> None:
    here, gone = ObjectKey("reddit", "one"), ObjectKey("forum", "one")
    cluster = Listing(forbidden="forum")
    assert swept(cluster, ("forum", "reddit"), here, gone) == {gone}


def test_an_object_that_is_created_again_is_not_taken_for_the_one_that_was_deleted() -> None:
    """kopf orders the events of one uid only."""

    async def main() -> list[str]:
        controller = Controller(Revoking(), Settings())  # type: ignore[arg-type]
        controller.on_event("ADDED", body(uid="uid-1", resourceVersion="1"))
        controller.on_event("ADDED", body(uid="uid-2", resourceVersion="3"))
        controller.on_event("DELETED", body(uid="uid-1", resourceVersion="2"))
        controller._threads.shutdown()
        return [known["metadata"]["uid"] for _, known in controller._inventory.items()]

    assert asyncio.run(main()) == ["uid-2"]


def test_an_object_that_is_created_again_during_a_sweep_stays() -> None:
    class Late(Listing):
        def moderations(self, namespaces: tuple[str, ...]) -> set[ObjectKey]:
            asyncio.run_coroutine_threadsafe(created_again(), loop).result()
            return set()

    async def created_again() -> None:
        controller.on_event("DELETED", body(uid="uid-1", resourceVersion="2"))
        controller.on_event("ADDED", body(uid="uid-2", resourceVersion="3"))

    async def main() -> None:
        controller.on_event("ADDED", body(uid="uid-1", resourceVersion="1"))
        await controller._sweep_up(0.0)

    controller = Controller(Late(), Settings())  # type: ignore[arg-type]
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        runner.run(main())
    controller._threads.shutdown()
    assert len(controller._inventory) == 1


@pytest.mark.parametrize("served", [None, ("comments",)])
def test_an_operator_with_roles_alone_does_not_start_before_its_kind_is_there(
    served: tuple[str, ...] | None,
) -> None:
    class WithoutTheKind:
        def capabilities(self) -> None: ...

        def resources(self, group_version: str) -> tuple[str, ...] | None:
            return served

    controller = Controller(WithoutTheKind(), Settings(namespaces=("reddit",)))  # type: ignore[arg-type]
    with pytest.raises(ClusterError, match="install their CRD"):
        asyncio.run(controller.start())
    controller._threads.shutdown()


@pytest.mark.parametrize(
    ("spec", "leads", "revoked"),
    [
        ({"review": {}}, True, ["reddit/science-console"]),
        ({"review": {}}, False, []),
        ({}, True, []),
    ],
)
def test_a_deleted_objects_console_may_ask_nothing_any_more(
    spec: dict[str, Any], leads: bool, revoked: list[str]
) -> None:
    async def main() -> list[str]:
        cluster = Revoking()
        controller = Controller(cluster, Settings())  # type: ignore[arg-type]
        if leads:
            controller.lead()
        controller.on_event("ADDED", body(spec, resourceVersion="1"))
        controller.on_event("DELETED", body(spec, resourceVersion="2"))
        controller._threads.shutdown(wait=True)
        return cluster.revoked

    assert asyncio.run(main()) == revoked
