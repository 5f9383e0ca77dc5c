"""The file of the policies: read when it changes, kept in force when it cannot be used."""

import argparse
import logging

import pytest
from policy_sets import ConfigMap, document, policy, raw, rule

from textmod_model.serving import redrive_cli
from textmod_model.serving.policies import PolicyFile


@pytest.fixture
def config_map(tmp_path):
    return ConfigMap(tmp_path)


@pytest.fixture
def file(config_map):
    return PolicyFile(config_map.path, ("removed",))


def test_an_update_of_the_config_map_is_read(config_map, file):
    config_map.write(raw())
    assert file.check()
    first = file.version
    assert first == document()["version"]
    assert not file.check()
    config_map.write(raw(policy(rule(at_least=0.8))))
    assert file.check()
    assert file.version != first
    assert (file.error, file.missing()) == (None, None)


def test_a_file_that_cannot_be_used_keeps_what_is_in_force_and_says_so_once(
    config_map, file, caplog
):
    caplog.set_level(logging.ERROR)
    config_map.write(raw())
    file.check()
    in_force = file.evaluator()
    config_map.write(b"{")
    for _ in range(3):
        assert not file.check()
    assert file.evaluator() is in_force
    assert "not JSON" in file.error
    assert len(caplog.records) == 1
    assert "the policies in force stay" in caplog.text
    config_map.write(raw())
    file.check()
    assert file.error is None
    assert file.evaluator() is in_force, "the same policies are not taken for others"


def test_a_file_that_goes_away_keeps_what_is_in_force(config_map, file):
    config_map.write(raw())
    file.check()
    aside = config_map.path.with_name("aside")
    config_map.path.rename(aside)
    assert not file.check()
    assert file.version == document()["version"]
    assert "No such file" in file.error
    aside.rename(config_map.path)
    assert not file.check(), "the same policies"
    assert file.error is None, "the same file is read again"


def test_none_at_the_start_is_a_sentence_until_there_are_some(config_map, file):
    file.check()
    assert "No policies are in force" in file.missing()
    assert str(config_map.path) in file.missing()
    config_map.write(raw(policy(rule("Delete"))))
    file.check()
    assert "action" in file.missing()
    config_map.write(raw())
    file.check()
    assert file.missing() is None


def test_a_redrive_through_the_model_needs_the_policies_too(tmp_path, seed_path, capsys):
    environment = {
        "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "TEXTMOD_INPUT_TOPIC": "in",
        "TEXTMOD_OUTPUT_TOPIC": "out",
        "TEXTMOD_DEAD_LETTER_TOPIC": "dead",
        "TEXTMOD_CONSUMER_GROUP": "group",
        "TEXTMOD_ARTIFACT": str(seed_path),
        "TEXTMOD_POLICIES_FILE": str(tmp_path / "policies.json"),
    }
    parser = argparse.ArgumentParser()
    redrive_cli.add_command(parser.add_subparsers())
    arguments = parser.parse_args(["redrive", "--to", "output"])
    assert redrive_cli.run(arguments, environment) == 78
    assert "No policies are in force" in capsys.readouterr().err
