"""Budgets a day over a group of replicas: notes beside offsets, shares, never over."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_sets import policy, raw, rule

from textmod_model.policies.allowance import DAY, SLOT, Allowance, key_of, share
from textmod_model.policies.solved import parse


class Group:
    """Replicas, their partitions, and what is committed. Time is `now`."""

    def __init__(self, budget, partitions=12, replicas=1, into_slot=0):
        self.now = 1_764_000_000.0 + into_slot
        self.partitions = partitions
        self.policies = parse(raw(policy(rule("Review", 0.5, budgetPerDay=budget))))
        self.committed = dict.fromkeys(range(partitions), "")
        self.spent = []
        self.deal(replicas)

    def deal(self, replicas):
        """A rebalance or a restart of all: everybody begins with what is committed."""
        self.replicas = []
        for number in range(replicas):
            owned = set(range(number, self.partitions, replicas))
            one = Allowance(lambda owned=owned: owned, lambda: self.partitions, lambda: self.now)
            for partition in owned:
                one.load(partition, self.committed[partition])
            self.replicas.append(one)

    def ask(self, partition, *, commit=True):
        replica = self.replicas[partition % len(self.replicas)]
        given_ = replica.for_batch(self.policies)("off-topic", 0, partition)
        if given_:
            self.spent.append(self.now)
        if commit:
            for one in replica._lenders():
                self.committed[one] = "rate=1.0;" + replica.note(one)
        return given_

    def most_in_a_day(self):
        return max(
            (sum(then - DAY < t <= then for t in self.spent) for then in self.spent), default=0
        )


@given(st.integers(1, 10_000), st.integers(1, 200))
def test_the_shares_of_a_budget_add_up_to_it_and_are_even(budget, partitions):
    shares = [share(budget, one, partitions) for one in range(partitions)]
    assert sum(shares) == budget
    assert max(shares) - min(shares) <= 1


def test_all_of_a_budget_can_be_spent_and_no_more():
    group = Group(budget=20)
    assert sum(group.ask(at % 12) for at in range(100)) == 20


def test_partitions_that_are_idle_lend_their_shares_to_those_of_the_same_replica():
    group = Group(budget=24, partitions=12, replicas=2)
    assert sum(group.ask(0) for _ in range(100)) == 12


@pytest.mark.parametrize("into_slot", [0, SLOT - 1])
def test_what_was_spent_is_free_again_after_a_day_and_not_before(into_slot):
    group = Group(budget=5, partitions=1, into_slot=into_slot)
    assert sum(group.ask(0) for _ in range(9)) == 5
    group.now += DAY - 1
    assert not group.ask(0)
    group.deal(1)
    assert not group.ask(0), "the note that was written last has all of the day"
    group.now += SLOT + 1
    assert sum(group.ask(0) for _ in range(9)) == 5


@pytest.mark.parametrize("replicas", [1, 3, 12])
def test_a_restart_or_a_rebalance_gives_nothing_back(replicas):
    group = Group(budget=36)
    assert sum(group.ask(at % 12) for at in range(200)) == 36
    for _ in range(20):
        group.deal(replicas)
        assert not any(group.ask(at) for at in range(12))


def test_what_is_not_committed_is_asked_for_again_by_the_same_messages():
    """A crash before the commit: the next one judges the same texts, with the same budget."""
    group = Group(budget=12, partitions=12)
    first = [group.ask(at % 12, commit=False) for at in range(30)]
    group.deal(1)
    assert [group.ask(at % 12, commit=False) for at in range(30)] == first


def test_while_the_size_of_the_topic_is_unknown_nothing_is_spent():
    one = Allowance(lambda: {0}, lambda: None, lambda: 0.0)
    assert not one.for_batch(Group(5).policies)("off-topic", 0, 0)


def test_a_batch_that_is_judged_again_has_its_budget_back():
    one = Allowance(lambda: {0}, lambda: 1, lambda: 0.0)
    policies = Group(budget=2).policies
    take = one.for_batch(policies)
    assert [take("off-topic", 0, 0) for _ in range(3)] == [True, True, False]
    one.undo()
    one.undo()
    assert one.note(0) == ""
    take = one.for_batch(policies)
    assert [take("off-topic", 0, 0) for _ in range(3)] == [True, True, False]
    one.for_batch(policies)
    one.undo()
    assert not one.for_batch(policies)("off-topic", 0, 0), "what was written stays spent"


def test_rules_have_budgets_of_their_own():
    both = parse(
        raw(
            policy(rule("Review", 0.5, budgetPerDay=1), rule("Review", 0.4, budgetPerDay=2)),
            policy(rule("Review", 0.5, budgetPerDay=3), name="rude"),
        )
    )
    one = Allowance(lambda: {0}, lambda: 1, lambda: 0.0)
    take = one.for_batch(both)
    rules_ = [("off-topic", 0), ("off-topic", 1), ("rude", 0)]
    assert [sum(take(*each, 0) for _ in range(9)) for each in rules_] == [1, 2, 3]
    again = Allowance(lambda: {0}, lambda: 1, lambda: 0.0)
    again.load(0, one.note(0))
    assert not any(again.for_batch(both)(*each, 0) for each in rules_)


def test_a_note_is_short_however_much_was_spent():
    group = Group(budget=100_000, partitions=1)
    draw = random.Random(0)  # noqa: S311
    for _ in range(48):
        group.now += SLOT
        for _ in range(draw.randrange(50)):
            group.ask(0, commit=False)
    note = group.replicas[0].note(0)
    assert len(note) < 180
    again = Allowance(lambda: {0}, lambda: 1, lambda: group.now)
    for written in (note, f"rate=812.5;{note}", f"{note}\0"):
        again.load(0, written)
        assert again.note(0) == note


KEY = key_of("off-topic", 0)
NONSENSE = [
    "",
    "rate=812.5",
    "spent=",
    "spent=|",
    f"spent={KEY}",
    f"spent={KEY}:zz",
    f"spent={KEY}:10:,",
    f"spent={KEY}:10:1,,2",
    f"spent={KEY}:-10:1",
    f"spent={KEY}:10:{'1,' * 60}1",
    f"spent={KEY}:10:999999999999",
    f"spent={KEY}:¹:²",
    "spent=\x00",
]


@pytest.mark.parametrize("note", NONSENSE)
def test_what_others_write_beside_an_offset_is_no_trouble(note):
    one = Allowance(lambda: {0}, lambda: 1, lambda: 0.0)
    one.load(0, note)
    assert one.for_batch(Group(5).policies)("off-topic", 0, 0)
    assert len(one.note(0)) < 60


events = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 11)),
        st.tuples(st.just("wait"), st.sampled_from([60, 1_700, 7_200, 40_000, DAY - 1])),
        st.tuples(st.just("deal"), st.sampled_from([1, 2, 5, 12])),
    ),
    max_size=150,
)


@given(st.integers(1, 30), st.sampled_from([0, SLOT - 1]), events)
def test_in_no_24_hours_more_than_the_budget_whatever_happens(budget, into_slot, some):
    group = Group(budget, into_slot=into_slot)
    for kind, value in some:
        if kind == "ask":
            for _ in range(4):
                group.ask(value)
        elif kind == "wait":
            group.now += value
        else:
            group.deal(value)
    assert group.most_in_a_day() <= budget
