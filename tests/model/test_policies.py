"""From scores to actions: the solved form, single texts, whole batches, spent budgets."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_sets import document, policy, raw, rule

from textmod_model.policies.evaluate import Evaluator, decide
from textmod_model.policies.solved import PoliciesInvalid, parse


def test_the_solved_form_is_read_whole():
    found = parse(raw(policy(rule(), rule("Review", None, hold=True, budgetPerDay=200))))
    [one] = found.policies
    assert (one.name, one.label, one.mode, one.otherwise) == ("off-topic", None, "Enforce", "Allow")
    assert [(r.action, r.hold, r.at_least, r.budget_per_day) for r in one.rules] == [
        ("Remove", False, 0.9, None),
        ("Review", True, None, 200),
    ]
    assert (found.explanation.max_spans, found.explanation.offsets) == (5, "CodePoint")
    assert found.version.startswith("sha256:")


def changed(**fields):
    return json.dumps(document() | fields).encode()


FAULTS = {
    b"": "not JSON",
    b"[]": "must be a JSON object",
    b"\xff": "not JSON",
    b"[" * 100_000: "not JSON",
    raw(policy(rule(at_least=1.5))): r"policies\.0\.rules\.0\.atLeast",
    raw(policy(rule(at_least=float("nan")))): r"policies\.0\.rules\.0\.atLeast",
    raw(policy(rule(at_least="0.5"))): r"policies\.0\.rules\.0\.atLeast",
    raw(policy(rule("Delete"))): r"policies\.0\.rules\.0\.action",
    raw(policy(rule("Remove", hold=True))): "hold belongs to the action Review",
    raw(policy(rule(budgetPerDay=0))): r"policies\.0\.rules\.0\.budgetPerDay",
    raw(policy(name="Off Topic")): r"policies\.0\.name",
    raw(policy(), policy()): "the policy off-topic is there twice",
    raw(sudo=True): "sudo: extra inputs are not permitted",
    b" " * (1 << 20) + b"{}": "more than 1048576 bytes",
    raw(policy(rule(budgetPerDay=10**10))): r"policies\.0\.rules\.0\.budgetPerDay",
    raw(policy(*[rule()] * 9)): r"policies\.0\.rules",
    raw(*[policy(name=f"p{number}") for number in range(17)]): "policies: ",
    raw(policy(), explanation={"maxSpans": 10**12}): r"explanation\.maxSpans",
    changed(model="sha256:" + "0" * 64): "version: the content has the digest",
    changed(version="1"): "version",
}


@pytest.mark.parametrize(("content", "says"), FAULTS.items(), ids=range(len(FAULTS)))
def test_a_fault_is_a_sentence(content, says):
    with pytest.raises(PoliciesInvalid, match=says) as caught:
        parse(content)
    assert str(caught.value).endswith(".")


def test_the_version_is_the_digest_of_the_canonical_json_of_the_rest():
    """The operator computes the same, from its own code."""
    assert document(policy(rule()), model=None)["version"] == (
        "sha256:145fbd5540c3367eb65b1fa06a6d9f3bf6e8f9ea7b714509825601a06eb0a9e8"
    )


def said(decision):
    return decision.action, decision.hold


@pytest.mark.parametrize(
    ("score", "action"),
    [
        (0.95, ("Remove", False)),
        (0.9, ("Remove", False)),
        (0.8999, ("Review", True)),
        (0.5, ("Review", True)),
        (0.4999, ("Allow", False)),
        (float("nan"), ("Allow", False)),
    ],
)
def test_the_first_rule_that_holds_decides(score, action):
    found = decide({"removed": score}, parse(raw()))
    assert said(found) == action
    assert [(one.name, one.action, one.label) for one in found.policies] == [
        ("off-topic", action[0], "removed")
    ]


def test_a_rule_without_a_score_never_holds():
    only = parse(raw(policy(rule(at_least=None), otherwise="Review")))
    assert said(decide({"removed": 1.0}, only)) == ("Review", False)


ACTS = [("Allow", False), ("Review", False), ("Review", True), ("Remove", False)]


@pytest.mark.parametrize("first", ACTS)
@pytest.mark.parametrize("second", ACTS)
def test_the_strictest_action_wins_and_every_policy_is_named(first, second):
    one, two = (
        policy(rule(act, 0.0, hold=hold), name=name)
        for name, (act, hold) in (("one", first), ("two", second))
    )
    found = decide({"removed": 0.5}, parse(raw(one, two)))
    assert said(found) == max(first, second, key=ACTS.index)
    assert [(o.name, o.action) for o in found.policies] == [("one", first[0]), ("two", second[0])]


def test_a_policy_that_observes_is_named_and_does_not_act():
    watching = parse(raw(policy(mode="Observe")))
    found = decide({"removed": 0.99}, watching)
    assert said(found) == ("Allow", False)
    assert [(one.action, one.mode) for one in found.policies] == [("Remove", "Observe")]


def test_a_policy_speaks_of_its_own_label_and_not_of_one_that_the_model_lacks():
    rude = policy(name="rude", label="insult")
    alien = policy(name="alien", label="threat")
    found = decide({"toxic": 0.1, "insult": 0.95}, parse(raw(policy(), rude, alien)))
    assert [(one.name, one.label, one.score, one.action) for one in found.policies] == [
        ("off-topic", "toxic", 0.1, "Allow"),
        ("rude", "insult", 0.95, "Remove"),
    ]


# --- a batch is what its texts are, one by one ----------------------------------------------------

rules = st.builds(
    lambda act, at_least, budget: rule(act[0], at_least, hold=act[1], budgetPerDay=budget),
    st.sampled_from(ACTS),
    st.none() | st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
    st.none() | st.just(5),
)
policies = st.lists(
    st.tuples(st.lists(rules, max_size=4), st.sampled_from([None, "a", "b", "c"])),
    min_size=1,
    max_size=4,
).map(
    lambda some: [
        policy(name=f"p{at}", label=label, mode="Observe" if at % 3 == 2 else "Enforce")
        | {"rules": these}
        for at, (these, label) in enumerate(some)
    ]
)
scores = st.lists(
    st.tuples(*[st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.6, 0.75, 0.9, 1.0, float("nan")])] * 2),
    max_size=12,
)


def by_hand(row, one, taken=None):
    """The same, text by text, without numpy."""
    for place, each in enumerate(one.rules):
        if each.at_least is None or not row >= each.at_least:
            continue
        if taken is not None and each.budget_per_day is not None and not taken(one.name, place):
            continue
        return each.action, each.hold
    return one.otherwise, False


@given(policies, scores)
def test_a_batch_is_decided_as_its_texts_are(some, rows):
    found = parse(raw(*some))
    evaluator = Evaluator(found, ("a", "b"))
    rulings = evaluator.rule(np.array(rows, dtype=float).reshape(len(rows), 2))
    for row, ruling in zip(rows, rulings, strict=True):
        values = dict(zip("ab", row, strict=True))
        known = [one for one in found.policies if (one.label or "a") in values]
        expected = [by_hand(values[one.label or "a"], one) for one in known]
        assert [(one.action, one.hold) for one in ruling.said] == expected
        acting = [e for e, one in zip(expected, known, strict=True) if one.mode == "Enforce"]
        assert (ruling.action, ruling.hold) == max(acting, key=ACTS.index, default=ACTS[0])
        assert said(decide(values, found)) == (ruling.action, ruling.hold)


@given(policies, scores, st.lists(st.booleans(), max_size=40))
def test_a_spent_budget_passes_the_rule_over_and_the_verdict_can_be_replayed(some, rows, purse):
    found = parse(raw(*some))
    evaluator = Evaluator(found, ("a", "b"))
    asked = []
    answers = iter(purse)

    def take(name, place, partition):
        asked.append((name, place, partition))
        return next(answers, False)

    rulings = evaluator.rule(
        np.array(rows, dtype=float).reshape(len(rows), 2), range(len(rows)), take
    )
    assert all(
        found_one.rules[place].budget_per_day is not None
        for name, place, _ in asked
        for found_one in found.policies
        if found_one.name == name
    )
    for row, ruling in zip(rows, rulings, strict=True):
        spent = {one.name: one.over_budget for one in ruling.said}
        replayed = decide(dict(zip("ab", row, strict=True)), found, spent)
        assert said(replayed) == (ruling.action, ruling.hold)
        assert [one.action for one in replayed.policies] == [one.action for one in ruling.said]


def test_budgets_are_asked_for_in_the_order_of_the_texts():
    found = parse(raw(policy(rule("Review", 0.5, budgetPerDay=1), rule("Review", 0.7, hold=True))))
    left = [True, False, False]
    rulings = Evaluator(found, ("a",)).rule(
        np.array([0.1, 0.6, 0.6, 0.8]), [7, 7, 8, 9], lambda *_: left.pop(0)
    )
    assert [(one.action, one.hold, one.said[0].over_budget) for one in rulings] == [
        ("Allow", False, ()),
        ("Review", False, ()),
        ("Allow", False, (0,)),
        ("Review", True, (0,)),
    ]
    assert left == []
