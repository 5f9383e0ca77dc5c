"""The demo's arithmetic and its picture, and the example programs it uses."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import io
import itertools
import json
import sys

import pytest
from rich.console import Console

from textmod_dev.demo import Load, Summary
from textmod_dev.demo_decisions import Decisions, thresholds_of
from textmod_dev.demo_view import History, Snapshot, line, picture, sparkline
from textmod_dev.paths import repository_root

GOOD = Summary(
    comments_in=10,
    verdicts=9,
    dead_letters=1,
    lost=0,
    duplicates=0,
    peak_lag=5,
    max_replicas=3,
    final_replicas=1,
    p50_ms=1.0,
    p99_ms=2.0,
    replicas=[(0.0, 1), (5.0, 3), (9.0, 1)],
    one_replica_per_second=100,
    burst_per_second=200,
)


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({}, None),
        ({"lost": 2}, "2 of 10 comments were lost"),
        ({"comments_in": 0}, "No comment was sent"),
        ({"max_replicas": 1}, "did not scale the workload up"),
        ({"final_replicas": 3}, "did not scale down"),
    ],
)
def test_what_counts_as_failure(change, failure):
    found = dataclasses.replace(GOOD, **change).failure()
    assert (found is None) if failure is None else (failure in found)


def test_the_burst_is_more_than_one_replica_can_do():
    load = Load.for_replica(500)
    assert load.burst == 1250
    assert load.rate < 500
    assert load.comments == 100 * 20 + 1250 * 25


def test_a_picture_of_what_is_and_is_not_known():
    conditions = [
        {"type": "Ready", "status": "True", "reason": "Ready", "message": "all is well"},
        {"type": "Stalled", "status": "False", "reason": "NotStalled", "message": ""},
    ]
    verdict = {"id": "7", "label": "removed", "score": 0.93, "flagged": True}
    history = History()
    for lag in (0, 50, 100):
        snapshot = Snapshot(
            seconds=3,
            phase="sending",
            conditions=conditions,
            lag=lag,
            desired=2,
            ready=1,
            last=[json.dumps(verdict), "dead letter: NotUtf8"],
        )
        history.add(snapshot)
    output = io.StringIO()
    Console(file=output, width=100).print(picture(snapshot, history))
    text = output.getvalue()
    for expected in ("100 messages", "1 ready of 2", "removed", "0.93", "NotUtf8", "all is well"):
        assert expected in text
    assert "behind   ? s" in line(snapshot)  # unknown is never zero


def test_an_unknown_lag_is_not_zero():
    history = History()
    history.add(Snapshot(seconds=0, phase="", lag=7))
    history.add(Snapshot(seconds=1, phase="", lag=None))
    assert history.lag == [7, 7]


@pytest.mark.parametrize(
    ("values", "bars"),
    [([], ""), ([0, 0], ""), ([0, 4, 8], " ▄█"), ([8] * 120, "█" * 60)],
)
def test_sparklines(values, bars):
    assert sparkline(values) == bars


def example(name):
    path = repository_root() / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def produce():
    return example("produce")


def test_a_burst_replaces_the_rate_for_its_time(produce):
    burst = produce.Burst.parse("10x2@1")
    times = list(itertools.takewhile(lambda t: t < 5, produce.due_times(2, burst)))
    assert [sum(1 for t in times if s <= t < s + 1) for s in range(5)] == pytest.approx(
        [2, 10, 10, 2, 2], abs=1
    )


@pytest.mark.parametrize("text", ["", "5", "5x", "x5", "5x5@", "-5x5"])
def test_a_burst_that_is_none(produce, text):
    with pytest.raises(argparse.ArgumentTypeError):
        produce.Burst.parse(text)


def arguments(path, **changes):
    defaults = {"column": "BODY", "encoding": None, "key": "row", "seed": None}
    return argparse.Namespace(file=path, **(defaults | changes))


def test_comments_with_stray_bytes_are_read(produce, tmp_path):
    path = tmp_path / "comments.csv"
    path.write_bytes(b'"",BODY,REMOVED\n1,"caf\xe9 \x81",0\n2,"  ",1\n3,"two\nlines",1\n')
    comments = produce.read_comments(arguments(path))
    assert [c.text for c in comments] == ["café �", "two\nlines"]
    assert [c.key for c in comments] == ["0", "2"]
    assert json.loads(produce.encode(comments[0], "json")) == {"id": "0", "body": "café �"}


def test_a_file_in_utf8_is_read_as_such(produce, tmp_path):
    path = tmp_path / "comments.txt"
    path.write_bytes("\ufeffcafé ☕\nžluťoučký\n".encode())
    assert [c.text for c in produce.read_comments(arguments(path))] == ["café ☕", "žluťoučký"]
    path.write_bytes("λ".encode("iso-8859-7"))
    (comment,) = produce.read_comments(arguments(path, encoding="iso-8859-7"))
    assert comment.text == "λ"


def test_lines_of_any_other_file(produce, tmp_path):
    path = tmp_path / "comments.txt"
    path.write_text("one\n\ntwo\n")
    assert [c.text for c in produce.read_comments(arguments(path, key="none"))] == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"A,B\n1,2\n", "has no column BODY"), (b"BODY\n", "holds no comments")],
)
def test_files_that_do_not_do(produce, tmp_path, content, message):
    path = tmp_path / "comments.csv"
    path.write_bytes(content)
    with pytest.raises(SystemExit, match=message):
        produce.read_comments(arguments(path))
    with pytest.raises(SystemExit, match="cannot be read"):
        produce.read_comments(arguments(tmp_path / "absent.csv"))


def test_a_seed_repeats_an_order(produce, tmp_path):
    path = tmp_path / "comments.txt"
    path.write_text("\n".join(map(str, range(50))))
    first, again, other = (produce.read_comments(arguments(path, seed=s)) for s in (1, 1, 2))
    assert first == again != other


def test_a_verdict_and_a_dead_letter_name_their_comment():
    verdicts = example("verdicts")

    class Record:
        def __init__(self, **headers):
            self._headers = [(k.replace("_E_", "textmod.error."), v) for k, v in headers.items()]

        def headers(self):
            return self._headers

    assert verdicts.answered(Record(ce_id=b"in/3/7")) == "in/3/7"
    dead = Record(_E_topic=b"in", _E_partition=b"3", _E_offset=b"7")
    assert verdicts.answered(dead) == "in/3/7"


def test_brokers_that_do_not_answer_are_named_once(monkeypatch, capfd):
    verdicts = example("verdicts")
    monkeypatch.setattr(verdicts, "METADATA_SECONDS", 1.0)
    arguments = ["--bootstrap-servers=127.0.0.1:9", "--topic=science-output"]
    monkeypatch.setattr(sys, "argv", ["verdicts.py", *arguments])
    with pytest.raises(SystemExit, match=r"^Kafka at 127\.0\.0\.1:9: .*Connection refused"):
        verdicts.main()
    assert capfd.readouterr().err == "", "the reason is in the exit message"


def test_the_demo_says_what_was_decided_and_why():
    decisions = Decisions()
    decisions.take("in/0/0", '{"label": "kept", "score": 0.1}')  # as without policies
    explanation = {
        "offsets": "CodePoint",
        "spans": [{"begin": 4, "end": 8, "weight": 1.31}, {"begin": 0, "end": 3, "weight": -0.2}],
        "features": [{"name": "capitals", "weight": 0.5}],
    }
    for number, action in enumerate(["Allow", *["Remove"] * 4]):
        verdict = {
            "action": action,
            "score": 0.91,
            "policies": [{"name": "off-topic", "action": action}],
        }
        if action == "Remove":
            verdict["explanation"] = explanation
        decisions.take(f"in/0/{number}", json.dumps(verdict))
    texts = {"in/0/2": "you fool"}
    rules = [
        {"action": "Remove", "threshold": 0.265},
        {"action": "Review"},  # its rate is not known yet
        {"action": "Remove", "threshold": 0.9},
    ]
    thresholds = thresholds_of({"policies": [{"name": "off-topic", "rules": rules}]})
    first, *explained = decisions.lines(texts.get, thresholds)
    assert first == "policy off-topic: Remove 4 (from score 0.27 on), Review 0, Allow 1"
    assert explained == [
        "Remove, score 0.91: 'fool' +1.31, 'you' -0.20, capitals +0.50",
        *["Remove, score 0.91: 4-8 +1.31, 0-3 -0.20, capitals +0.50"] * 2,
    ]
