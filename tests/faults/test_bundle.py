"""A bundle has what a person needs to understand a broken run."""

from __future__ import annotations

import json
from pathlib import Path

from faults.bundle import write_bundle
from faults.client_statistics import condensed
from faults.history import History, Progress, Sent


def test_a_bundle_says_what_is_missing_and_what_the_clients_reported(tmp_path: Path) -> None:
    report = {
        "name": "pod#consumer-1",
        "type": "consumer",
        "time": 1_000_000,
        "brokers": {"127.0.0.1:9092/0": {"state": "DOWN", "disconnects": 4}},
        "topics": {"in": {"partitions": {"0": {"fetch_state": "active", "ls_offset": 9}}}},
    }
    log = tmp_path / "textmod.ab12-1.log"
    log.write_text("2026-11-28 INFO textmod_model: Serving.\n")
    (tmp_path / "textmod.ab12-1.statistics.jsonl").write_text(json.dumps(condensed(report)) + "\n")
    (tmp_path / "textmod.ab12-1.consumer.json").write_text(json.dumps(report))
    (tmp_path / "textmod.ab12-11.consumer.json").write_text("another worker's")
    history = History("ExactlyOnce", 60.0, sent=[Sent(4, 0, 8, None, b"x")])
    history.progress.append(Progress(1.5, 0))
    ended = ["textmod.ab12-1: exit code -6: it said nothing"]
    never_started = tmp_path / "textmod.ab12-2.log"
    folder = write_bundle(
        tmp_path / "bundle", "make it", {"lost": 1}, history, logs=[log, never_started], ended=ended
    )
    assert sorted(file.name for file in folder.iterdir()) == [
        "findings.json",
        "history.txt",
        "repeat.txt",
        "textmod.ab12-1.consumer.json",
        "textmod.ab12-1.log",
        "textmod.ab12-1.statistics.txt",
    ]
    assert (folder / "repeat.txt").read_text() == "make it\n"
    story = (folder / "history.txt").read_text()
    assert "missing 4 at 0/8\n     1.5 s 0 committed" in story
    assert ended[0] in story
    page = (folder / "textmod.ab12-1.statistics.txt").read_text()
    assert "127.0.0.1:9092/0  DOWN" in page
    assert "0:-<-<9 +0" in page
