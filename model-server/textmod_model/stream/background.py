"""Runs calls that take seconds on threads of their own, so that they do not block the stream."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Background(Protocol):
    """Runs a call somewhere else than on the stream's thread."""

    def __call__(self, call: Callable[[], Result], name: str) -> Future[Result]:
        """Return the outcome to be; `name` is the thread's."""
        ...


def in_background(call: Callable[[], Result], name: str) -> Future[Result]:
    """Run a call on a thread that, unlike a pool's, doesn't keep a process from ending.

    What the call refers to, such as a client with threads of its own, is not kept by its error.
    """
    outcome: Future[Result] = Future()
    threading.Thread(target=_run, args=(call, outcome), name=name, daemon=True).start()
    return outcome


def _run(call: Callable[[], Result], outcome: Future[Result]) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - raised again on the waiting thread
        outcome.set_exception(error)
    else:
        outcome.set_result(result)
    finally:
        del call, outcome  # the error's traceback has this frame
