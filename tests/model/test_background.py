"""Calls that run beside the stream."""

import functools
import gc
import threading
import weakref

import pytest

from textmod_model.stream.background import in_background


class Client:
    """Something with threads of its own, as long as anything refers to it."""


def test_what_comes_of_a_call():
    assert in_background(lambda: 3, "three").result(5) == 3
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 // 0, "nothing").result(5)


def test_an_error_does_not_keep_the_client_that_it_is_of():
    """A producer that was replaced kept its threads until the garbage collector came by."""
    client = Client()
    kept = weakref.ref(client)
    gc.disable()
    try:
        outcome = in_background(functools.partial(int, client), "refused")
        del client
        assert isinstance(outcome.exception(5), TypeError)
        for thread in threading.enumerate():
            if thread.name == "refused":
                thread.join(5)
        assert kept() is None
    finally:
        gc.enable()
