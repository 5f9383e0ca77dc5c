"""What another site, or too much of anything, can do: nothing."""

from __future__ import annotations

import pytest
from console_client import (
    FORMS,
    ITEM,
    form_token,
    loopback,
)
from memory_desk import MemoryDesk, card

from textmod_console.access.limits import RateLimit
from textmod_console.pages.routes import PAGES, Page


@pytest.mark.parametrize("page", [p for p in PAGES if p.method == "POST" and not p.program])
@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, None),
        ({}, "0" * 40),
        ({"Origin": "https://evil.example"}, "ours"),
        ({"Origin": "null"}, "ours"),
        ({"Origin": "http://["}, "ours"),
        ({"Sec-Fetch-Site": "cross-site"}, "ours"),
        ({"Sec-Fetch-Site": "same-site"}, "ours"),
        ({"Content-Type": "text/plain"}, "ours"),
    ],
)
def test_no_form_of_another_site_does_anything(
    page: Page, headers: dict[str, str], token: str | None
) -> None:
    desk = MemoryDesk.of(card(1))
    client = loopback(desk)
    ours = form_token(client.get("/settings").text)
    form = FORMS[page.path] | (
        {"token_of_form": ours if token == "ours" else token} if token else {}
    )
    answer = client.post(page.path, data=form, headers=headers)
    assert answer.status_code in {403, 415}
    assert desk.records == []
    assert desk.cards[ITEM].decided == ()


def test_a_form_of_another_session_does_nothing() -> None:
    desk = MemoryDesk.of(card(1))
    victim, attacker = loopback(desk), loopback(desk)
    victim.get("/settings")
    stolen = form_token(attacker.get("/settings").text)
    form = FORMS["/settings"] | {"token_of_form": stolen}
    assert victim.post("/settings", data=form).status_code == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_programs_send_json_which_no_form_can(kind: str) -> None:
    desk = MemoryDesk.of(card(1))
    headers = {"Content-Type": kind}  # a browser that sends no Origin
    answer = loopback(desk).post("/api/undo", content=b'{"decision":"x"}', headers=headers)
    assert answer.status_code == 415
    json = {"Content-Type": "application/json", "Origin": "https://evil.example"}
    assert loopback(desk).post("/api/undo", content=b"{}", headers=json).status_code == 403


def test_bodies_fields_and_rates_are_bounded() -> None:
    now = [0.0]
    desk = MemoryDesk.of(card(1))
    client = loopback(desk, limit=RateLimit(1.0, 3, lambda: now[0]))
    assert client.post("/settings", content=b"x" * 70_000).status_code == 413
    many = "&".join(f"a{n}=1" for n in range(100))
    assert client.get(f"/guide?{many}").status_code == 422
    statuses = [client.get("/guide").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert client.get("/guide").headers["Retry-After"] == "2"
    now[0] = 1.0
    assert client.get("/guide").status_code == 200


def test_every_answer_has_the_security_headers_and_no_text_is_kept() -> None:
    client = loopback(MemoryDesk.of(card(1)))
    for path in ("/queue", "/nothing", "/api/next", "/items/x/0/1", "/sign-in"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd",
        "/static/console.css", "/static/console.js%00", "/static/",
        "/static/%2e%2e%2f%2e%2e%2fdesk.py",
    ],
)  # fmt: skip
def test_no_request_names_a_file(path: str) -> None:
    answer = loopback(MemoryDesk()).get(path)
    assert answer.status_code in {404, 307}
    assert "import" not in answer.text


def test_pages_name_only_their_own_two_files_with_their_digests() -> None:
    import base64
    import hashlib
    import re

    client = loopback(MemoryDesk.of(card(1)))
    page = client.get("/queue").text
    found = re.findall(r'(?:src|href)="(/static/[^"]+)" integrity="sha384-([^"]+)"', page)
    assert len(found) == 2
    for url, integrity in found:
        content = client.get(url).content
        assert base64.b64encode(hashlib.sha384(content).digest()).decode() == integrity
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|style=", page)
    assert not re.search(r'(?:src|href|action)="(?!/|#)', page)
