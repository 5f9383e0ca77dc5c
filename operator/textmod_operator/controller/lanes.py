"""Threads for calls that may block for seconds: bounded in number, and gone when idle."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class Lane:
    """Runs blocking calls in daemon threads, at most `most` at a time. Lives on one event loop.

    Unlike a ThreadPoolExecutor it keeps no idle threads, and a call that hangs delays neither the
    process's end nor the other lanes.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._free = asyncio.Semaphore(most)

    async def run(self, call: Callable[[], Result]) -> Result:
        """Return what `call` returns, or raise what it raises. A cancelled caller does not wait
        for the thread, which ends with its call."""
        loop = asyncio.get_running_loop()
        await self._free.acquire()
        done: asyncio.Future[Result] = loop.create_future()

        def finish(set_outcome: Callable[[], None]) -> None:
            self._free.release()
            if not done.done():
                set_outcome()

        def work() -> None:
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - raised where `run` is awaited
                outcome = _raising(done, error)
            else:
                outcome = _returning(done, result)
            try:
                loop.call_soon_threadsafe(finish, outcome)
            except RuntimeError:
                return  # the loop is closed: the process is ending

        try:
            threading.Thread(target=work, name=self._name, daemon=True).start()
        except RuntimeError:  # the process may not have another thread now
            self._free.release()
            raise
        return await done


def _returning(done: asyncio.Future[Result], result: Result) -> Callable[[], None]:
    return lambda: done.set_result(result)


def _raising(done: asyncio.Future[Result], error: BaseException) -> Callable[[], None]:
    return lambda: done.set_exception(error)
