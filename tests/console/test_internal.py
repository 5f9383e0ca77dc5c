"""The internal port: alive, ready, figures."""

import pytest
from starlette.testclient import TestClient

from textmod_console.errors import RecordError
from textmod_console.internal.app import create_app
from textmod_console.internal.health import STALL_SECONDS, Health


class Facts:
    last_turn: float | None = None
    now = 1000.0
    database: Exception | None = None

    def ask(self) -> None:
        if self.database is not None:
            raise self.database


@pytest.fixture
def facts() -> Facts:
    return Facts()


@pytest.fixture
def health(facts: Facts) -> Health:
    return Health(lambda: facts.last_turn, facts.ask, lambda: facts.now)


def test_alive_until_the_records_loop_stalls(facts: Facts, health: Health) -> None:
    assert health.live().ok
    facts.last_turn = facts.now - STALL_SECONDS
    assert health.live().ok
    facts.now += 1
    assert health.live() == (False, "The loop of the record has not turned for 121 s.")


def test_ready_once_pages_are_served_and_while_the_database_answers(
    facts: Facts, health: Health
) -> None:
    assert health.ready() == (False, "The topics are being read into the database.")
    health.serving = True
    assert health.ready().ok
    facts.database = RecordError("it is away.")
    assert health.ready() == (False, "The database does not answer: it is away.")
    facts.database = None
    health.stopping = True
    assert not health.ready().ok


def test_the_port_answers_with_status_and_sentence(health: Health) -> None:
    client = TestClient(create_app(health.live, health.ready, {"/figures": lambda: {"a": 1}}))
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert "textmod_console_leader" in client.get("/metrics").text
    assert client.get("/figures").json() == {"a": 1}
    assert client.get("/items").status_code == 404


def test_a_figure_that_cannot_be_known_now_is_a_503(health: Health) -> None:
    def fail() -> object:
        raise RecordError("the database is away.")

    client = TestClient(create_app(health.live, health.ready, {"/figures": fail}))
    answer = client.get("/figures")
    assert (answer.status_code, "away" in answer.text) == (503, True)
