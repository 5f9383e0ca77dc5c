"""A process that scores for calls."""

import io
import marshal
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from textmod_model.serving import scorer_process
from textmod_model.serving.scorer_process import ScorerProcess, ScoringFailed, answer


class Lengths:
    """Scores a text by its length."""

    def __init__(self, factor: float = 1.0, mismatches: int = 0) -> None:
        self.factor, self.mismatches = factor, mismatches

    def score(self, texts):
        return np.array([len(text) * self.factor for text in texts])


class Channel(io.BytesIO):
    """What is asked, and what was answered."""

    def __init__(self, *asked: list[str]) -> None:
        super().__init__(b"".join(map(marshal.dumps, asked)))
        self.answered: list[object] = []

    def write(self, data):
        self.answered.append(marshal.loads(bytes(data)))  # noqa: S302
        return len(data)


def test_answers_until_there_is_nothing_more_to_answer():
    channel = Channel(["a", "\ud800b"], [])
    answer(channel, Lengths(mismatches=3))
    assert channel.answered == [([1.0, 2.0], 3, None), ([], 3, None)]


class Picky(Lengths):
    """Fails on an empty text, with the text's neighbours in the error."""

    def score(self, texts):
        if "" in texts:
            raise LookupError(str(texts))
        return super().score(texts)


def test_texts_that_cannot_be_scored_do_not_end_the_process():
    channel = Channel(["", "secret"], ["ab"])
    answer(channel, Picky())
    assert channel.answered == [([], 0, "LookupError"), ([2.0], 0, None)]


def other_side(monkeypatch: pytest.MonkeyPatch) -> tuple[ScorerProcess, socket.socket, list[int]]:
    """A process that is none: the other end of its channel, and what was ended."""
    ended: list[int] = []
    monkeypatch.setattr(os, "kill", lambda process, _signal: ended.append(process))
    monkeypatch.setattr(os, "waitpid", lambda process, _options: (process, 0))
    ours, theirs = socket.socketpair()
    return ScorerProcess(Lengths(factor=-1), 4711, ours), theirs, ended


def test_what_the_process_says_counts(monkeypatch: pytest.MonkeyPatch):
    process, theirs, _ = other_side(monkeypatch)
    theirs.sendall(marshal.dumps(([0.5, 0.25], 2, None)))
    assert process.score(["a", "b"]).tolist() == [0.5, 0.25]
    assert process.mismatches == 2
    assert marshal.loads(theirs.recv(100)) == ["a", "b"]  # noqa: S302
    process.close()
    theirs.close()


def test_a_failure_in_the_process_is_the_calls_alone(monkeypatch: pytest.MonkeyPatch):
    process, theirs, ended = other_side(monkeypatch)
    theirs.sendall(marshal.dumps(([], 0, "LookupError")))
    with pytest.raises(ScoringFailed, match=r"could not score the texts \(LookupError\)$"):
        process.score([""])
    theirs.sendall(marshal.dumps(([0.5], 0, None)))
    assert process.score(["a"]).tolist() == [0.5]
    assert ended == []
    process.close()
    assert process.losses == 0  # it was ended on purpose
    theirs.close()


@pytest.mark.parametrize("said", [b"", b"nonsense", marshal.dumps(None)])
def test_without_the_process_calls_are_scored_here(said: bytes, monkeypatch: pytest.MonkeyPatch):
    process, theirs, ended = other_side(monkeypatch)
    theirs.sendall(said)
    theirs.close()
    assert process.score(["ab"]).tolist() == [-2]
    assert process.score(["abc"]).tolist() == [-3]
    assert ended == [4711]
    assert process.losses == 1


def test_a_process_that_does_not_answer_is_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scorer_process, "ANSWER_SECONDS", 0.01)
    process, theirs, ended = other_side(monkeypatch)
    assert process.score(["ab"]).tolist() == [-2]
    assert ended == [4711]
    assert process.losses == 1
    theirs.close()


PROGRAM = """
import os, signal
import numpy as np
from textmod_model.serving.scorer_process import ScorerProcess

class Pid:
    mismatches = 0
    def score(self, texts):
        return np.array([float(os.getpid())] * len(texts))

process = ScorerProcess.fork(Pid())
[other] = process.score(["a"]).tolist()
os.kill(int(other), signal.SIGTERM)
print(other != os.getpid(), process.score(["a"]).tolist() == [other], end=" ")
os.kill(int(other), signal.SIGKILL)
print(process.score(["a"]).tolist() == [os.getpid()], flush=True)
ScorerProcess.fork(Pid())
os._exit(0)  # without a word to the second process, which holds standard output until it ends
"""


def test_a_real_process_outlives_a_signal_and_not_its_parent():
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout == "True True True\n"
