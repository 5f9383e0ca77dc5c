"""What a pass says of quality, and how it asks the console."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fake_cluster import NEWEST
from objects import body
from world import DEPLOYMENT, SCIENCE, World, pod, serving

from textmod_operator.api.status import QualityStatus
from textmod_operator.conditions import measured_of, notices, promises
from textmod_operator.controller.console_figures import (
    INTERVAL_SECONDS,
    MAX_BACKOFF_SECONDS,
    UNHEARD_SECONDS,
    ConsoleFigures,
)
from textmod_operator.controller.quality_metrics import quality_figures
from textmod_operator.policies import Histogram, ModelAnswer, ModelSeen
from textmod_operator.state import Manifest

CONSOLE = pod(name="science-console-0", ready=True, address="10.9.0.1")
REMOVE = {"action": "Remove", "precision": 0.75}
SCORE = {"action": "Remove", "atLeast": 0.9}
POLICY = {"name": "spam", "rules": [REMOVE]}
RISING = tuple(float(count) for count in range(200))
MODEL = ModelSeen(
    "sha256:" + "a" * 64, ("removed",), (("removed", Histogram((50.0,) * 200, RISING)),)
)


def estimate(
    value: float | None, low: float = 0.0, high: float = 1.0, labels: int = 90
) -> Manifest:
    if value is None:
        return {"labels": labels, "effective": 1.0}
    return {"value": value, "low": low, "high": high, "labels": labels, "effective": 80.0}


def quality(**fields: Any) -> Manifest:
    return {
        "window": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-08T00:00:00Z"},
        "precision": estimate(0.9, 0.85, 0.94),
        "recall": estimate(0.5, 0.4, 0.6),
        "reviewedPerDay": 30.0,
        "policies": [
            {
                "name": "spam",
                "precision": estimate(0.6, 0.5, 0.7),
                "actions": [{"action": "Remove", "precision": estimate(0.6, 0.5, 0.7)}],
            }
        ],
        **fields,
    }


EVIDENCE: Manifest = {"model": None, "labels": {}}


def world(**answers: Any) -> World:
    it = serving()
    it.cluster.pods_of = (pod(ready=True, revision=NEWEST, policies="", address="10.0.0.1"),)
    it.models = {"10.0.0.1": ModelAnswer(MODEL)}
    it.cluster.console_pods_of = (CONSOLE,)
    it.console = {"/quality": quality(), "/evidence": EVIDENCE, **answers}
    return it


def spec(*policies: Manifest, **review: Any) -> dict[str, Any]:
    return {**DEPLOYMENT, "review": {"minimumLabels": 50, **review}, "policies": list(policies)}


def status(it: World) -> Manifest:
    assert it.cluster.body is not None
    return it.cluster.body["status"]


def message(it: World) -> str:
    found = {one["type"]: one["message"] for one in status(it)["conditions"]}
    return found["QualityKnown"]


# --- the condition and the status -----------------------------------------------------------------


def test_what_is_measured_is_in_the_status() -> None:
    it = world()
    it.run(spec(POLICY))
    assert it.told["QualityKnown"] == ("True", "Measured")
    assert status(it)["quality"] == quality()
    assert message(it) == (
        "precision 0.9 (0.85 to 0.94, 90 labels), recall 0.5 (0.4 to 0.6, 90 labels); policy spam "
        "does not keep its precision of 0.75 for Remove: measured 0.6 (0.5 to 0.7, 90 labels)"
    )
    assert it.told["Ready"] == ("True", "Ready")


def test_without_review_there_is_no_word_of_it() -> None:
    it = world()
    it.run(DEPLOYMENT)
    assert "QualityKnown" not in it.told
    assert "quality" not in status(it)
    assert it.asked == []


@pytest.mark.parametrize(
    ("fields", "told", "words"),
    [
        (
            {"recall": estimate(None), "reason": "recall is unknown: there are 3 labels"},
            ("False", "TooFewLabels"),
            "there are 3 labels",
        ),
        (
            {"precision": estimate(None), "recall": estimate(None), "reviewedPerDay": 0.0},
            ("False", "NoReviewers"),
            "no decision was made",
        ),
    ],
)
def test_what_is_unknown_is_said(fields: Manifest, told: tuple[str, str], words: str) -> None:
    it = world(**{"/quality": quality(**fields)})
    it.run(spec())
    assert it.told["QualityKnown"] == told
    assert words in message(it)
    assert "value" not in status(it)["quality"]["recall"]
    assert it.told["Ready"] == ("True", "Ready")


def test_a_console_that_is_switched_off_is_not_asked() -> None:
    it = world()
    it.run(spec(console={"enabled": False}))
    assert it.told["QualityKnown"] == ("Unknown", "NoConsole")
    assert it.asked == []


def test_a_policy_that_is_gone_is_in_no_status() -> None:
    it = world()
    it.run(spec({"name": "rude", "rules": [{"action": "Remove", "atLeast": 0.9}]}))
    assert status(it)["quality"]["policies"] == []


# --- asking ---------------------------------------------------------------------------------------


def later(it: World, seconds: float) -> None:
    it.seconds += seconds
    it.now += timedelta(seconds=seconds)


def test_it_is_asked_again_after_a_while_and_not_in_every_pass() -> None:
    it = world()
    for _ in range(3):
        it.run(spec())
    assert it.asked == ["10.9.0.1/quality", "10.9.0.1/evidence"]
    later(it, INTERVAL_SECONDS)
    it.run(spec())
    assert len(it.asked) == 4
    later(it, 0.9 * INTERVAL_SECONDS)  # as the jitter of a planned pass has it
    outcome = it.run(spec())
    assert len(it.asked) == 6
    assert outcome is not None
    assert outcome.again == INTERVAL_SECONDS


def test_a_silent_console_is_asked_less_often_and_called_unavailable_in_the_end() -> None:
    it = world()
    it.run(spec(POLICY))
    it.console.clear()
    it.asked.clear()
    while it.seconds < UNHEARD_SECONDS + INTERVAL_SECONDS:
        later(it, 5.0)
        it.run(spec(POLICY))
    assert it.told["QualityKnown"] == ("Unknown", "ConsoleUnavailable")
    assert "has not reported for 15 minutes: it does not answer on port 8081" in message(it)
    assert status(it)["quality"] == quality()  # what was measured stays so, with its window
    known = {"spec": spec(POLICY), "status": status(it)}
    assert {gauge for _, gauge, _ in quality_figures(SCIENCE, known)} == {
        "textmoderation_promised_precision"
    }  # a metric has no window: an old one would look like one of now
    assert 3 < it.asked.count("10.9.0.1/quality") < 12
    later(it, MAX_BACKOFF_SECONDS)
    it.console = {"/quality": quality(), "/evidence": EVIDENCE}
    it.run(spec(POLICY))
    assert it.told["QualityKnown"] == ("True", "Measured")


@pytest.mark.parametrize(
    "answer",
    [None, [], "x", {"precision": {"value": 3}}, {"policies": [{}]}, {"window": {"from": 1}}],
)
def test_what_is_no_answer_is_none(answer: Any) -> None:
    it = world(**{"/quality": answer})
    it.run(spec())
    assert it.told["QualityKnown"] == ("Unknown", "Waiting")
    assert "quality" not in status(it)


def test_fields_of_a_newer_console_are_passed_over() -> None:
    newer = quality(colour="blue", precision={**estimate(0.9), "method": "new"})
    assert (
        measured_of(newer).precision
        == QualityStatus.model_validate({"precision": estimate(0.9)}).precision
    )


def test_a_pass_waits_for_nobody() -> None:
    waiting: list[Any] = []
    consoles = ConsoleFigures(lambda *_: quality(), lambda: 0.0, waiting.append)
    assert consoles.said(SCIENCE, [CONSOLE]).measured is None
    assert consoles.said(SCIENCE, [CONSOLE]).measured is None
    (work,) = waiting  # one question at a time
    consoles.forget(SCIENCE)
    work()
    assert consoles.said(SCIENCE, [CONSOLE]).measured is None  # the answer is of an object before


def test_an_answer_brings_a_pass_if_it_has_news() -> None:
    answers = {"/quality": quality(), "/evidence": EVIDENCE}
    waiting: list[Any] = []
    seconds, changed = [0.0], []

    def ask(_: str, path: str) -> Any:
        if path not in answers:
            raise ConnectionRefusedError
        return answers[path]

    consoles = ConsoleFigures(ask, lambda: seconds[0], waiting.append, changed.append)

    def asked() -> int:
        """How many passes the next question brings."""
        seconds[0] += INTERVAL_SECONDS
        consoles.said(SCIENCE, [CONSOLE])
        assert consoles.wait(SCIENCE) == INTERVAL_SECONDS, "nobody looks for the answer"
        changed.clear()
        waiting.pop()()
        return len(changed)

    assert asked() == 1
    assert asked() == 0
    answers["/quality"] = moved("2026-01-08T00:01:00Z")
    assert asked() == 0, "the window moves with the clock"
    answers["/quality"] = quality(reviewedPerDay=31.0)
    assert asked() == 1
    answers["/evidence"] = evidence(1.0, 2.0)
    assert asked() == 1
    answers.clear()
    assert asked() == 1, "the pass knows when to ask again"
    answers |= {"/quality": quality(reviewedPerDay=31.0), "/evidence": evidence(1.0, 2.0)}
    assert asked() == 1, "it is back"
    consoles.close()


def test_only_ready_pods_are_asked() -> None:
    it = world()
    it.cluster.console_pods_of = (pod(name="science-console-0", ready=False, address="10.9.0.1"),)
    it.run(spec())
    assert it.asked == []
    later(it, UNHEARD_SECONDS)
    outcome = it.run(spec())
    assert outcome is not None
    assert outcome.again == INTERVAL_SECONDS  # and not more often, for as long as that may last
    assert "none of its pods is ready" in message(it)


def test_the_threads_are_made_when_they_are_needed_and_end() -> None:
    consoles = ConsoleFigures(lambda *_: None)
    consoles.close()
    assert consoles.said(SCIENCE, [CONSOLE]).measured is None


# --- writing --------------------------------------------------------------------------------------


def moved(to: str, **fields: Any) -> Manifest:
    return quality(window={"from": "2026-01-01T00:00:00Z", "to": to}, **fields)


@pytest.mark.parametrize(
    ("answer", "is_written"),
    [
        (moved("2026-01-08T00:01:00Z"), False),
        (moved("2026-01-08T00:01:00Z", reviewedPerDay=31.0), False),
        (moved("2026-01-08T00:01:00Z", precision=estimate(0.901, 0.851, 0.942, 91)), False),
        (moved("2026-01-08T00:01:00Z", precision=estimate(0.9051, 0.8549, 0.9449)), False),
        (moved("2026-01-08T00:01:00Z", precision=estimate(0.92, 0.87, 0.96, 99)), True),
        (moved("2026-01-08T00:01:00Z", reviewedPerDay=0.0), True),
        (moved("2026-01-08T00:01:00Z", precision=estimate(None)), True),
        (moved("2026-01-08T00:10:00Z"), True),
    ],
)
def test_a_status_is_written_when_it_says_something_new(answer: Manifest, is_written: bool) -> None:
    it = world()
    it.run(spec(POLICY))
    it.console["/quality"] = answer
    later(it, INTERVAL_SECONDS)
    it.wrote()
    it.run(spec(POLICY))
    assert (status(it)["quality"] != quality()) is is_written
    assert (("patch", "status") in it.cluster.writes) is is_written, "the condition included"


# --- promises and thresholds ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([REMOVE], [("Remove", 0.75, 0.7)]),
        ([REMOVE, {"action": "Review", "atLeast": 0.4}], [("Remove", 0.75, 0.7)]),
        # All that is at or above it, the removed ones included: the policy as a whole.
        ([SCORE, {"action": "Review", "precision": 0.6}], [("Review", 0.6, 0.8)]),
        # Both are removed, and nobody can tell which rule it was.
        ([REMOVE, {**REMOVE, "precision": 0.5}], [("Remove", 0.75, None), ("Remove", 0.5, 0.7)]),
        ([SCORE], []),
    ],
)
def test_a_promise_is_compared_with_what_it_is_of(rules: list[Manifest], expected: Any) -> None:
    measured = quality()
    measured["policies"][0]["precision"] = estimate(0.7, 0.6, 0.8)
    found = promises({"policies": [{"name": "spam", "rules": rules}]}, measured)
    assert [
        (one.action, one.promised, one.measured.high if one.measured else None) for one in found
    ] == expected


def test_a_promise_whose_interval_is_not_known_is_not_broken() -> None:
    measured = quality()
    measured["policies"][0]["actions"][0]["precision"] = {"value": 0.1, "labels": 90}
    (promise,) = promises({"policies": [POLICY]}, measured)
    assert not promise.is_broken


def evidence(positive: float, negative: float) -> Manifest:
    bins = [
        {"logit": x / 4, "positive": positive, "negative": negative, "effective": 20.0}
        for x in range(-4, 12)
    ]
    return {
        "model": MODEL.digest,
        "width": 0.25,
        "labels": {"removed": {"labels": 320, "effective": 320.0, "bins": bins}},
    }


def thresholds(it: World) -> list[tuple[float | None, str]]:
    (policy,) = status(it)["policies"]
    return [(rule.get("threshold"), rule["source"]) for rule in policy["rules"]]


def test_decisions_move_a_threshold_which_is_an_event() -> None:
    it = world()
    it.run(spec(POLICY))
    ((before, source),) = thresholds(it)
    assert (before, source) == (0.505, "Artifact")
    it.console["/evidence"] = evidence(16.0, 4.0)
    later(it, INTERVAL_SECONDS)
    it.run(spec(POLICY))
    assert thresholds(it) == [(before, "Artifact")]  # the hour since it was first worked out
    later(it, 3600.0)
    earlier = status(it)
    it.run(spec(POLICY))
    (notice,) = notices(earlier, status(it))
    assert notice.message == (
        "policy spam, rule 1 (Remove): by people's decisions the threshold moved from 0.505 to "
        f"{status(it)['policies'][0]['rules'][0]['threshold']:g}"
    )
    ((after, source),) = thresholds(it)
    assert source == "Feedback"
    assert after is not None
    assert after < before
    assert it.cluster.events.count(("Normal", "ThresholdCorrected")) == 1


def test_a_policy_that_changed_is_no_correction() -> None:
    rule = {"action": "Remove", "threshold": 0.9, "source": "Feedback"}
    before = {"policies": [{"name": "a", "rules": [rule]}], "conditions": []}
    other = {**rule, "action": "Review", "threshold": 0.5}
    for rules in ([rule, other], [other], [rule]):
        after = {"policies": [{"name": "a", "rules": rules}], "conditions": []}
        assert notices(before, after) == []


# --- metrics --------------------------------------------------------------------------------------


def test_the_metrics_have_what_is_known() -> None:
    it = world(**{"/quality": quality(recall=estimate(None))})
    asked = spec(POLICY)
    it.run(asked)
    found = {
        (gauge.removeprefix("textmoderation_"), labels[2:]): value
        for labels, gauge, value in quality_figures(SCIENCE, {"spec": asked, "status": status(it)})
    }
    assert found[("quality_precision", ("", ""))] == 0.9
    assert found[("quality_precision_low", ("", ""))] == 0.85
    assert found[("quality_precision_high", ("spam", "Remove"))] == 0.7
    assert found[("promised_precision", ("spam", "Remove"))] == 0.75
    assert found[("promise_high", ("spam", "Remove"))] == 0.7
    assert ("quality_recall", ("", "")) not in found
    assert list(quality_figures(SCIENCE, body(DEPLOYMENT))) == []
