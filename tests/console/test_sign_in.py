"""Sign-in by token, by proxy and on loopback; a forged header or session is refused."""

from __future__ import annotations

import pytest
from console_client import (
    PROXY_SECRET,
    Clock,
    FakeApiServer,
    by_proxy,
    by_token,
    form_token,
    hidden_fields,
    loopback,
    sign_in,
)
from memory_desk import MemoryDesk, card

from textmod_console.access.kubernetes import ApiServerError
from textmod_console.access.permissions import RbacPermissions
from textmod_console.access.person import Permission, Person
from textmod_console.access.sessions import LIFETIME_SECONDS, Sessions
from textmod_console.access.sign_in import (
    QUESTIONS_AT_ONCE,
    REVIEW_AGAIN_SECONDS,
    ByLoopback,
    ByProxy,
    ByToken,
)
from textmod_console.errors import ConfigurationError


def test_signing_in_begins_a_new_session() -> None:
    """A session that was set before sign-in is worth nothing after it (fixation)."""
    client = by_token(MemoryDesk.of(card(1)), FakeApiServer())
    page = client.get("/sign-in").text
    before = client.cookies["textmod-session"]
    form = {"token_of_form": form_token(page), "token": "token-of-lead", "next": "/quality"}
    answer = client.post("/sign-in", data=form)
    assert answer.headers["location"] == "/quality"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "token-of" not in cookie
    assert client.cookies["textmod-session"] != before
    assert client.get("/quality").status_code == 200
    client.cookies.clear()
    client.cookies.set("textmod-session", before)
    assert client.get("/quality").status_code == 303


def test_over_https_cookies_are_secure_and_of_this_host_alone() -> None:
    client = by_token(MemoryDesk(), FakeApiServer(), base_url="https://console.example")
    cookie = client.get("/sign-in").headers["set-cookie"]
    assert cookie.startswith("__Host-textmod-session=")
    assert "Secure" in cookie
    assert "Domain" not in cookie


def test_a_wrong_token_says_what_to_do_and_is_not_repeated() -> None:
    client = by_token(MemoryDesk(), FakeApiServer())
    token = form_token(client.get("/sign-in").text)
    answer = client.post("/sign-in", data={"token_of_form": token, "token": "made-up-token"})
    assert answer.status_code == 401
    assert "does not accept this token" in answer.text
    assert "made-up-token" not in answer.text


class LongTokens(FakeApiServer):
    """Tokens are longer, as of identity providers that list a person's groups."""

    def token_review(self, token: str) -> Person | None:
        return super().token_review(token.partition(".")[0])


def test_a_token_that_no_cookie_holds_is_for_programs_alone() -> None:
    client = by_token(MemoryDesk.of(card(1)), LongTokens())
    token = f"token-of-lead.{'x' * 3000}"
    form = {"token_of_form": form_token(client.get("/sign-in").text), "token": token}
    refused = client.post("/sign-in", data=form)
    assert refused.status_code == 401
    assert "more than 2,400 characters" in refused.text
    assert "xxx" not in refused.text
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/api/counts", headers=headers).status_code == 200
    headers = {"Authorization": f"Bearer {token}{token * 6}"}
    assert client.get("/api/counts", headers=headers).status_code == 401


def test_a_token_is_asked_for_again_and_a_revoked_one_ends_the_session() -> None:
    clock, server = Clock(), FakeApiServer()
    client = by_token(MemoryDesk.of(card(1)), server, clock)
    sign_in(client, "lead")
    server.revoked.add("lead")
    clock.at += 119
    assert client.get("/quality").status_code == 200
    clock.at += 2
    assert client.get("/quality").status_code == 303


@pytest.mark.parametrize("apart", [-299, 299])
def test_replicas_whose_clocks_differ_share_a_session(apart: int) -> None:
    session = Sessions("k").begin(1_000_000, "token")
    assert Sessions("k").open(Sessions("k").seal(session), 1_000_000 + apart) == session
    assert Sessions("k").open(Sessions("k").seal(session), 1_000_000 - 301) is None


def test_a_decision_of_a_session_that_has_ended_says_that_it_was_not_taken() -> None:
    desk = MemoryDesk.of(card(1))
    client = by_token(desk, FakeApiServer())
    sign_in(client, "lead")
    fields = hidden_fields(client.get("/queue").text, "/queue/decide") | {"decision": "Skip"}
    client.cookies.clear()
    answer = client.post("/queue/decide", data=fields)
    assert answer.headers["location"] == "/sign-in?untaken=1"
    assert "what you sent was not taken" in client.get(answer.headers["location"]).text
    assert desk.cards["science-input/0/1"].decided == ()
    assert "not taken" not in client.get("/sign-in").text


def test_a_session_ends_after_eight_hours() -> None:
    clock = Clock()
    client = by_token(MemoryDesk.of(card(1)), FakeApiServer(), clock)
    sign_in(client, "lead")
    clock.at += LIFETIME_SECONDS + 1
    assert client.get("/quality").status_code == 303


@pytest.mark.parametrize("everywhere", ["", "1"])
def test_a_copied_cookie_is_dead_once_its_owner_signs_out(everywhere: str) -> None:
    desk, server = MemoryDesk.of(card(1)), FakeApiServer()
    client, thief = by_token(desk, server), by_token(desk, server)  # two replicas
    sign_in(client, "lead")
    page = client.get("/settings").text
    thief.cookies = client.cookies
    assert thief.get("/quality").status_code == 200
    stolen = dict(client.cookies)
    form = {"token_of_form": form_token(page), "everywhere": everywhere}
    assert client.post("/sign-out", data=form).headers["location"] == "/sign-in"
    thief.cookies.update(stolen)
    answer = thief.get("/quality")
    assert (answer.status_code, answer.headers["location"][:8]) == (303, "/sign-in")
    assert thief.post("/settings", data={"token_of_form": form_token(page)}).status_code == 303
    assert desk.acts()[-1].startswith("sign-out")


def test_a_lead_signs_somebody_out() -> None:
    desk, server = MemoryDesk.of(card(1)), FakeApiServer()
    lead, reviewer = by_token(desk, server), by_token(desk, server)
    sign_in(lead, "lead")
    sign_in(reviewer, "reviewer")
    assert "/sessions/end" not in reviewer.get("/settings").text
    form = {"token_of_form": form_token(lead.get("/settings").text), "person": "reviewer"}
    answer = lead.post("/sessions/end", data=form)
    assert "have ended" in lead.get(answer.headers["location"]).text
    assert reviewer.get("/queue").status_code == 303
    assert lead.get("/queue").status_code == 200
    (made,) = [one for one in desk.records if one.act == "sign-out-all"]
    assert (made.actor, made.detail) == ("lead", {"person": "reviewer"})
    nobody = lead.post("/sessions/end", data=form | {"person": " "})
    assert nobody.status_code == 422


def test_a_proxys_people_are_signed_out_at_the_proxy() -> None:
    client = by_proxy(MemoryDesk(), FakeApiServer())
    client.headers.update({"X-Textmod-Proxy-Secret": PROXY_SECRET, "X-Forwarded-User": "lead"})
    page = client.get("/settings").text
    assert "/sessions/end" not in page
    form = {"token_of_form": form_token(page), "person": "reviewer"}
    assert client.post("/sessions/end", data=form).status_code == 404


def test_a_forged_or_foreign_session_is_nobody() -> None:
    ours, theirs = Sessions("one key"), Sessions("another key")
    session = theirs.begin(100, "token-of-lead")
    for cookie in (theirs.seal(session), "", "x" * 4000, ours.seal(session)[:-4] + "AAAA"):
        assert ours.open(cookie, 100) is None
    assert ours.open(ours.seal(session), 100) == session


def test_without_the_api_server_nobody_gets_in_and_nothing_is_allowed() -> None:
    clock, server = Clock(), FakeApiServer()
    client = by_token(MemoryDesk.of(card(1)), server, clock)
    sign_in(client, "lead")
    assert client.get("/quality").status_code == 200
    server.down = True
    clock.at += 31
    for seconds in (0, 120):  # rights are unknown, the person is not yet; then both are
        clock.at += seconds
        for path in ("/quality", "/queue", "/items/science-input/0/1"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert "Kubernetes can" in answer.text
            assert "try again in a moment" in answer.text
            assert "ask for the right" not in answer.text  # nobody has taken it away
            assert "Vaccines" not in answer.text
    bearer = {"Authorization": "Bearer token-of-auditor"}
    assert client.get("/api/counts", headers=bearer).status_code == 503


def test_rights_are_asked_again_after_thirty_seconds() -> None:
    clock, server = Clock(), FakeApiServer()
    permissions = RbacPermissions(server, "default", "science", clock)
    person = Person("lead")
    assert all(permissions.allow(person, Permission.DECIDE) for _ in range(5))
    assert server.asked == ["SubjectAccessReview"]
    clock.at += 30
    permissions.allow(person, Permission.DECIDE)
    assert len(server.asked) == 2


def test_made_up_tokens_cost_the_api_server_a_bounded_number_of_requests() -> None:
    server = FakeApiServer()
    way = ByToken(server, lambda: 0.0)
    for number in range(100):
        way.owner(f"made-up-{number}")
    with pytest.raises(ApiServerError):
        way.owner("made-up-100")
    assert way.owner("x" * 20_000) is None
    assert way.owner("tökën") is None
    assert len(server.asked) == 100


def test_rights_that_become_unknown_between_two_questions_say_so() -> None:
    """One answer is remembered, the next is not: the page still names the right cause."""
    clock, server = Clock(), FakeApiServer()
    client = by_token(MemoryDesk.of(card(1)), server, clock)
    sign_in(client, "lead")
    for path in ("/queue", "/items/science-input/0/1"):  # allowed; what else one may is not known
        clock.at += 31
        server.answers = 1
        answer = client.get(path)
        assert answer.status_code == 503
        assert "try again in a moment" in answer.text


def test_made_up_tokens_keep_nobody_out_who_is_signed_in() -> None:
    clock, server = Clock(), FakeApiServer()
    client = by_token(MemoryDesk.of(card(1)), server, clock)
    sign_in(client, "lead")
    bot = {"Authorization": "Bearer token-of-reviewer"}
    assert client.get("/api/counts", headers=bot).status_code == 200
    clock.at += REVIEW_AGAIN_SECONDS + 1  # both tokens are to be reviewed again
    made_up = [
        client.get("/api/counts", headers={"Authorization": f"Bearer made-up-{number}"}).status_code
        for number in range(QUESTIONS_AT_ONCE + 1)
    ]
    assert made_up[-1] == 503  # at their limit
    assert client.get("/quality").status_code == 200
    assert client.get("/api/counts", headers=bot).status_code == 200


def test_a_sessions_cookie_is_no_sign_in_for_programs() -> None:
    client = by_token(MemoryDesk.of(card(1)), FakeApiServer())
    sign_in(client, "lead")
    assert client.get("/api/next").status_code == 401


# --- by proxy -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Forwarded-User": "lead"},
        {"X-Forwarded-User": "lead", "X-Textmod-Proxy-Secret": ""},
        {"X-Forwarded-User": "lead", "X-Textmod-Proxy-Secret": PROXY_SECRET + "x"},
        {"X-Forwarded-User": "", "X-Textmod-Proxy-Secret": PROXY_SECRET},
        {"X-Forwarded-User": "system:admin", "X-Textmod-Proxy-Secret": PROXY_SECRET},
        {"X-Forwarded-User": "l" * 300, "X-Textmod-Proxy-Secret": PROXY_SECRET},
        {"Authorization": "Bearer token-of-lead"},
    ],
)
def test_headers_without_the_proxys_secret_are_nobodys(headers: dict[str, str]) -> None:
    client = by_proxy(MemoryDesk.of(card(1)), FakeApiServer())
    assert client.get("/quality", headers=headers).status_code == 401
    assert client.get("/api/counts", headers=headers).status_code == 401


def test_a_header_sent_twice_is_not_believed() -> None:
    client = by_proxy(MemoryDesk(), FakeApiServer())
    twice = [
        ("X-Textmod-Proxy-Secret", PROXY_SECRET),
        ("X-Forwarded-User", "lead"),
        ("X-Forwarded-User", "auditor"),
    ]
    assert client.get("/quality", headers=twice).status_code == 401


def test_the_proxy_names_user_and_groups_but_no_group_of_the_cluster() -> None:
    way = ByProxy(PROXY_SECRET, "X-User", "X-Groups")
    headers = {
        "x-textmod-proxy-secret": PROXY_SECRET,
        "x-user": "lead",
        "x-groups": "mods, system:masters,,leads",
    }
    assert way.person(headers, None) == Person("lead", ("mods", "leads", "system:authenticated"))


def test_a_short_secret_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="16 characters"):
        ByProxy("short", "X-User", "X-Groups")


# --- loopback -------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.7", "::", "console.example"])
def test_the_single_user_is_refused_on_other_than_a_loopback_address(address: str) -> None:
    with pytest.raises(ConfigurationError, match="loopback"):
        ByLoopback(address)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200), ("localhost:9", 200), ("[::1]:8080", 200), ("127.0.0.1", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("", 421), ("10.0.0.1:80", 421),
    ],
)  # fmt: skip
def test_a_name_that_a_stranger_points_here_is_not_answered(host: str, status: int) -> None:
    """DNS rebinding: the page of another site would read the texts of the single user."""
    client = loopback(MemoryDesk.of(card(1)))
    assert client.get("/queue", headers={"Host": host}).status_code == status
    assert client.get("/api/next", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_what_a_proxy_forwards_is_not_the_single_user(header: str) -> None:
    client = loopback(MemoryDesk.of(card(1)))
    assert client.get("/queue", headers={header: "for=10.0.0.1"}).status_code == 401
