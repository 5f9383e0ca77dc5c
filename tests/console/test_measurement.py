"""Precision, recall and agreement from decisions, and when nothing can be said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.quality.__main__ import counted, summary
from bench.quality.simulate import simulate
from bench.quality.worlds import WORLDS
from textmod_console.measurement import AllTexts, Asked, Chosen, Opinion, Total, quality, window
from textmod_console.measurement.estimates import precision, recall
from textmod_console.measurement.evidence import evidence
from textmod_console.measurement.intervals import count, wilson
from textmod_console.measurement.opinions import agreement, label_of
from textmod_console.measurement.sums import Labelled, stratified

UNTIL = datetime(2026, 11, 20, tzinfo=UTC)
SINCE = UNTIL - timedelta(days=7)
IN = SINCE + timedelta(days=1)


def opinion(label: float | None, actor: str = "ann", **fields: object) -> Opinion:
    given = {"id": f"{actor}-{label}", "kind": "Human", "at": IN, **fields}
    return Opinion(actor=actor, label=label, **given)  # type: ignore[arg-type]


def texts(*groups: tuple[int, float | None, dict[str, object]]) -> list[Chosen]:
    return [
        Chosen(**{"probability": 1.0, "flagged": True, "label": label, "times": number} | fields)
        for number, label, fields in groups
    ]


RANDOM = {"flagged": False, "probability": 0.01}


def judged(*groups: tuple[int, float | None, dict[str, object]], **asked: object):
    return quality(texts(*groups), Asked(SINCE, UNTIL, 50, **asked), decided=70)


def test_a_label_stands_for_as_many_texts_as_its_probability_says() -> None:
    found = judged((800, 1.0, {}), (200, 0.0, {}), (40, 1.0, RANDOM), (960, 0.0, RANDOM))
    assert found.precision.value == 0.8
    assert found.precision.labels == 1000
    # 800 texts found, 40 × 100 missed; the ratio's bias of second order is removed.
    assert found.recall.value == pytest.approx(1 / 6 - 800 * 4000 * 99 / 4800**3)
    assert found.recall.low < 1 / 6 < found.recall.high
    assert found.reviewed_per_day == 10
    assert found.reason is None


def test_with_fewer_labels_than_asked_for_it_is_unknown_and_says_so() -> None:
    found = judged((49, 1.0, {}), (30, 1.0, RANDOM), (470, 0.0, RANDOM))
    assert (found.precision.value, found.precision.low, found.precision.high) == (None, None, None)
    assert found.precision.labels == 49
    assert found.reason == (
        "precision is unknown: there are 49 labels of flagged texts, and it takes 50"
    )
    assert found.recall.value is not None


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (((100, 1.0, {}), (49, 0.0, RANDOM)), "49 labels of texts not flagged"),
        (((100, 0.0, {}), (60, 0.0, RANDOM)), "weigh as much as 0 of the random sample"),
        (((100, 1.0, {}), (60, 0.0, RANDOM)), "weigh as much as 1 of the random sample"),
        (((1000, None, {}), (60, 1.0, RANDOM | {"flagged": True})), "have not been decided"),
    ],
)
def test_what_is_missing_is_named(groups, words: str) -> None:
    assert words in (judged(*groups).reason or "")


def test_a_kind_that_the_sample_shows_too_seldom_leaves_precision_unknown() -> None:
    groups = (500, 1.0, {}), (200, 0.0, RANDOM)
    assert judged(*groups).precision.value is not None
    found = judged(*groups, scarcest={None: 100.0})
    assert found.precision.value is None
    assert "review.sample shows too few" in (found.reason or "")


def test_a_window_is_judged_when_its_labels_have_had_their_time() -> None:
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)
    since, until = window(now, timedelta(hours=72))
    assert until == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert until - since == timedelta(days=7)


def test_what_is_decided_stands_for_what_is_not_yet() -> None:
    """A third of the queue is undone: recall must not suffer from it."""
    done = judged((3000, 1.0, {}), (50, 1.0, RANDOM), (500, 0.0, RANDOM))
    part = judged((2000, 1.0, {}), (1000, None, {}), (50, 1.0, RANDOM), (500, 0.0, RANDOM))
    assert part.recall.value == pytest.approx(done.recall.value, rel=0.01)


def test_a_queue_that_is_behind_is_not_represented_by_another() -> None:
    """Held texts come first: when reviewers fall behind, the others are left."""
    held = {"policies": (("spam", "Review"),), "held": True}
    rest = {"policies": (("spam", "Review"),)}
    other = {"policies": (("rude", "Review"),)}
    found = judged(
        (900, 1.0, held), (100, 0.0, held), (20, 1.0, rest), (80, 0.0, rest), (900, None, rest)
    )
    assert found.precision.value == pytest.approx(0.55, abs=0.001)
    found = judged(
        (900, 1.0, other), (100, 0.0, other), (20, 1.0, rest), (80, 0.0, rest), (900, None, rest)
    )
    assert found.precision.value == pytest.approx(0.55, abs=0.001)
    assert found.policies["spam"].precision.value == pytest.approx(0.2, abs=0.001)


def test_a_queue_of_which_nothing_was_decided_makes_the_whole_unknown() -> None:
    done, left = {"policies": (("spam", "Review"),)}, {"policies": (("rude", "Review"),)}
    random = (30, 1.0, RANDOM), (470, 0.0, RANDOM)
    found = judged((500, 1.0, done), (500, None, left), *random)
    assert (found.precision.value, found.recall.value) == (None, None)
    assert "have not been decided" in (found.reason or "")
    assert found.policies["spam"].precision.value == 1.0
    # What the other policy flags may have the label of this one: 500 beside 500 and 3,000.
    assert found.policies["spam"].recall.value is None
    assert "not flagged by it" in (found.policies["spam"].reason or "")
    few = judged((500, 1.0, done), (20, None, left), *random)
    assert few.precision.value == pytest.approx(1.0)
    assert few.policies["spam"].recall.value is not None


def test_where_nothing_is_flagged_recall_is_none_of_what_was_found() -> None:
    found = judged((30, 1.0, RANDOM), (70, 0.0, RANDOM))
    assert (found.recall.value, found.recall.low) == (0.0, 0.0)
    assert found.recall.high == pytest.approx(wilson(0.0, 30).high)  # one flagged weighs 100 too
    assert found.precision.value is None


def test_each_policy_has_its_own_figures() -> None:
    spam = {"policies": (("spam", "Remove"),)}
    rude = {"policies": (("rude", "Review"), ("spam", "Review"))}
    found = judged((60, 1.0, spam), (60, 0.0, rude), (60, 1.0, RANDOM))
    assert found.policies["spam"].actions["Remove"].value == 1.0
    assert found.policies["spam"].actions["Review"].value == 0.0
    assert found.policies["spam"].precision.value == 0.5
    assert found.policies["rude"].precision.value == 0.0
    assert found.precision.value == 0.5


def test_the_scores_of_all_texts_correct_the_luck_of_the_sample() -> None:
    labelled = [Labelled(100.0, float(n % 10 < 8), 0.9 if n % 10 < 8 else 0.2) for n in range(100)]
    known = Total(10_000, 10_000 * 0.69)  # in the sample the mean score is 0.76
    plain, better = precision(stratified(labelled)), precision(stratified(labelled), known=known)
    assert plain is not None
    assert better is not None
    assert better.around.value == pytest.approx(0.8 + 0.69 - 0.76)
    assert better.around.high - better.around.low < plain.around.high - plain.around.low


def test_totals_reach_the_window() -> None:
    items = [Chosen(0.01, n < 100, (), 0.6, float(n % 2)) for n in range(200)]
    known = [AllTexts(True, (), 10_000, 5_000.0), AllTexts(False, (), 10_000, 6_000.0)]
    found = quality(items, Asked(SINCE, UNTIL, 50), 0, None, known)
    assert found.precision.value == pytest.approx(0.5 + 0.5 - 0.6)


# --- decisions ------------------------------------------------------------------------------------


def test_the_last_decision_that_stands_counts() -> None:
    first = opinion(1.0, id="a")
    second = opinion(0.0, "bob", id="b", supersedes="a", at=IN + timedelta(hours=1))
    assert label_of([second, first]) == 0.0
    taken_back = opinion(None, "bob", id="c", retracts="b", at=IN + timedelta(hours=2))
    assert label_of([first, second, taken_back]) is None  # a superseded one does not come back
    skipped = opinion(None, "eve", id="d", at=IN + timedelta(hours=3))
    assert label_of([first, skipped]) == 1.0
    unsure = opinion(None, "ann", id="e", supersedes="a", at=IN + timedelta(hours=3))
    assert label_of([first, unsure]) is None


@pytest.mark.parametrize("kind", ["Automation", "Import"])
def test_only_peoples_labels_count(kind: str) -> None:
    machine = opinion(0.0, "bot", kind=kind, at=IN + timedelta(hours=1))
    assert label_of([opinion(1.0), machine]) == 1.0
    assert label_of([machine]) is None
    either = label_of([opinion(1.0), machine], {"Human", "Import", "Automation"})
    assert either == (0.0 if kind == "Import" else 1.0)


def test_agreement_is_of_people_about_one_item() -> None:
    both = [opinion(1.0, "ann"), opinion(1.0, "bob")]
    apart = [opinion(1.0, "ann", id="a"), opinion(0.0, "bob", id="b", supersedes="a")]
    changed_mind = [opinion(1.0, "ann", id="a"), opinion(0.0, "ann", id="b", supersedes="a")]
    machine = [opinion(1.0, "ann"), opinion(0.0, "bot", kind="Automation")]
    assert agreement([both, apart, changed_mind, machine]) == 0.5
    assert agreement([changed_mind, machine, []]) is None


# --- formulas -------------------------------------------------------------------------------------


def test_known_intervals() -> None:
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert wilson(81 / 263, 263)[1:] == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0.0, 20)[1:] == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert count(0.0).high == pytest.approx(3.8415, abs=1e-4)


def test_equal_weights_give_wilsons_interval() -> None:
    labelled = [Labelled(50.0, float(n < 30)) for n in range(100)]
    missed = [Labelled(50.0, float(n < 20)) for n in range(100)]
    found = recall(stratified(labelled), stratified(missed))
    assert found is not None
    assert found.around == pytest.approx(wilson(0.6, 50))


WEIGHTED = st.lists(
    st.tuples(st.sampled_from([1.0, 7.0, 200.0]), st.sampled_from([0.0, 0.3, 1.0])),
    min_size=1,
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(WEIGHTED, WEIGHTED, st.floats(0, 1), st.booleans())
def test_an_estimate_lies_in_its_interval(flagged, passed, score: float, corrected: bool) -> None:
    groups = [
        stratified(Labelled(weight, label, score) for weight, label in group)
        for group in (flagged, passed)
    ]
    known = (Total(900, 900 * score), Total(9_000, 9_000 * score))
    shares = [
        precision(groups[0], 200.0, known[0] if corrected else None),
        recall(groups[0], groups[1], known if corrected else None),
    ]
    for share in shares:
        if share is not None:
            around = share.around
            assert 0 <= around.low <= around.value <= around.high <= 1
            assert share.effective > 0


def test_evidence_is_by_score() -> None:
    found = evidence([Labelled(1.0, 1.0, 0.93), Labelled(200.0, 0.25, 0.5), Labelled(1.0, 1.0)])
    assert [(one.logit, one.positive, one.negative) for one in found.bins] == [
        (0.0, 50.0, 150.0),
        (2.5, 1.0, 0.0),
    ]
    assert found.labels == 2
    assert found.effective == pytest.approx(201**2 / 40001)
    assert evidence([Labelled(1.0, 1.0, 1.0)]).bins[0].logit < 14


# --- proof by simulation --------------------------------------------------------------------------


def test_in_simulated_worlds_the_intervals_hold_what_they_promise() -> None:
    """`make bench-quality` with a tenth of the months, and limits that are as much wider."""
    months = 1000
    figures = [f for seed, world in enumerate(WORLDS) for f in simulate(world, months, seed)]
    kept = [figure for figure in figures if counted(figure, months)]
    assert len(kept) > 60
    found = summary(figures, months)
    assert found["coverage_min"] > 0.92
    assert found["coverage_max"] < 0.98
    assert found["bias_max"] < 0.01


def test_what_the_sample_cannot_show_is_unknown() -> None:
    (world,) = (world for world in WORLDS if world.name == "too few to say")
    assert {figure.estimate for figure in simulate(world, 50, 1)} == {
        "recall",
        "recall, difference",
    }
