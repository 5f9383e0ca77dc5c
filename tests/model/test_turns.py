"""The stream waits for one slice of a call at most."""

import asyncio
import time
from functools import partial

import numpy as np
import pytest

from textmod_model.serving.predictor import ModelInfo, Predictor
from textmod_model.serving.turns import SLICE_CHARACTERS, BusyError, Places, Turns, slices

INFO = ModelInfo("m", "1", "d", "seed", ("kept", "removed"), 0.5)


def soon():
    return time.monotonic() - 1  # the deadline is over: a call that would wait gives up at once


def test_a_call_is_cut_into_slices_of_whole_texts_in_order():
    texts = [
        "a" * (SLICE_CHARACTERS // 2),
        "b" * (SLICE_CHARACTERS // 2),
        "c",
        "d" * (2 * SLICE_CHARACTERS),
        "e",
    ]
    parts = [list(part) for part in slices(texts)]
    assert parts == [texts[:2], ["c"], texts[3:4], ["e"]]
    assert list(slices(["x"])) == [["x"]]


def test_a_call_waits_for_what_is_scored_and_gives_up_at_its_deadline():
    turns = Turns()
    with turns.stream(), pytest.raises(BusyError), turns.call(soon()):
        pass
    with turns.call(soon()):
        pass
    with turns.stream():
        pass


def test_the_stream_goes_first():
    turns = Turns()
    turns._stream_wants = True
    with pytest.raises(BusyError), turns.call(soon()):
        pass
    turns._stream_wants = False
    with turns.call(soon()):
        pass


def test_beside_a_scorer_of_their_own_calls_keep_no_stream_waiting():
    turns = Turns(apart=True)
    with turns.call(soon()), turns.stream(), pytest.raises(BusyError), turns.call(soon()):
        pass
    with turns.stream(), pytest.raises(BusyError), turns.call(soon()):
        pass
    with turns.call(soon()):
        pass


def test_the_stream_scores_while_a_call_does():
    """Here within the call; a lock for both would wait for itself."""

    class ForCalls:
        def score(self, texts):
            return predictor.score(texts) * 2

        def close(self):
            pass

    quarter = partial(np.full, fill_value=0.25)
    predictor = Predictor(
        lambda texts: quarter(len(texts)), INFO, beside_stream=True, for_calls=ForCalls()
    )
    assert predictor.score_for_call(["a", "b" * SLICE_CHARACTERS]).tolist() == [0.5, 0.5]


def test_an_error_while_scoring_gives_the_scorer_back():
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.call(soon()):
        1 / 0  # noqa: B018
    with pytest.raises(ZeroDivisionError), turns.stream():
        1 / 0  # noqa: B018
    with turns.call(soon()):
        pass


def test_calls_wait_for_a_place_in_order_and_not_for_ever() -> None:
    answered: list[int] = []

    async def call(places: Places, number: int, hold: asyncio.Event) -> None:
        async with places.take(5):
            await hold.wait()
            answered.append(number)

    async def play() -> None:
        places, hold = Places(calls=2, waiting=3), asyncio.Event()
        calls = [asyncio.create_task(call(places, number, hold)) for number in range(4)]
        await asyncio.sleep(0)
        assert places._waiting == 2
        with pytest.raises(BusyError, match="no place came free"):
            async with places.take(0.01):
                pass
        calls.append(asyncio.create_task(call(places, 4, hold)))
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="3 calls wait already"):
            async with places.take(5):
                pass
        hold.set()
        await asyncio.gather(*calls)

    asyncio.run(play())
    assert answered == [0, 1, 2, 3, 4]
