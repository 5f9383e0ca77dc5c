"""The policies in force as the console reads them, and what the audit says of their thresholds."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk_world import World
from memory_desk import some_policies

from textmod_console.policies import InForce, PolicyFile
from textmod_console.store.thresholds import ACT, ThresholdAudit


def written(path: Path, policies: InForce) -> None:
    """Replace the file as the kubelet does: another file under the same name."""
    beside = path.with_suffix(".new")
    beside.write_text(policies.model_dump_json(by_alias=True))
    beside.replace(path)


def moved(to: float | None, source: str = "Feedback") -> InForce:
    """Return the policies with another threshold of the first rule."""
    policies = some_policies()
    first, *rest = policies.policies
    rule, *others = first.rules
    rule = rule.model_copy(update={"threshold": to, "source": source})
    first = first.model_copy(update={"rules": (rule, *others)})
    return policies.model_copy(update={"version": "sha256:other", "policies": (first, *rest)})


def test_the_file_is_read_again_when_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "policies.json"
    file = PolicyFile(path)
    assert file.read() is None, "not there yet"
    written(path, some_policies())
    assert file.read() == some_policies()
    written(path, moved(0.5))
    assert file.read() == moved(0.5)
    path.unlink()
    assert file.read() is None
    assert PolicyFile(None).read() is None


@pytest.mark.parametrize("content", ["", "{", '{"policies": 1}', "[]", '{"policies": [{}]}'])
def test_a_file_that_cannot_be_read_keeps_what_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "policies.json"
    file = PolicyFile(path)
    written(path, some_policies())
    file.read()
    path.unlink()
    path.write_text(content)
    assert file.read() == some_policies()
    written(path, moved(0.5))
    assert file.read() == moved(0.5)


def test_a_source_that_a_newer_operator_writes_is_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "policies.json"
    content = some_policies().model_dump_json(by_alias=True)
    for known in ("Artifact", "Feedback", "Asked"):
        content = content.replace(f'"{known}"', '"Forecast"')
    path.write_text(content)
    found = PolicyFile(path).read()
    assert found is not None
    assert found.policies[0].rules[0].source == "Forecast"


def test_a_corrected_threshold_is_in_the_audit_once(world: World) -> None:
    audit = ThresholdAudit(world.database)
    assert audit.note(some_policies(), world.now)
    assert not audit.note(some_policies(), world.now)
    assert audit.note(moved(0.9), world.now)
    assert not ThresholdAudit(world.database).note(moved(0.9), world.now), "of the next leader"
    assert not audit.note(None, world.now), "unknown policies are not a change"
    assert ThresholdAudit(world.database).note(moved(None), world.now)
    newest, corrected, first = world.desk.audit(None, 10)
    assert (first.actor, first.act) == ("textmod-operator", ACT)
    assert len(first.detail["changed"]) == 3
    assert corrected.detail["changed"] == [
        {
            "policy": "off-topic", "rule": 1, "from": "Remove from 0.9712 (Feedback)",
            "to": "Remove from 0.9 (Feedback)",
        }
    ]  # fmt: skip
    assert newest.detail["changed"][0]["to"] == "Remove never"
    world.verify()


def test_a_rule_that_is_gone_is_a_change(world: World) -> None:
    audit = ThresholdAudit(world.database)
    audit.note(some_policies(), world.now)
    fewer = some_policies().model_copy(update={"policies": some_policies().policies[:1]})
    assert audit.note(fewer, world.now)
    (change,) = world.desk.audit(None, 1)[0].detail["changed"]
    assert (change["policy"], change["to"]) == ("spam", "none")
