"""The door to the API server: only a plain yes is one."""

from __future__ import annotations

import httpx
import pytest

from textmod_console.access.kubernetes import ApiServer, ApiServerError, Token
from textmod_console.access.person import Permission, Person


class Clock:
    """Monotonic seconds that a test moves."""

    at = 0.0

    def __call__(self) -> float:
        return self.at


def door(answer: httpx.Response | Exception) -> tuple[ApiServer, list[httpx.Request]]:
    """Return a door whose other side gives one answer."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = httpx.Client(base_url="https://api", transport=httpx.MockTransport(handle))
    return ApiServer(client, Token(value="own")), seen


def test_a_token_review_names_the_user_with_groups_and_extra() -> None:
    user = {"username": "eve", "groups": ["mods"], "extra": {"scopes": ["read"]}}
    server, seen = door(httpx.Response(201, json={"status": {"authenticated": True, "user": user}}))
    assert server.token_review("t") == Person("eve", ("mods",), {"scopes": ("read",)})
    assert seen[0].headers["authorization"] == "Bearer own"


@pytest.mark.parametrize(
    "status",
    [
        {}, {"authenticated": False, "user": {"username": "eve"}}, {"authenticated": "true"},
        {"authenticated": True}, {"authenticated": True, "user": {"username": ""}},
    ],
)  # fmt: skip
def test_a_token_review_that_does_not_say_yes_is_nobody(status: dict[str, object]) -> None:
    server, _ = door(httpx.Response(201, json={"status": status}))
    assert server.token_review("t") is None


@pytest.mark.parametrize(
    ("status", "may"),
    [({"allowed": True}, True), ({"allowed": True, "denied": True}, False),
     ({"allowed": False}, False), ({}, False), ({"allowed": "true"}, False)],
)  # fmt: skip
def test_only_a_plain_yes_allows(status: dict[str, object], may: bool) -> None:
    server, seen = door(httpx.Response(201, json={"status": status}))
    assert server.may(Person("eve", ("mods",)), Permission.DECIDE, "ns", "science") is may
    import json

    attributes = json.loads(seen[0].content)["spec"]["resourceAttributes"]
    assert attributes == {
        "group": "textmoderation.dev", "resource": "textmoderations", "subresource": "decisions",
        "verb": "create", "namespace": "ns", "name": "science",
    }  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError("refused, token=secret"),
        httpx.Response(403, json={"message": "secret"}),
        httpx.Response(500), httpx.Response(201, content=b"{"), httpx.Response(201, json=[]),
        httpx.Response(201, json={"status": None}),
    ],
)  # fmt: skip
def test_anything_else_is_an_error_that_repeats_nothing(answer: httpx.Response | Exception) -> None:
    server, _ = door(answer)
    for question in (
        lambda: server.token_review("t"),
        lambda: server.may(Person("eve"), Permission.DECIDE, "ns", "n"),
    ):
        with pytest.raises(ApiServerError) as caught:
            question()
        assert "secret" not in str(caught.value)


def test_an_api_server_that_is_away_is_not_waited_for_by_every_question() -> None:
    """A page asks for several rights, and each would wait for its own timeout."""
    clock, asked = Clock(), []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ConnectTimeout("no answer")

    client = httpx.Client(base_url="https://api", transport=httpx.MockTransport(handle))
    server = ApiServer(client, Token(value="own"), clock)

    def fails() -> bool:
        with pytest.raises(ApiServerError, match=r"did not answer \(ConnectTimeout\)"):
            server.may(Person("eve"), Permission.DECIDE, "ns", "n")
        return True

    assert all(fails() for _ in range(10))
    assert len(asked) == 1
    clock.at += 3
    assert fails()
    assert len(asked) == 2
