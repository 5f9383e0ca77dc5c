"""The same tests on SQLite and on Postgres."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk_world import World

from textmod_dev.postgres import Postgres, binaries


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """One Postgres for all tests of a worker."""
    if binaries() is None:
        pytest.skip("no Postgres here: install postgresql to try the console on it")
    with Postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.integration)])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Return URLs of new, empty databases."""
    made = iter(range(10_000))
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path}/console-{next(made)}.db"
    server: Postgres = request.getfixturevalue("server")
    return server.new_database


@pytest.fixture
def world(new_url: Callable[[], str]) -> Iterator[World]:
    """A desk with a clock of its own and no items yet."""
    with World(new_url()) as made:
        yield made
