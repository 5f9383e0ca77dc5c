"""From policies to thresholds."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from objects import moderation

from textmod_operator.policies import (
    MINIMUM_ROWS,
    Histogram,
    Known,
    ModelSeen,
    Record,
    Solution,
    answered,
    model_of,
    solve,
)

BINS = 200
DAY = 86_400.0


def histogram(seed: int = 1, rows: int = 5000) -> Histogram:
    """Calibrated scores, more low than high ones, as a model's held-out scores are."""
    rng = random.Random(seed)  # noqa: S311 - a repeatable sample
    without, having = [0] * BINS, [0] * BINS
    for _ in range(rows):
        score = rng.betavariate(1.2, 2.5)
        (having if rng.random() < score else without)[min(BINS - 1, int(score * BINS))] += 1
    return Histogram(tuple(map(float, without)), tuple(map(float, having)))


HISTOGRAM = histogram()
MODEL = ModelSeen("sha256:" + "a" * 64, ("removed", "rude"), (("removed", HISTOGRAM),))


def solved(
    *rules: dict[str, Any],
    model: ModelSeen | None = MODEL,
    rate: float | None = 10.0,
    before: Record | None = None,
    now: float = 1000.0,
    **policy: Any,
) -> Solution:
    tm = moderation({"policies": [{"name": "off-topic", "rules": list(rules), **policy}]})
    spec = tm.spec
    known = Known(model, rate, before or Record(), now)
    return solve(spec.policies, spec.explanation, known)


def thresholds(solution: Solution) -> list[float | None]:
    return [rule.at_least for policy in solution.policies for rule in policy.rules]


REMOVE = {"action": "Remove", "precision": 0.8}
REVIEW = {"action": "Review", "hold": True, "budgetPerDay": 2000}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("asked", [0.2, 0.5, 0.7, 0.8])
def test_precision_is_the_lowest_threshold_that_reaches_it(seed: int, asked: float) -> None:
    scores = histogram(seed)
    threshold = scores.lowest_with_precision(asked)
    assert threshold is not None
    edge = round(threshold * BINS)

    def precision(at: int) -> float:
        having = sum(scores.having[at:])
        return having / (having + sum(scores.without[at:]))

    assert precision(edge) >= asked
    assert all(precision(lower) < asked for lower in range(edge))
    expected = scores.at(threshold)
    assert expected.precision == pytest.approx(precision(edge))
    assert expected.recall == pytest.approx(sum(scores.having[edge:]) / sum(scores.having))


def test_a_higher_precision_never_has_a_lower_threshold() -> None:
    found = [HISTOGRAM.lowest_with_precision(asked / 100) for asked in range(1, 101)]
    reached = [threshold for threshold in found if threshold is not None]
    assert reached == sorted(reached)
    assert found == [*reached, *[None] * (100 - len(reached))]


def test_a_handful_of_rows_promises_nothing() -> None:
    having = [0.0] * BINS
    having[199] = MINIMUM_ROWS - 1
    without = [100.0] + [0.0] * (BINS - 1)
    few = Histogram(tuple(without), tuple(having))
    assert few.lowest_with_precision(0.9) is None
    having[198] = 1.0
    assert Histogram(tuple(without), tuple(having)).lowest_with_precision(0.9) == 1 / BINS


@pytest.mark.parametrize(("rows", "expected"), [(MINIMUM_ROWS - 1, None), (MINIMUM_ROWS, 1.0)])
@pytest.mark.parametrize("edge", range(100, BINS))
def test_a_handful_of_rows_is_no_expectation(rows: int, expected: float | None, edge: int) -> None:
    """Also where the threshold was asked for, or follows from a budget."""
    having = [0.0] * BINS
    having[0], having[edge] = MINIMUM_ROWS, float(rows)
    scores = Histogram((100.0,) + (0.0,) * (BINS - 1), tuple(having))
    assert scores.at(edge / BINS).precision == expected
    assert scores.at(edge / BINS).recall == pytest.approx(rows / (MINIMUM_ROWS + rows))


@pytest.mark.parametrize(("rows", "expected"), [(MINIMUM_ROWS - 1, None), (MINIMUM_ROWS, 0.0)])
def test_a_recall_is_a_share_of_enough_rows(rows: int, expected: float | None) -> None:
    having = (float(rows),) + (0.0,) * (BINS - 1)
    assert Histogram((1000.0,) * BINS, having).at(0.5).recall == expected


def test_what_cannot_be_promised_never_fires_and_names_the_best() -> None:
    solution = solved({"action": "Remove", "precision": 0.999})
    assert thresholds(solution) == [None]
    (finding,) = solution.findings
    assert finding.reason == "PrecisionUnreachable"
    candidates = [HISTOGRAM.at(edge / BINS) for edge in range(BINS)]
    best = max(one.precision or 0.0 for one in candidates if one.rows >= MINIMUM_ROWS)
    assert f"the best is {best:.3g}" in finding.message
    assert solution.document()["policies"][0]["rules"][0]["atLeast"] is None


@pytest.mark.parametrize("rate", [0.01, 0.05, 1.0, 10.0, 100.0, 5000.0])
def test_a_budget_is_what_the_earlier_rules_leave(rate: float) -> None:
    solution = solved(REMOVE, REVIEW, rate=rate)
    remove, review = solution.policies[0].rules
    assert remove.at_least is not None
    assert review.at_least is not None
    assert review.share is not None
    below = HISTOGRAM.at(review.at_least).share or 0.0
    assert review.share == pytest.approx(below - (HISTOGRAM.at(remove.at_least).share or 0.0))
    if review.at_least > 0:
        assert review.share * rate * DAY == pytest.approx(2000, rel=0.05)
    else:  # there are fewer texts than that
        assert review.share * rate * DAY < 2000


def test_a_later_rule_with_a_higher_score_leaves_no_more_to_the_ones_after_it() -> None:
    first, never, review = (
        solved({"action": "Review", "atLeast": 0.3}, {"action": "Remove", "atLeast": 0.6}, REVIEW)
        .policies[0]
        .rules
    )
    assert never.share == 0.0
    assert review.at_least is not None
    assert review.at_least < 0.3
    assert review.share == pytest.approx(
        (HISTOGRAM.at(review.at_least).share or 0.0) - (first.share or 0.0)
    )


def test_a_score_within_a_bin_counts_for_its_part() -> None:
    even = Histogram((10.0,) * 10, (10.0,) * 10)
    for threshold in (0.0, 0.03, 0.285, 0.5, 0.99, 1.0):
        assert even.at(threshold).share == pytest.approx(1 - threshold)
        assert even.lowest_within(0.25, threshold) == pytest.approx(max(0.0, threshold - 0.25))
    assert even.between(0.9, 0.5) == 0.0


def test_a_budget_caps_what_is_expected() -> None:
    """While a threshold stays for its hour, more may come than it was worked out for."""
    first = solved(REVIEW, rate=1.0)
    (policy,) = solved(REVIEW, rate=50.0, before=first.record).policies
    actions = policy.actions_per_second(50.0)
    assert actions is not None
    assert actions["Review"] == pytest.approx(2000 / DAY)
    assert actions["Allow"] == pytest.approx(50.0 - 2000 / DAY)


@pytest.mark.parametrize("rate", [None, 0.0])
def test_a_budget_waits_for_a_rate(rate: float | None) -> None:
    solution = solved(REVIEW, rate=rate)
    assert thresholds(solution) == [None]
    assert [finding.reason for finding in solution.findings] == ["RateUnknown"]
    assert solution.complete  # the pods may have it: the rule does not hold yet


def test_a_rate_that_is_lost_moves_nothing() -> None:
    first = solved(REVIEW)
    later = solved(REVIEW, rate=None, before=first.record, now=1e6)
    assert thresholds(later) == thresholds(first)
    assert later.findings == ()
    assert later.document() == first.document()


def test_a_threshold_moves_at_most_once_an_hour() -> None:
    first = solved(REVIEW, rate=1.0)
    soon = solved(REVIEW, rate=50.0, before=first.record, now=1000.0 + 3599)
    assert soon.document() == first.document()
    due = solved(REVIEW, rate=50.0, before=soon.record, now=1000.0 + 3600)
    assert thresholds(due) > thresholds(first)
    back = solved(REVIEW, rate=1.0, before=due.record, now=1000.0 + 3601)
    assert back.document() == due.document()


@pytest.mark.parametrize(
    ("rule", "rate", "reason"),
    [
        ({"action": "Remove", "precision": 1}, 10.0, "PrecisionUnreachable"),
        (REVIEW, None, "RateUnknown"),
    ],
)
def test_a_rule_without_a_threshold_is_not_dated_anew_at_every_pass(
    rule: dict[str, Any], rate: float | None, reason: str
) -> None:
    """The record is an annotation of the ConfigMap: a new date would be a write."""
    first = solved(rule, rate=rate)
    assert [finding.reason for finding in first.findings] == [reason]
    later = solved(rule, rate=rate, before=first.record, now=2000.0)
    assert later.record == first.record
    assert later.findings == first.findings


def test_a_move_in_the_future_holds_nothing() -> None:
    """Whoever can edit the ConfigMap's annotation fixes no threshold by it."""
    first = solved(REVIEW, rate=1.0)
    edited = Record({key: replace(one, since=1e12) for key, one in first.record.rules.items()})
    later = solved(REVIEW, rate=50.0, before=edited)
    assert later.document() == solved(REVIEW, rate=50.0).document() != first.document()


@pytest.mark.parametrize(
    "change",
    [
        {"rules": [{**REVIEW, "budgetPerDay": 20}]},
        {"model": ModelSeen("sha256:" + "b" * 64, ("removed",), (("removed", histogram(7)),))},
        {"rules": [{"action": "Remove", "atLeast": 0.3}, REVIEW]},
    ],
)
def test_what_its_user_or_the_model_changes_is_solved_at_once(change: dict[str, Any]) -> None:
    first = solved(REVIEW)
    rules = change.pop("rules", [REVIEW])
    anew = solved(*rules, before=first.record, now=1001.0, **change)
    fresh = solved(*rules, now=1001.0, **change)
    assert anew.document() == fresh.document() != first.document()


def test_the_record_survives_being_written() -> None:
    first = solved(REMOVE, REVIEW)
    assert Record.read(first.record.written()) == first.record
    entry = json.loads(first.record.written())[0]
    damaged = [
        *(None, "", "{", "[1]", '{"a": 1}', '[{"policy": "a"}]', "[" * 100_000),
        *(json.dumps([entry | {"since": since}]) for since in (float("inf"), "x", None, [])),
        *(json.dumps([entry | {"atLeast": score}]) for score in (5, -1, float("nan"), "x", {})),
    ]
    assert all(Record.read(text) == Record() for text in damaged)


def test_without_a_model_what_was_solved_stays() -> None:
    first = solved(REMOVE, REVIEW)
    later = solved(REMOVE, REVIEW, model=None, rate=99.0, before=first.record, now=1e7)
    assert later.complete
    assert later.document() == first.document()


def test_what_needs_a_model_waits_for_it() -> None:
    assert not solved(REMOVE, model=None).complete
    asked = solved({"action": "Remove", "atLeast": 0.5}, model=None)
    assert asked.complete
    assert asked.document()["model"] is None
    changed = solved(
        {"action": "Remove", "precision": 0.7}, model=None, before=solved(REMOVE).record
    )
    assert not changed.complete


def test_a_label_that_the_model_lacks_is_named() -> None:
    solution = solved(REMOVE, label="toxic")
    (finding,) = solution.findings
    assert finding.reason == "UnknownLabel"
    assert "toxic" in finding.message
    assert "removed, rude" in finding.message
    assert solution.complete
    assert thresholds(solution) == [None]


def test_an_artifact_without_scores_solves_only_what_is_asked() -> None:
    solution = solved(REMOVE, {"action": "Review", "atLeast": 0.4}, label="rude")
    assert thresholds(solution) == [None, 0.4]
    assert [finding.reason for finding in solution.findings] == ["ModelUnknown"]


def test_the_version_is_the_digest_of_the_rest() -> None:
    document = json.loads(solved(REMOVE, REVIEW).written())
    version = document.pop("version")
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert version == f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
    assert document["explanation"] == {
        "actions": ["Remove", "Review"],
        "maxSpans": 5,
        "offsets": "CodePoint",
    }
    assert document["model"] == MODEL.digest
    (policy,) = document["policies"]
    assert policy["label"] is None
    assert [rule["budgetPerDay"] for rule in policy["rules"]] == [None, 2000]


def test_actions_add_up_to_the_rate() -> None:
    (policy,) = solved(REMOVE, REVIEW).policies
    actions = policy.actions_per_second(10.0)
    assert actions is not None
    assert sum(actions.values()) == pytest.approx(10.0)
    assert actions["Review"] <= 2000 / DAY
    assert policy.actions_per_second(None) is None


def test_a_models_answer_is_read() -> None:
    label = {"name": "removed", "threshold": 0.5, "without": [1] * 200, "having": [2.5] * 200}
    answer = answered(
        {
            "digest": "sha256:1",
            "labels": ["kept", "removed"],
            "attributes": [label],
            "policies": {"version": "sha256:2", "error": None},
        }
    )
    assert (answer.version, answer.error) == ("sha256:2", None)
    assert answer.model.labels == ("removed",)
    assert answer.model.histogram("removed") == Histogram((1.0,) * 200, (2.5,) * 200)
    older = model_of({"digest": "sha256:1", "labels": ["kept", "removed"]})
    assert older.labels == ("removed",)
    assert older.histogram("removed") is None


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"digest": 1},
        {"digest": "sha256:1"},
        {"digest": "sha256:1", "attributes": [{}]},
        {"digest": "sha256:1", "attributes": "removed"},
        {"digest": "sha256:1", "attributes": [{"name": "a", "without": [1], "having": [1, 2]}]},
        {"digest": "sha256:1", "attributes": [{"name": "a", "without": [-1], "having": [1]}]},
        {"digest": "sha256:1", "attributes": [{"name": "a", "without": ["x"], "having": [1]}]},
        {"digest": "sha256:1", "attributes": [{"name": "a", "without": [], "having": []}]},
        {"digest": "sha256:1", "labels": ["a", "b"], "policies": "in force"},
    ],
)
def test_what_is_no_answer_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        answered(document)


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"version": 1}', "[" * 100_000])
def test_a_form_without_a_version_has_none(text: str | None) -> None:
    assert Solution.version_in(text) is None
    assert Solution.version_in(solved(REMOVE).written()) == solved(REMOVE).version
