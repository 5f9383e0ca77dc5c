"""Thresholds that people's decisions correct."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from math import exp, log
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from objects import moderation

from textmod_operator.policies import (
    Evidence,
    Feedback,
    Histogram,
    Known,
    LabelEvidence,
    ModelSeen,
    Point,
    Record,
    Solution,
    corrected,
    evidence_of,
    solve,
)

BINS = 200
HOUR = 3600.0
ASKED = 0.75
EXACT = [(place + 0.5) / BINS for place in range(BINS)]


def shape(score: float) -> float:
    """How many texts have a score: somewhat more low than high ones."""
    return score**0.2 * (1 - score) ** 0.8


def drifted(score: float, level: float, slope: float = 1.0) -> float:
    """How likely the label is at a score."""
    return 1 / (1 + exp(-(level + slope * log(score / (1 - score)))))


def artifact(rows: float = 5000.0) -> Histogram:
    """Calibrated held-out scores, without noise."""
    scale = rows / sum(map(shape, EXACT))
    return Histogram(
        tuple(scale * shape(score) * (1 - score) for score in EXACT),
        tuple(scale * shape(score) * score for score in EXACT),
    )


ARTIFACT = artifact()
MODEL = ModelSeen("sha256:" + "a" * 64, ("removed",), (("removed", ARTIFACT),))


def binned(points: list[Point], width: float = 0.25) -> tuple[Point, ...]:
    """As the console adds them up."""
    found: dict[float, Point] = {}
    for one in points:
        middle = (one.logit // width + 0.5) * width
        before = found.get(middle, Point(middle, 0.0, 0.0))
        positive, negative = before.positive + one.positive, before.negative + one.negative
        found[middle] = Point(middle, positive, negative)
    return tuple(found.values())


def labels(number: int, level: float, seed: int, slope: float = 1.0) -> LabelEvidence:
    """Half of the labels from the stream at random, half from a band that policies ask for."""
    rng = random.Random(seed)  # noqa: S311 - a repeatable sample
    weights = [shape(score) for score in EXACT]
    band = [
        weight if 0.4 < score < 0.9 else 0.0 for score, weight in zip(EXACT, weights, strict=True)
    ]
    points = []
    for weight in (weights, band):
        for score in rng.choices(EXACT, weight, k=number // 2):
            positive = float(rng.random() < drifted(score, level, slope))
            points.append(Point(log(score / (1 - score)), positive, 1 - positive))
    return LabelEvidence(number, binned(points))


def true_precision(threshold: float, level: float, slope: float = 1.0) -> float:
    above = [score for score in EXACT if score > threshold]
    right = sum(shape(score) * drifted(score, level, slope) for score in above)
    return right / sum(map(shape, above))


def solved(evidence: LabelEvidence | None, **known: object) -> Solution:
    tm = moderation(
        {"policies": [{"name": "p", "rules": [{"action": "Remove", "precision": ASKED}]}]}
    )
    seen = None if evidence is None else Evidence(MODEL.digest, (("removed", evidence),))
    given = {"before": Record(), "now": 0.0, "feedback": Feedback(50, seen), **known}
    return solve(tm.spec.policies, tm.spec.explanation, Known(MODEL, 10.0, **given))


def rule(solution: Solution):
    return solution.policies[0].rules[0]


UNCORRECTED = rule(solved(None))
"""The artifact's own threshold."""


# --- does it promise what it keeps? ---------------------------------------------------------------


@pytest.mark.parametrize(("number", "off"), [(100, 0.05), (400, 0.03), (2000, 0.015)])
def test_where_the_artifact_is_right_feedback_keeps_the_promise(number: int, off: float) -> None:
    found = [
        true_precision(rule(solved(labels(number, 0.0, seed))).at_least, 0.0) for seed in range(60)
    ]
    assert mean(found) == pytest.approx(ASKED, abs=0.015)
    assert mean(abs(one - ASKED) for one in found) < off


@pytest.mark.parametrize("level", [-0.5, 0.7])
@pytest.mark.parametrize("slope", [0.85, 1.0, 1.2])
def test_where_the_stream_drifted_feedback_moves_towards_the_promise(
    level: float, slope: float
) -> None:
    before = abs(true_precision(UNCORRECTED.at_least, level, slope) - ASKED)
    after = [
        abs(
            true_precision(rule(solved(labels(600, level, seed, slope))).at_least, level, slope)
            - ASKED
        )
        for seed in range(40)
    ]
    assert mean(after) < max(0.5 * before, 0.03)


@settings(max_examples=60, deadline=None)
@given(st.integers(50, 500), st.floats(0.05, 0.98))
def test_wrong_removals_never_lower_a_threshold_and_right_ones_never_raise_it(
    number: int, score: float
) -> None:
    logit = log(score / (1 - score))
    for positive in (0.0, 1.0):
        point = Point(logit, number * positive, number * (1 - positive))
        histogram = corrected(ARTIFACT, LabelEvidence(number, (point,)))
        before = ARTIFACT.at(score).precision or 0.0
        after = histogram.at(score).precision or 0.0
        assert after >= before if positive else after <= before


def test_the_same_odds_change_nothing() -> None:
    points = tuple(
        Point(log(score / (1 - score)), having / 10, without / 10)
        for score, having, without in zip(EXACT, ARTIFACT.having, ARTIFACT.without, strict=True)
    )
    histogram = corrected(ARTIFACT, LabelEvidence(500, points))
    assert histogram.having == pytest.approx(ARTIFACT.having, rel=1e-6)
    assert histogram.lowest_with_precision(ASKED) == UNCORRECTED.at_least


def bent(score: float) -> float:
    """A label whose probability is no line in the logit: rare below, and about the same above."""
    return 0.02 + 0.7 / (1 + exp(-20 * (score - 0.3)))


@pytest.mark.parametrize("number", [100, 400, 2000])
def test_labels_that_agree_with_an_artifact_of_any_shape_move_little(number: int) -> None:
    scale = 5000.0 / sum(map(shape, EXACT))
    own = Histogram(
        tuple(scale * shape(score) * (1 - bent(score)) for score in EXACT),
        tuple(scale * shape(score) * bent(score) for score in EXACT),
    )
    band = [shape(score) if score > 0.2 else 0.0 for score in EXACT]
    found: dict[float, list[float]] = {0.3: [], 0.5: [], 0.8: []}
    for seed in range(20):
        rng = random.Random(seed)  # noqa: S311 - a repeatable sample
        points = []
        for score in rng.choices(EXACT, band, k=number):
            positive = float(rng.random() < bent(score))
            points.append(Point(log(score / (1 - score)), positive, 1 - positive))
        histogram = corrected(own, LabelEvidence(number, binned(points)))
        for threshold, precisions in found.items():
            precisions.append(histogram.at(threshold).precision or 0.0)
    for threshold, precisions in found.items():
        assert mean(precisions) == pytest.approx(own.at(threshold).precision, abs=0.02)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-14, 14), st.floats(0, 1e6), st.floats(0, 1e6)), min_size=0, max_size=30
    )
)
def test_any_evidence_gives_a_histogram(points: list[tuple[float, float, float]]) -> None:
    histogram = corrected(ARTIFACT, LabelEvidence(99, tuple(Point(*one) for one in points)))
    assert all(0 <= count < 1e7 for count in histogram.having)
    assert histogram.without == ARTIFACT.without


# --- when it moves --------------------------------------------------------------------------------


def test_the_status_names_the_source_and_expects_what_people_say() -> None:
    found = rule(solved(labels(600, -0.7, 1)))
    assert (UNCORRECTED.source, found.source) == ("Artifact", "Feedback")
    assert found.at_least > UNCORRECTED.at_least
    assert found.expected.precision == pytest.approx(ASKED, abs=0.02)


def test_fewer_labels_than_the_minimum_move_nothing() -> None:
    few = replace(labels(600, -0.7, 1), labels=49)
    assert rule(solved(few)) == UNCORRECTED


def test_another_models_labels_move_nothing() -> None:
    other = Evidence("sha256:other", (("removed", labels(600, -0.7, 1)),))
    assert rule(solved(None, feedback=Feedback(50, other))) == UNCORRECTED


def test_it_moves_once_an_hour_at_most() -> None:
    record, moves = Record(), []
    for minute in range(0, 180, 5):
        solution = solved(labels(300, -0.7, minute), before=record, now=minute * 60.0)
        if rule(solution).at_least != (moves[-1][1] if moves else None):
            moves.append((minute, rule(solution).at_least))
        record = Record.read(solution.record.written())  # an operator that restarts knows it
    assert len(moves) == 3
    assert all(later[0] - earlier[0] >= 60 for earlier, later in pairwise(moves))


def test_a_threshold_that_was_corrected_stays_while_the_console_is_not_heard() -> None:
    solution = solved(labels(600, -0.7, 1))
    moved = rule(solution).at_least
    few = Evidence(MODEL.digest, (("removed", LabelEvidence(10, ())),))
    for feedback in (Feedback(50, None), Feedback(50, few)):
        later = solved(None, before=solution.record, now=9 * HOUR, feedback=feedback)
        assert (rule(later).at_least, rule(later).source) == (moved, "Feedback")


def test_without_review_the_artifact_is_believed_again() -> None:
    solution = solved(labels(600, -0.7, 1))
    later = solved(None, before=solution.record, now=9 * HOUR, feedback=None)
    assert rule(later) == UNCORRECTED


def test_a_promise_that_people_find_out_of_reach_is_not_made() -> None:
    hopeless = LabelEvidence(900, tuple(Point(x / 4, 0.0, 20.0) for x in range(-10, 20)))
    solution = solved(hopeless)
    assert rule(solution).at_least is None
    (finding,) = solution.findings
    assert finding.reason == "PrecisionUnreachable"
    assert "by people's decisions no score" in finding.message


def test_a_promise_that_is_lost_within_the_hour_is_said_to_hold_until_then() -> None:
    first = solved(labels(600, -0.7, 1))
    moved = rule(first).at_least
    hopeless = LabelEvidence(900, tuple(Point(x / 4, 0.0, 20.0) for x in range(-10, 20)))
    soon = solved(hopeless, before=first.record, now=HOUR / 2)
    assert rule(soon).at_least == moved
    (finding,) = soon.findings
    assert finding.reason == "PrecisionUnreachable"
    assert f"it applies from {moved:g} on for the rest of that threshold's hour" in finding.message
    later = solved(hopeless, before=soon.record, now=HOUR + 1)
    assert rule(later).at_least is None
    assert "the rule never applies" in later.findings[0].message


# --- what the console says ------------------------------------------------------------------------


def test_an_answer_of_the_console_is_read() -> None:
    document = {
        "model": "sha256:ab",
        "width": 0.25,
        "labels": {
            "removed": {
                "labels": 70,
                "effective": 41.0,
                "bins": [
                    {"logit": 2.0, "positive": 400.0, "negative": 100.0, "effective": 5.0},
                    {"logit": 3.0, "positive": 0.0, "negative": 0.0, "effective": 0.0},
                ],
            }
        },
    }
    found = evidence_of(document)
    assert found is not None
    label = found.of("sha256:ab", "removed")
    assert label == LabelEvidence(70, (Point(2.125, 4.0, 1.0),))
    assert found.of("sha256:other", "removed") is None
    assert evidence_of({"model": None, "labels": {}}) is None


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"model": "m", "labels": {"removed": {}}},
        {"model": "m", "labels": {"removed": {"labels": 1, "bins": [{"logit": 1e9}]}}},
        {"model": "m", "width": float("nan"), "labels": {}},
    ],
)
def test_what_is_no_answer_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        evidence_of(document)
