"""When the coordinator's view of the group and a member's own differ for too long."""

import pytest

from textmod_model.stream.group_view import DISAGREE_SECONDS, LOOK_SECONDS, GroupView, Member


def members(**each):
    return {
        name: Member(frozenset(assigned), frozenset(target))
        for name, (assigned, target) in each.items()
    }


ONE = frozenset({1})


@pytest.mark.parametrize(
    ("group", "issue"),
    [
        (members(me=([1], [1])), None),
        (members(me=([1, 2], [1, 2])), {2}),
        (members(me=([], [])), {1}),
        (members(other=([2], [2])), {1}),
        (members(me=([1], [1, 2])), {2}),
        (members(me=([1], [1, 2]), other=([2], [])), None),
        (members(me=([1], [1]), other=([], [2])), None),
    ],
    ids=[
        "they agree",
        "an assignment did not arrive",
        "a revocation did not arrive",
        "it is no member",
        "nobody gives up what it is to have",
        "another has yet to give it up",
        "another does not take what it is to have: its own business",
    ],
)
def test_what_is_at_issue(group, issue):
    view = GroupView()
    assert view.compare(0, "me", ONE, group) is None
    found = view.compare(DISAGREE_SECONDS, "me", ONE, group)
    assert found == (None if issue is None else frozenset(issue))


def test_a_group_that_moves_is_left_alone():
    view = GroupView()
    for at in range(0, 600, 20):
        group = members(me=([1, at], [1, at]))
        assert view.compare(at, "me", ONE, group) is None


def test_it_doubts_until_they_agree_and_again_after_trouble():
    view = GroupView()
    view.note(3)
    assert not view.due(0), "it has yet to join"
    assert view.due(LOOK_SECONDS)
    view.asked(LOOK_SECONDS)
    assert not view.due(LOOK_SECONDS + 1)
    assert view.due(60)
    view.compare(60, "me", ONE, members(me=([1], [1])))
    assert not view.due(120)
    view.note(3)
    assert not view.due(180)
    view.note(4)
    assert view.due(180)


def looks(view, begin, end):
    """Return when the coordinator is asked, which does not answer."""
    found = []
    for now in range(begin, end):
        if view.due(now):
            view.asked(now)
            found.append(now)
    return found


def test_a_coordinator_that_denies_it_for_good_is_asked_ever_more_seldom():
    view = GroupView()
    assert looks(view, 0, 1200) == [15, 45, 105, 225, 465, 765, 1065]


@pytest.mark.parametrize("new", ["trouble", "answer"])
def test_with_an_answer_or_trouble_it_is_asked_soon_again(new):
    view = GroupView()
    looks(view, 0, 1200)
    if new == "trouble":
        view.note(1)
    else:
        view.compare(1200, "me", ONE, members(other=([1], [1])))
    assert looks(view, 1200, 1260) == [1200, 1230]


def test_an_answer_says_nothing_of_trouble_since_it_was_asked_for():
    view = GroupView()
    view.note(1)
    view.asked(0)
    view.note(2)
    view.compare(1, "me", ONE, members(me=([1], [1])))
    assert view.due(LOOK_SECONDS)
    view.asked(LOOK_SECONDS)
    view.compare(LOOK_SECONDS + 1, "me", ONE, members(me=([1], [1])))
    assert not view.due(600)


def test_a_group_that_does_not_list_the_member_settles_nothing():
    view = GroupView()
    view.note(1)
    view.asked(0)
    view.compare(1, "me", frozenset(), members(other=([1], [1])))
    assert view.due(LOOK_SECONDS)
