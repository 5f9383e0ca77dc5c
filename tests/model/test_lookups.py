"""Requests to the brokers run beside the stream: they neither block it nor end it."""

import gc
import os
import sys
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
from background import Later
from confluent_kafka import KafkaError, KafkaException

from textmod_model import settings
from textmod_model.errors import ConfigurationError
from textmod_model.stream import group_lookup, topics
from textmod_model.stream.delivery.rules import TopicRules
from textmod_model.stream.group_lookup import GroupLookup
from textmod_model.stream.group_view import Member
from textmod_model.stream.input_identity import Topic
from textmod_model.stream.topic_id_lookup import TopicIdLookup
from textmod_model.stream.topics import TopicRulesLookup

STREAM = {
    "TEXTMOD_STREAMING": "Native",
    "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "TEXTMOD_INPUT_TOPIC": "in",
    "TEXTMOD_OUTPUT_TOPIC": "out",
    "TEXTMOD_DEAD_LETTER_TOPIC": "dead",
    "TEXTMOD_CONSUMER_GROUP": "group",
}


class Admin:
    """An admin client; opening it may fail as AWS's tokens do."""

    def __init__(self):
        self.opened = self.closed = 0
        self.refuses = None
        self.topics = {"out": 1000, "dead": 2000}
        self.failed = None
        self.settings_denied = False
        self.cluster = "cluster"
        self.cluster_failed = False

    def open(self, _settings):
        if self.refuses:
            raise ConfigurationError(self.refuses)
        self.opened += 1
        return self

    def __exit__(self, *_):
        self.closed += 1

    def describe_configs(self, resources, request_timeout):
        if self.settings_denied:
            return dict.fromkeys(resources, refusal(KafkaError.TOPIC_AUTHORIZATION_FAILED))
        return {one: self._answer(self._topic(one.name)) for one in resources}

    def describe_consumer_groups(self, groups, request_timeout):
        assignment = SimpleNamespace(topic_partitions=[SimpleNamespace(topic="in", partition=1)])
        member = SimpleNamespace(
            member_id="me", assignment=assignment, target_assignment=assignment
        )
        return {groups[0]: self._answer(SimpleNamespace(members=[member]))}

    def describe_topics(self, topics, request_timeout):
        return {one: self._answer(SimpleNamespace(topic_id="id")) for one in topics.topic_names}

    def describe_cluster(self, request_timeout):
        answer = self._answer(SimpleNamespace(cluster_id=self.cluster))
        if self.cluster_failed:
            return refusal(KafkaError._TIMED_OUT)
        return answer

    def _topic(self, name):
        return {"max.message.bytes": SimpleNamespace(value=str(self.topics[name]))}

    def _answer(self, value):
        if self.failed is not None:
            return refusal(self.failed)
        future = Future()
        future.set_result(value)
        return future


def refusal(code):
    future = Future()
    future.set_exception(KafkaException(KafkaError(code)))
    return future


class Asked:
    def __init__(self, kind):
        self.admin, self.later = Admin(), Later()
        self.lookup = kind(settings.load(STREAM), connect=self.admin.open, background=self.later)

    def answer(self):
        rules = isinstance(self.lookup, TopicRulesLookup)
        return self.lookup.answer(0) if rules else self.lookup.answer()


@pytest.fixture(params=[TopicRulesLookup, GroupLookup])
def asked(request):
    return Asked(request.param)


def test_a_client_is_opened_in_the_background(asked):
    """With AWS_MSK_IAM the client waits for its token, a second and more."""
    asked.lookup.ask()
    asked.lookup.ask()
    assert asked.admin.opened == 0
    assert asked.answer() is None
    assert len(asked.later.run()) == 1, "one request at a time"
    assert asked.answer()
    assert asked.answer() is None


@pytest.mark.parametrize("failed", [None, KafkaError._TIMED_OUT])
def test_a_client_is_closed_behind_its_answer(asked, failed):
    asked.admin.failed = failed
    for _ in range(3):
        asked.lookup.ask()
        asked.later.run()
        asked.answer()
    assert (asked.admin.opened, asked.admin.closed) == (3, 3)


@pytest.mark.parametrize("kind", [TopicRulesLookup, GroupLookup])
def test_no_thread_of_a_client_waits_for_the_garbage_collector(kind, monkeypatch):
    """A stream without messages makes no garbage: each minute left a client with its threads."""
    monkeypatch.setattr(topics, "REQUEST_SECONDS", 0.1)
    monkeypatch.setattr(group_lookup, "REQUEST_SECONDS", 0.1)
    later = Later()
    lookup = kind(settings.load(STREAM), background=later)
    before = threads()
    gc.disable()
    try:
        for _ in range(2):
            lookup.ask()
            later.run()
            lookup.answer(0) if kind is TopicRulesLookup else lookup.answer()
        assert threads() <= before
    finally:
        gc.enable()


def threads():
    return len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.parametrize("failed", [KafkaError._TIMED_OUT, KafkaError.GROUP_AUTHORIZATION_FAILED])
def test_a_request_that_fails_is_sent_again(asked, failed):
    asked.admin.failed = failed
    asked.lookup.ask()
    asked.later.run()
    assert not asked.answer()
    asked.admin.failed = None
    asked.lookup.ask()
    asked.later.run()
    assert asked.answer()


def test_credentials_that_are_away_do_not_end_the_stream(asked):
    asked.admin.refuses = "AWS gave this pod no credentials."
    asked.lookup.ask()
    asked.later.run()
    assert not asked.answer()
    asked.admin.refuses = None
    asked.lookup.ask()
    asked.later.run()
    assert asked.answer()


def test_the_answers_are_rules_and_members():
    rules = Asked(TopicRulesLookup)
    rules.lookup.ask()
    rules.later.run()
    assert rules.answer() == {
        "out": TopicRules(max_bytes=1000, id="id"),
        "dead": TopicRules(max_bytes=2000, id="id"),
    }
    group = Asked(GroupLookup)
    group.lookup.ask()
    group.later.run()
    assert group.answer() == {"me": Member(frozenset({1}), frozenset({1}))}


def test_topics_have_ids_for_who_may_not_see_their_settings():
    rules = Asked(TopicRulesLookup)
    rules.admin.settings_denied = True
    rules.lookup.ask()
    rules.later.run()
    assert rules.answer() == {"out": TopicRules(id="id"), "dead": TopicRules(id="id")}


def test_a_process_that_the_client_library_aborts_is_no_answer(tmp_path, monkeypatch, caplog):
    """librdkafka's issue 4605: the worker must outlive it."""
    aborted = tmp_path / "python"
    aborted.write_text("#!/bin/sh\necho 'Assertion failed.' >&2\nkill -ABRT $$\n")
    aborted.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(aborted))
    later = Later()
    lookup = GroupLookup(settings.load(STREAM), background=later, apart=os.environ)
    caplog.set_level("INFO")
    lookup.ask()
    later.run()
    assert lookup.answer() is None
    assert "exit code -6, Assertion failed." in caplog.text
    lookup.ask()
    assert later.run(), "it is asked again"


@pytest.mark.parametrize("hangs", ["exec sleep 100", "kill -STOP $$", "sleep 3; exit"])
def test_a_process_that_hangs_is_ended_and_waited_for(hangs, tmp_path, monkeypatch):
    """Also one that is stopped, or has a child of its own that keeps its output open."""
    hanging, names = tmp_path / "python", tmp_path / "ids"
    hanging.write_text(f"#!/bin/sh\necho $$ >{names}\n{hangs}\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hanging))
    monkeypatch.setattr(group_lookup, "APART_SECONDS", 2.0)
    later = Later()
    lookup = GroupLookup(settings.load(STREAM), background=later, apart=os.environ)
    lookup.ask()
    later.run()
    assert lookup.answer() is None
    process = names.read_text().strip()
    assert not Path("/proc", process).exists(), "neither running nor a zombie"
    lookup.ask()
    assert lookup.asked


@pytest.mark.parametrize("kind", [TopicRulesLookup, GroupLookup, TopicIdLookup])
def test_an_error_of_a_request_is_gone_with_its_answer(kind):
    """It and the frames that it went through referred to each other, the client among them."""
    admin = Admin()
    admin.failed = KafkaError._TIMED_OUT
    lookup = kind(settings.load(STREAM), connect=admin.open)
    gc.collect()
    gc.disable()
    try:
        before = futures_and_errors()
        for _ in range(100):
            lookup.ask()
            assert not lookup.answer(5)
        assert futures_and_errors() <= before + 3, "of the last one, whose thread may yet end"
    finally:
        gc.enable()


def futures_and_errors():
    return sum(isinstance(one, Future | KafkaException) for one in gc.get_objects())


def test_a_process_of_its_own_says_why_it_has_no_answer(monkeypatch, caplog):
    monkeypatch.setenv("TEXTMOD_STREAMING", "Sometimes")
    later = Later()
    lookup = GroupLookup(settings.load(STREAM), background=later, apart=os.environ)
    caplog.set_level("INFO")
    lookup.ask()
    later.run()
    assert lookup.answer() is None
    assert "TEXTMOD_STREAMING" in caplog.text


def test_an_answer_to_an_earlier_question_about_the_topic_is_not_taken():
    """It may be of the topic that has been deleted since."""
    asked = Asked(TopicIdLookup)
    asked.lookup.ask()
    earlier, asked.later.calls = asked.later.calls, []
    asked.lookup.ask()
    earlier[0][2].set_result(Topic("old", "cluster"))
    assert asked.lookup.answer(0) is None
    assert asked.lookup.asked
    assert asked.later.run() == ["topic id lookup"]
    assert asked.lookup.answer(0) == Topic("id", "cluster")
    assert not asked.lookup.asked


def test_without_the_clusters_id_there_is_no_answer_about_the_topic():
    """Else a moment of trouble would make mirrored offsets those of an earlier topic."""
    asked = Asked(TopicIdLookup)
    asked.admin.cluster_failed = True
    asked.lookup.ask()
    asked.later.run()
    assert asked.lookup.answer(0) is None


def test_brokers_without_a_cluster_id_are_no_failure():
    asked = Asked(TopicIdLookup)
    asked.admin.cluster = None
    asked.lookup.ask()
    asked.later.run()
    assert asked.lookup.answer(0) == Topic("id", "")


@pytest.mark.parametrize(
    "failed", [KafkaError._TIMED_OUT, KafkaError.UNKNOWN_TOPIC_OR_PART, "no token"]
)
def test_a_question_about_the_topic_that_fails_has_no_answer(failed):
    asked = Asked(TopicIdLookup)
    if isinstance(failed, str):
        asked.admin.refuses = failed
    else:
        asked.admin.failed = failed
    asked.lookup.ask()
    asked.later.run()
    assert asked.lookup.answer(0) is None
    assert not asked.lookup.asked, "so it is asked again"
