"""A browser without a screen for the console's pages, and the roles of its tests."""

from __future__ import annotations

import re
from typing import Any

from memory_desk import MemoryDesk
from starlette.testclient import TestClient

from textmod_console.access.kubernetes import ApiServerError
from textmod_console.access.permissions import AllPermissions, RbacPermissions
from textmod_console.access.person import Permission, Person
from textmod_console.access.sign_in import ByLoopback, ByProxy, ByToken
from textmod_console.pages.app import Entry, create_app
from textmod_console.settings import Settings, load

KEY = "a session key of a test, long enough for one"
PROXY_SECRET = "a shared secret of a proxy"
HERE = "http://127.0.0.1:8080"

ROLES = {
    "viewer": frozenset(),
    "reviewer": frozenset({Permission.SEE_QUEUE, Permission.DECIDE}),
    "lead": frozenset({Permission.SEE_QUEUE, Permission.DECIDE, Permission.SEE_DECISIONS}),
    "auditor": frozenset({Permission.SEE_DECISIONS, Permission.SEE_AUDIT}),
}

ITEM = "science-input/0/1"
# What each form needs beside its token.
FORMS: dict[str, dict[str, str]] = {
    "/queue/reveal": {"item": ITEM},
    "/queue/decide": {"item": ITEM, "version": "1", "decision": "Skip"},
    "/queue/undo": {"item": ITEM, "decision": "none-such"},
    "/queue/release": {"item": ITEM},
    "/settings": {"theme": "dark", "break_every": "50"},
    "/sign-out": {},
    "/sessions/end": {"person": "auditor"},
    "/sign-in": {"token": "token-of-lead"},
}


class FakeApiServer:
    """Tokens are `token-of-NAME`; rights go by ROLES; it can be made to fail."""

    def __init__(self) -> None:
        self.down = False
        self.answers: int | None = None
        """How many more it gives before it is down; None: any number."""
        self.revoked: set[str] = set()
        self.asked: list[str] = []

    def token_review(self, token: str) -> Person | None:
        self._answer("TokenReview")
        name = token.removeprefix("token-of-")
        known = name != token and name in ROLES and name not in self.revoked
        return Person(name, ("system:authenticated",)) if known else None

    def may(self, person: Person, permission: Permission, namespace: str, name: str) -> bool:
        self._answer("SubjectAccessReview")
        assert (namespace, name) == ("default", "science")
        return permission in ROLES.get(person.name, frozenset())

    def _answer(self, kind: str) -> None:
        self.asked.append(kind)
        if self.answers is not None:
            self.down = self.answers == 0
            self.answers -= 0 if self.down else 1
        if self.down:
            raise ApiServerError("the API server did not answer (ConnectError)")


class Clock:
    """A clock that a test moves."""

    def __init__(self, at: float = 1_795_780_800.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def settings(**values: str) -> Settings:
    """Return settings of a test; values by the names of their variables."""
    given = {
        "TEXTMOD_OBJECT_NAMESPACE": "default",
        "TEXTMOD_OBJECT_NAME": "science",
        "TEXTMOD_CONSOLE_SESSION_KEY": KEY,
        "TEXTMOD_CONSOLE_AUTHENTICATION": "Loopback",
        "TEXTMOD_CONSOLE_BIND_ADDRESS": "127.0.0.1",
    }
    return load(given | values)


def loopback(desk: MemoryDesk, clock: Clock | None = None, **options: Any) -> TestClient:
    """Return a client of a console for a single user, who may do everything."""
    entry = Entry(ByLoopback("127.0.0.1", "ada"), AllPermissions())
    app = create_app(desk, settings(), enter=entry, now=clock or Clock(), **options)
    return TestClient(app, base_url=HERE, follow_redirects=False)


def by_token(
    desk: MemoryDesk, server: FakeApiServer, clock: Clock | None = None, base_url: str = HERE
) -> TestClient:
    """Return a client of a console where people sign in with a token."""
    ticking = clock or Clock()
    permissions = RbacPermissions(server, "default", "science", ticking)
    entry = Entry(ByToken(server, ticking), permissions)
    app = create_app(desk, settings(), enter=entry, now=ticking)
    return TestClient(app, base_url=base_url, follow_redirects=False)


def by_proxy(desk: MemoryDesk, server: FakeApiServer) -> TestClient:
    """Return a client of a console behind a proxy."""
    way = ByProxy(PROXY_SECRET, "X-Forwarded-User", "X-Forwarded-Groups")
    entry = Entry(way, RbacPermissions(server, "default", "science", Clock()))
    app = create_app(desk, settings(), enter=entry, now=Clock())
    return TestClient(app, base_url=HERE, follow_redirects=False)


def form_token(html: str) -> str:
    """Return the token that a page's forms carry."""
    found = re.search(r'name="token_of_form" value="([0-9a-f]+)"', html)
    assert found is not None, html
    return found.group(1)


def sign_in(client: TestClient, name: str) -> None:
    """Sign in as one of ROLES."""
    token = form_token(client.get("/sign-in").text)
    form = {"token_of_form": token, "token": f"token-of-{name}", "next": "/queue"}
    answer = client.post("/sign-in", data=form)
    assert answer.status_code == 303, answer.text


def hidden_fields(html: str, action: str) -> dict[str, str]:
    """Return the hidden fields of the form with this action."""
    form = re.search(rf'<form[^>]*action="{action}".*?</form>', html, re.DOTALL)
    assert form is not None, f"no form for {action}: {html}"
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form.group(0)))
