from __future__ import annotations

import asyncio

import pytest

from textmod_operator.controller.workqueue import WorkQueue


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def taken(queue: WorkQueue[str]) -> str | None:
    """What can be taken right now."""
    try:
        return await asyncio.wait_for(queue.get(), 0.01)
    except TimeoutError:
        return None


def test_a_key_added_many_times_is_handed_out_once() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for key in ("a", "b", "a", "a"):
            queue.add(key)
        assert [await taken(queue), await taken(queue), await taken(queue)] == ["a", "b", None]

    asyncio.run(scenario())


def test_a_key_is_never_worked_on_twice_at_the_same_time() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        assert await taken(queue) == "a"
        queue.add("a")
        assert await taken(queue) is None
        queue.done("a")
        assert await taken(queue) == "a"
        queue.done("a")
        assert await taken(queue) is None

    asyncio.run(scenario())


def test_an_earlier_time_wins_over_a_later_one() -> None:
    async def scenario() -> None:
        clock = Clock()
        queue: WorkQueue[str] = WorkQueue(clock=clock)
        queue.add("a", delay=10)
        assert await taken(queue) is None
        queue.add("a", delay=600)
        clock.now = 10
        assert await taken(queue) == "a"
        queue.done("a")
        clock.now = 1000
        assert await taken(queue) is None

    asyncio.run(scenario())


def test_failures_back_off_and_success_starts_afresh() -> None:
    queue: WorkQueue[str] = WorkQueue(base_delay=1, max_delay=5)
    assert [queue.add_after_failure("a") for _ in range(4)] == [1, 2, 4, 5]
    queue.succeeded("a")
    assert queue.add_after_failure("a") == 1


def test_back_off_survives_an_endless_row_of_failures() -> None:
    queue: WorkQueue[str] = WorkQueue(base_delay=1, max_delay=5)
    assert {queue.add_after_failure("a") for _ in range(3000)} == {1, 2, 4, 5}


def test_a_forgotten_key_does_not_come_back() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        queue.forget("a")
        assert await taken(queue) is None
        assert len(queue) == 0

    asyncio.run(scenario())


def test_a_waiting_worker_is_woken() -> None:
    async def scenario() -> str:
        queue: WorkQueue[str] = WorkQueue()
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        return await asyncio.wait_for(waiting, 1)

    assert asyncio.run(scenario()) == "a"


def test_forgetting_while_working_lets_done_pass() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.forget("never seen")
    queue.done("never seen")
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(queue.get(), 0.01))
