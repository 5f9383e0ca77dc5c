"""Leader election: candidates against an API server in memory, on a clock that the test turns."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from fake_api_server import FakeApiServer

from textmod_operator.kube.lease import (
    ACT_SECONDS,
    LEASE_REQUEST_SECONDS,
    LEASE_SECONDS,
    RENEW_SECONDS,
    Election,
    Guarded,
    NotLeading,
    campaign,
)

PATH = "/apis/coordination.k8s.io/v1/namespaces/textmod/leases/textmod-operator"
THING = "/api/v1/namespaces/reddit/services/science"


class World:
    """An API server and a clock."""

    def __init__(self) -> None:
        self.server = FakeApiServer()
        self.seconds = 100.0
        self.alarms: list[float] = []

    def candidate(self, name: str, *, hours_off: float = 0) -> Election:
        return Election(
            self.server,
            name,
            clock=lambda: self.seconds,
            now=lambda: datetime.fromtimestamp(self.seconds + hours_off * 3600, UTC),
            dead_man=self.alarms.append,
        )

    @property
    def holder(self) -> str:
        lease = self.server.read(PATH)
        assert lease is not None
        return str(lease["spec"]["holderIdentity"])

    def until(self, second: float, *candidates: Election) -> None:
        while self.seconds < second:
            self.seconds += RENEW_SECONDS
            for candidate in candidates:
                candidate.attempt("textmod")


@pytest.fixture
def world() -> World:
    return World()


def test_the_first_leads_and_the_second_waits(world: World) -> None:
    a, b = world.candidate("a"), world.candidate("b")
    assert a.attempt("textmod")
    assert not b.attempt("textmod")
    world.until(400, a, b)
    assert a.leading
    assert not b.leading
    assert b.leader_renews


def test_a_dead_leader_is_succeeded_within_its_time(world: World) -> None:
    a, b = world.candidate("a"), world.candidate("b")
    a.attempt("textmod")
    died = world.seconds
    while not b.attempt("textmod"):
        world.seconds += b.pause
    assert LEASE_SECONDS <= world.seconds - died <= LEASE_SECONDS + RENEW_SECONDS
    assert world.holder == "b"


def test_a_leader_stops_before_another_may_start(world: World) -> None:
    a, b = world.candidate("a"), world.candidate("b")
    a.attempt("textmod")
    b.attempt("textmod")
    while not b.leading:
        b.attempt("textmod")
        assert not (a.leading and b.leading)
        world.seconds += 0.1
    assert not a.leading


def test_a_released_lease_is_taken_at_once(world: World) -> None:
    a, b = world.candidate("a"), world.candidate("b")
    a.attempt("textmod")
    b.attempt("textmod")
    a.resign("textmod")
    assert world.holder == ""
    assert world.alarms[-1] == 0, "the timer is called off"
    assert not a.attempt("textmod")
    assert world.holder == "", "and is not taken again"
    assert b.attempt("textmod")
    assert not a.attempt("textmod")
    assert world.holder == "b"


def test_only_the_holder_releases_the_lease(world: World) -> None:
    a, b = world.candidate("a"), world.candidate("b")
    a.attempt("textmod")
    b.resign("textmod")
    assert world.holder == "a"


def test_of_two_that_try_at_the_same_time_one_leads(world: World) -> None:
    a, b = world.candidate("a"), world.candidate("b")
    world.server.before("POST", "leases$", lambda: b.attempt("textmod") and None)
    assert not a.attempt("textmod")
    assert b.leading


def test_of_two_that_take_over_at_the_same_time_one_leads(world: World) -> None:
    dead, a, b = (world.candidate(name) for name in ("dead", "a", "b"))
    for candidate in (dead, a, b):
        candidate.attempt("textmod")
    world.seconds += LEASE_SECONDS
    world.server.before("PUT", PATH, lambda: b.attempt("textmod") and None)
    assert not a.attempt("textmod")
    assert b.leading


def test_without_an_answer_a_leader_stops_in_time(world: World) -> None:
    a = world.candidate("a")
    a.attempt("textmod")
    world.server.fail("GET", PATH, 0, "timed out", times=99)
    started = world.seconds
    world.until(started + ACT_SECONDS - RENEW_SECONDS, a)
    assert a.leading
    world.until(started + ACT_SECONDS, a)
    assert not a.leading


def test_the_time_to_act_counts_from_before_the_renewal_was_sent(world: World) -> None:
    a = world.candidate("a")
    a.attempt("textmod")

    def slow() -> None:
        world.seconds += 5

    world.server.before("PUT", PATH, slow)
    assert a.attempt("textmod")
    world.seconds += ACT_SECONDS - 5 - 0.01
    assert a.leading
    world.seconds += 0.02
    assert not a.leading


def test_a_renewal_whose_answer_got_lost_extends_nothing(world: World) -> None:
    a, b = world.candidate("a"), world.candidate("b")
    a.attempt("textmod")
    b.attempt("textmod")
    world.seconds += 5
    world.server.fail("PUT", PATH, 0, "timed out", takes_effect=True)
    a.attempt("textmod")
    world.seconds += ACT_SECONDS - 5
    assert not a.leading
    assert not b.attempt("textmod"), "the Lease was renewed, for all it knows"


@pytest.mark.parametrize("hours", [-1, 1, 24 * 365])
def test_wall_clocks_do_not_matter(world: World, hours: float) -> None:
    a, b = world.candidate("a"), world.candidate("b", hours_off=hours)
    a.attempt("textmod")
    world.until(300, a, b)
    assert a.leading
    assert not b.leading
    died = world.seconds
    while not b.attempt("textmod"):
        world.seconds += b.pause
    assert world.seconds - died >= LEASE_SECONDS - RENEW_SECONDS


def test_a_lease_that_is_deleted_is_made_again_by_one(world: World) -> None:
    a, b = world.candidate("a"), world.candidate("b")
    a.attempt("textmod")
    b.attempt("textmod")
    world.server.remove(PATH)
    a_acts_until = world.seconds + ACT_SECONDS
    while not b.attempt("textmod"):
        assert world.seconds < 200
        world.seconds += b.pause
    assert world.seconds >= a_acts_until, "the holder may still act for all that b knows"


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyError("spec"), OSError("socket")])
def test_whatever_goes_wrong_is_one_failed_attempt(world: World, error: Exception) -> None:
    a = world.candidate("a")
    a.attempt("textmod")

    def break_() -> None:
        raise error

    world.server.before("GET", PATH, break_)
    assert a.attempt("textmod"), "still in its time"
    assert a.attempt("textmod")


def test_a_lease_without_a_spec_is_taken(world: World) -> None:
    world.server.put(PATH, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"})
    assert world.candidate("a").attempt("textmod")


def test_requests_for_the_lease_have_a_short_time_out(world: World) -> None:
    asked = []

    class Server(FakeApiServer):
        def request(self, *arguments: Any, **options: Any) -> Any:
            asked.append(options.get("timeout"))
            return super().request(*arguments, **options)

    world.server = Server()
    a = world.candidate("a")
    a.attempt("textmod")
    a.attempt("textmod")
    assert asked
    assert set(asked) == {LEASE_REQUEST_SECONDS}


def test_every_renewal_arms_the_timer_for_less_than_the_lease(world: World) -> None:
    a = world.candidate("a")
    a.attempt("textmod")
    world.seconds += RENEW_SECONDS
    a.attempt("textmod")
    assert len(world.alarms) == 2
    assert all(ACT_SECONDS <= seconds < LEASE_SECONDS for seconds in world.alarms)


def test_a_write_is_sent_only_while_leading(world: World) -> None:
    a, b = world.candidate("a"), world.candidate("b")
    api = Guarded(world.server, a.check)
    a.attempt("textmod")
    b.attempt("textmod")
    api.request("POST", THING.rpartition("/")[0], "Service", body={"metadata": {"name": "x"}})
    world.seconds += ACT_SECONDS
    for method in ("POST", "PATCH", "PUT", "DELETE"):
        with pytest.raises(NotLeading):
            api.request(method, THING, "Service", body={})
    assert api.request("GET", THING, "Service", absent_is_none=True) is None


def test_without_an_election_everything_is_sent(world: World) -> None:
    api = Guarded(world.server, world.candidate("a").check)
    api.request("POST", THING.rpartition("/")[0], "Service", body={"metadata": {"name": "x"}})


def test_a_candidate_that_never_led_may_not_write(world: World) -> None:
    world.candidate("a").attempt("textmod")
    b = world.candidate("b")
    b.attempt("textmod")
    with pytest.raises(NotLeading):
        Guarded(world.server, b.check).request("DELETE", THING, "Service")


def test_a_campaign_ends_when_the_lease_is_lost(world: World) -> None:
    a, b = world.candidate("a"), world.candidate("b")
    events = []

    def sleep(seconds: float) -> None:
        world.seconds += seconds
        if world.seconds > 150:
            events.append("frozen")
            world.seconds += LEASE_SECONDS
            b.attempt("textmod")
            world.seconds += LEASE_SECONDS
            assert b.attempt("textmod")

    campaign(a, "textmod", lambda: events.append("started"), sleep)
    assert events == ["started", "frozen"]


def test_a_campaign_ends_when_this_process_resigns_before_it_led(world: World) -> None:
    world.candidate("b").attempt("textmod")
    a = world.candidate("a")
    campaign(a, "textmod", lambda: pytest.fail("it never led"), lambda _: a.resign("textmod"))
    assert world.holder == "b"


@pytest.mark.parametrize("seed", range(60))
def test_two_never_act_at_once_whatever_fails(seed: int) -> None:
    """Three candidates with clocks of their own, frozen, deaf, answered late or not at all."""
    chance = random.Random(seed)  # noqa: S311 - a seeded schedule
    world = World()
    candidates = [
        world.candidate(name, hours_off=chance.uniform(-2, 2)) for name in ("a", "b", "c")
    ]
    due = [chance.uniform(0, 2) for _ in candidates]
    leads = 0
    for _ in range(400):
        number = min(range(3), key=due.__getitem__)
        world.seconds = max(world.seconds, 100 + due[number])
        if chance.random() < 0.25:
            world.server.fail(
                chance.choice(["GET", "PUT"]), PATH, 0, takes_effect=chance.random() < 0.5
            )
        if chance.random() < 0.2:
            late = chance.uniform(0, 2 * LEASE_REQUEST_SECONDS)

            def pass_time(seconds: float = late) -> None:
                world.seconds += seconds
                acting = [one for one in candidates if one.leading]
                assert len(acting) <= 1

            world.server.before(chance.choice(["GET", "PUT"]), PATH, pass_time)
        candidates[number].attempt("textmod")
        acting = [one for one in candidates if one.leading]
        assert len(acting) <= 1
        leads += len(acting)
        frozen = chance.random() < 0.05
        due[number] = world.seconds - 100 + (30 if frozen else candidates[number].pause)
    assert leads > 0
