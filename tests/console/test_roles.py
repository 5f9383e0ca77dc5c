"""Every route against every role: what rights do not allow is neither answered nor done."""

from __future__ import annotations

from itertools import product

import httpx
import pytest
from console_client import (
    FORMS,
    ITEM,
    ROLES,
    FakeApiServer,
    by_token,
    form_token,
    loopback,
    sign_in,
)
from memory_desk import MemoryDesk, card
from starlette.testclient import TestClient

from textmod_console.pages.routes import PAGES, Page

NOBODY = "nobody"
BODIES: dict[str, dict[str, object]] = {
    "/api/items/{item:path}/decision": {"decision": "Skip", "version": 1},
    "/api/items/{item:path}/release": {},
    "/api/undo": {"decision": "none-such"},
}


def ask(client: TestClient, page: Page, role: str) -> httpx.Response:
    """Send a well-formed request for a route as somebody."""
    path = page.path.replace("{item:path}", ITEM)
    if page.program:
        headers = {} if role == NOBODY else {"Authorization": f"Bearer token-of-{role}"}
        if page.method == "GET":
            return client.get(path, headers=headers)
        return client.post(path, json=BODIES[page.path], headers=headers)
    if page.method == "GET":
        return client.get(path)
    token = form_token(client.get("/settings" if role != NOBODY else "/sign-in").text)
    return client.post(path, data=FORMS[page.path] | {"token_of_form": token})


def allowed(page: Page, role: str) -> bool:
    """Whether the table of roles allows a route."""
    if page.everybody:
        return True
    return role != NOBODY and set(page.needs) <= ROLES[role]


@pytest.mark.parametrize(
    ("page", "role"),
    list(product(PAGES, [NOBODY, *ROLES])),
    ids=lambda value: value if isinstance(value, str) else f"{value.method} {value.path}",
)
def test_every_route_answers_every_role_as_its_rights_say(page: Page, role: str) -> None:
    desk = MemoryDesk.of(card(1))
    client = by_token(desk, FakeApiServer())
    if role != NOBODY and not page.program:
        sign_in(client, role)
    before = len(desk.records)
    answer = ask(client, page, role)
    if allowed(page, role):
        assert answer.status_code in {200, 204, 303, 404}, answer.text
        assert "/sign-in" not in answer.headers.get("location", "") or page.path == "/sign-out"
        return
    if role != NOBODY:
        assert answer.status_code == 403
        assert "ask for the right to" in answer.text
    elif page.program:
        assert answer.status_code == 401
    else:
        assert (answer.status_code, answer.headers["location"][:8]) == (303, "/sign-in")
    assert "Vaccines" not in answer.text
    assert len(desk.records) == before
    assert desk.cards[ITEM].claimed_by is None


@pytest.mark.parametrize(
    "page", [one for one in PAGES if one.method == "GET"], ids=lambda page: page.path
)
def test_head_is_refused_and_changes_nothing(page: Page) -> None:
    desk = MemoryDesk.of(card(1))
    client = loopback(desk)
    client.post("/settings", data={"token_of_form": form_token(client.get("/settings").text)})
    before = len(desk.records)
    answer = client.head(page.path.replace("{item:path}", ITEM))
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert len(desk.records) == before
    assert desk.cards[ITEM].claimed_by is None


def test_the_table_has_every_route_of_the_application() -> None:
    client = loopback(MemoryDesk())
    routes = {
        (method, route.path)
        for route in client.app.routes  # type: ignore[attr-defined]
        for method in route.methods
    }
    static = {(method, "/static/{name}") for method in ("GET", "HEAD")}
    assert routes == {(page.method, page.path) for page in PAGES} | static
