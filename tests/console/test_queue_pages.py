"""The queue as a reviewer uses it, by forms and links alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from console_client import Clock, form_token, hidden_fields, loopback
from memory_desk import START, MemoryDesk, card, some_policies, some_quality, some_scores
from starlette.testclient import TestClient

from textmod_console.desk import Card
from textmod_console.events import Reason

EXPLAINED = {
    "offsets": "CodePoint",
    "spans": [{"begin": 0, "end": 8, "weight": 1.31}],
    "features": [{"name": "exclamation marks", "weight": 0.2}],
}


def uncover(client: TestClient) -> None:
    """Choose to see texts at once."""
    page = client.get("/settings").text
    form = {"token_of_form": form_token(page), "keys": "on", "scores": "on", "theme": "auto"}
    assert client.post("/settings", data=form | {"break_every": "25"}).status_code == 303


def press(client: TestClient, page: str, action: str, **fields: str) -> str:
    """Send a form of a page; returns the page that follows."""
    answer = client.post(action, data=hidden_fields(page, action) | fields)
    assert answer.status_code == 303, answer.text
    return client.get(answer.headers["location"]).text


def test_a_text_is_covered_until_it_is_asked_for_and_the_reveal_is_in_the_audit() -> None:
    desk = MemoryDesk.of(card(1))
    client = loopback(desk)
    page = client.get("/queue").text
    assert "Vaccines" not in page
    assert 'value="Approve"' not in page
    page = press(client, page, "/queue/reveal")
    assert "Vaccines do not cause autism." in page
    assert 'value="Approve"' in page
    assert desk.acts() == ["reveal"]


def test_a_covered_text_is_not_decided_but_may_be_skipped() -> None:
    desk = MemoryDesk.of(card(1), card(2))
    client = loopback(desk)
    fields = hidden_fields(client.get("/queue").text, "/queue/decide")
    refused = client.post("/queue/decide", data=fields | {"decision": "Remove"})
    assert refused.status_code == 409
    assert "not shown to you" in refused.text
    forged = client.post("/queue/decide", data=fields | {"decision": "Remove", "shown": "0" * 40})
    assert forged.status_code == 409
    assert client.post("/queue/decide", data=fields | {"decision": "Skip"}).status_code == 303
    (decision,) = desk.cards["science-input/0/1"].decided
    assert decision.decision == "Skip"
    assert not decision.seen.explanation


def test_a_decision_leads_to_the_next_text_and_can_be_undone() -> None:
    desk = MemoryDesk.of(card(1, explanation=EXPLAINED), card(2, "Second text."))
    client = loopback(desk)
    uncover(client)
    page = client.get("/queue").text
    assert (
        '<mark class="toward strength-4">Vaccines<span class="weight">+1.31</span></mark>' in page
    )
    assert "exclamation marks (+0.20)" in page
    page = press(client, page, "/queue/decide", decision="Remove", reason="off topic", note=" ")
    assert "Removed." in page
    assert "Second text." in page
    (decision,) = desk.cards["science-input/0/1"].decided
    assert (decision.decision, decision.reason, decision.note) == ("Remove", "off topic", None)
    assert (decision.seen.score, decision.seen.explanation) == (True, True)
    page = press(client, page, "/queue/undo")
    assert "Vaccines" in page
    assert desk.cards["science-input/0/1"].decided == ()


def test_an_undo_is_offered_for_ten_seconds_also_after_the_next_text_is_shown() -> None:
    clock = Clock()
    client = loopback(MemoryDesk.of(card(1), card(2)), clock)
    page = press(client, client.get("/queue").text, "/queue/decide", decision="Skip")
    clock.at += 4
    page = press(client, page, "/queue/reveal")
    assert 'data-undo="6"' in page
    clock.at += 6
    fields = hidden_fields(page, "/queue/undo")
    later = {"decided": fields["decision"], "done": "Skip", "of": fields["item"]}
    until = str(int(clock.at))
    assert "/queue/undo" not in client.get("/queue", params=later | {"until": until}).text


def test_an_undo_that_comes_too_late_says_what_to_do() -> None:
    desk = MemoryDesk.of(card(1), card(2))
    client = loopback(desk)
    page = press(client, client.get("/queue").text, "/queue/decide", decision="Skip")
    desk.now += timedelta(seconds=11)
    late = client.post("/queue/undo", data=hidden_fields(page, "/queue/undo"))
    assert late.status_code == 409
    assert "decide again" in late.text


def test_a_blind_item_hides_score_policy_and_spans_until_it_is_decided() -> None:
    blind = card(
        1,
        blind=True,
        explanation=EXPLAINED,
        scores={"removed": 0.8371},
        reasons=(Reason(kind="Random"), Reason(kind="Policy", policy="secret", score=0.8371)),
    )
    desk = MemoryDesk.of(blind)
    client = loopback(desk)
    uncover(client)
    page = client.get("/queue").text
    for hidden in ("0.84", "0.83", "secret", "<mark", "Action", "1.31"):
        assert hidden not in page
    assert "0.83" not in client.get("/api/next").text
    press(client, page, "/queue/decide", decision="Remove")
    (decision,) = desk.cards[blind.item].decided
    assert (decision.seen.score, decision.seen.explanation) == (False, False)
    assert "0.84" in client.get(f"/items/{blind.item}").text


def test_a_reviewer_may_hide_scores_for_oneself() -> None:
    desk = MemoryDesk.of(card(1, explanation=EXPLAINED))
    client = loopback(desk)
    form = {"token_of_form": form_token(client.get("/settings").text), "theme": "dark"}
    client.post("/settings", data=form | {"break_every": "0"})
    page = client.get("/queue").text
    assert "<mark" not in page
    assert "Score" not in page
    assert "0.83" not in page
    assert 'data-theme="dark"' in page
    assert 'data-keys="off"' in page
    press(client, page, "/queue/decide", decision="Approve")
    (decision,) = desk.cards["science-input/0/1"].decided
    assert (decision.seen.score, decision.seen.explanation) == (False, False)
    assert desk.records[0].act == "setting"


def test_next_and_previous_pass_over_texts_without_a_decision() -> None:
    desk = MemoryDesk.of(card(1, "First."), card(2, "Second."), card(3, "Third."))
    client = loopback(desk)
    uncover(client)

    def step(page: str, rel: str) -> str:
        link = (
            page.split(f'rel="{rel}"', maxsplit=1)[0]
            .rsplit('href="', 1)[1]
            .split('"', maxsplit=1)[0]
        )
        return client.get(link.replace("&amp;", "&")).text

    page = client.get("/queue").text
    assert "First." in page
    page = step(page, "next")
    assert "Second." in page
    page = step(page, "next")
    assert "Third." in page
    page = step(page, "next")
    assert "There is no other text for you" in page
    page = step(step(client.get("/queue").text, "next"), "prev")
    assert "First." in page


def test_nothing_to_do_is_said() -> None:
    page = loopback(MemoryDesk()).get("/queue").text
    assert "Nothing waits for you." in page
    assert "Kafka" not in page


@pytest.mark.parametrize("cards", [(), (card(1),)])
def test_while_kafka_is_away_a_page_says_why_nothing_arrives(cards: tuple[Card, ...]) -> None:
    desk = MemoryDesk.of(*cards)
    desk.silent_since = START
    page = loopback(desk).get("/queue").text
    assert "No new texts have arrived since 2026-11-27 12:00 UTC" in page
    assert "Your decisions are kept" in page
    found = loopback(desk).get("/api/counts").json()
    assert found["silentSince"] == "2026-11-27T12:00:00Z"


def test_somebody_elses_text_and_a_changed_one_are_refused_in_one_sentence() -> None:
    desk = MemoryDesk.of(card(1))
    client = loopback(desk)
    uncover(client)
    fields = hidden_fields(client.get("/queue").text, "/queue/decide") | {"decision": "Approve"}
    assert client.post("/queue/decide", data=fields | {"version": "7"}).status_code == 409
    assert client.post("/queue/decide", data=fields | {"version": "x"}).status_code == 422
    assert client.post("/queue/decide", data=fields | {"decision": "Ban"}).status_code == 422
    assert client.post("/queue/decide", data=fields | {"item": "a/0/9"}).status_code == 404
    assert client.post("/queue/decide", data=fields | {"note": "x" * 2001}).status_code == 422
    assert client.post("/queue/decide", data=fields | {"note": "a\x00b"}).status_code == 422
    assert client.post("/queue/decide", data=fields | {"item": "a\x00b"}).status_code == 422
    assert client.get("/queue/").status_code == 404
    desk.release("science-input/0/1", "ada")
    desk.claim("science-input/0/1", "bob")
    refused = client.post("/queue/decide", data=fields)
    assert refused.status_code == 409
    assert "Somebody else" in refused.text
    assert client.get("/queue?item=science-input/0/1").status_code == 409


def test_a_double_click_is_one_decision_and_can_be_undone() -> None:
    desk = MemoryDesk.of(card(1), card(2), card(3))
    client = loopback(desk)
    uncover(client)
    fields = hidden_fields(client.get("/queue").text, "/queue/decide") | {"decision": "Remove"}
    answers = [client.post("/queue/decide", data=fields) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    page = client.get(answers[1].headers["location"]).text
    fields = hidden_fields(page, "/queue/undo")
    answers = [client.post("/queue/undo", data=fields) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert desk.cards["science-input/0/1"].decided == ()
    made_up = client.post("/queue/undo", data=fields | {"item": "science-input/0/3"})
    assert made_up.status_code == 404


@pytest.mark.parametrize("known", [True, False])
def test_a_made_up_undo_shows_no_text_that_is_not_in_the_audit(known: bool) -> None:
    """With a decision to undo and another text's name, or with a claim and no decision."""
    desk = MemoryDesk.of(card(1), card(2, "Second text."))
    client = loopback(desk)
    page = press(client, client.get("/queue").text, "/queue/decide", decision="Skip")
    fields = hidden_fields(page, "/queue/undo") | {"item": "science-input/0/2"}
    answer = client.post("/queue/undo", data=fields | ({} if known else {"decision": "none"}))
    assert "Second text." in client.get(answer.headers["location"]).text
    shown = [one.item for one in desk.records if one.act == "reveal"]
    assert shown == ["science-input/0/2"]


def test_leaving_a_text_to_others_frees_it() -> None:
    desk = MemoryDesk.of(card(1), card(2))
    client = loopback(desk)
    page = client.get("/queue").text
    press(client, page, "/queue/release")
    assert desk.cards["science-input/0/1"].claimed_by is None


def test_an_appeal_is_upheld_by_the_same_decision_and_overturned_by_the_other() -> None:
    for decision, outcome in (("Remove", "Upheld"), ("Approve", "Overturned")):
        desk = MemoryDesk.of(card(1))
        client = loopback(desk)
        uncover(client)
        page = client.get("/queue").text
        press(client, page, "/queue/decide", decision="Remove")
        from dataclasses import replace

        desk.cards["science-input/0/1"] = replace(
            desk.cards["science-input/0/1"], appeal="an-appeal"
        )
        page = client.get("/queue?item=science-input/0/1").text
        assert "appeals" in page
        press(client, page, "/queue/decide", decision=decision)
        last = desk.cards["science-input/0/1"].decided[-1]
        assert (last.appeal, last.outcome) == ("an-appeal", outcome)


def test_the_break_hint_comes_after_so_many_texts_and_is_the_readers_own() -> None:
    clock = Clock()
    desk = MemoryDesk.of(*(card(n) for n in range(30)))
    client = loopback(desk, clock)
    uncover(client)
    pages = []
    for _ in range(25):
        clock.at += 30
        page = client.get("/queue").text
        pages.append(press(client, page, "/queue/decide", decision="Approve"))
    assert [n for n, page in enumerate(pages, 1) if "without a break" in page] == [25]


def test_the_item_page_shows_text_history_and_a_second_decision() -> None:
    desk = MemoryDesk.of(card(1))
    client = loopback(desk)
    page = client.get("/items/science-input/0/1").text
    assert "Vaccines" not in page
    page = press(client, page, "/queue/reveal")
    assert "Vaccines" in page
    page = press(client, page, "/queue/decide", decision="Remove")
    assert "Decision</strong>: Remove" in page
    assert client.get("/items/nothing/0/1").status_code == 404


def test_quality_shows_intervals_and_the_unknown_in_words() -> None:
    desk = MemoryDesk()
    client = loopback(desk)
    assert "Unknown: nothing has been measured so far" in client.get("/quality").text
    desk.measured = some_quality()
    page = client.get("/quality").text
    assert "91.2 %, between 87.1 % and 94.4 % (95 % interval, 412 labels)." in page
    assert "Unknown: 12 labels so far." in page
    assert "Recall of off-topic is unknown" in page


def test_policies_answer_what_would_change() -> None:
    desk = MemoryDesk()
    client = loopback(desk)
    assert "Unknown: there are no scores" in client.get("/policies").text
    desk.day = some_scores()
    page = client.get("/policies?label=removed&now=0.50&then=0.90").text
    assert "fewer texts a day" in page
    assert "0.50 → 0.90" in page
    assert client.get("/policies?then=nan").status_code == 422
    assert client.get("/policies?then=2").status_code == 422


def test_policies_show_the_thresholds_in_force() -> None:
    desk = MemoryDesk()
    desk.day = some_scores()
    assert "has handed over no thresholds" in loopback(desk).get("/policies").text
    page = loopback(desk, policies=some_policies).get("/policies").text
    for said in (
        "0.9712", "people&#39;s decisions", "95.1 %", "40.0 %", "the object itself", "held back",
        "(Observe)", "never", "Version <code>sha256:0123456789ab</code>",
        'href="/policies?label=removed&amp;now=0.9712&amp;then=0.9712"',
    ):  # fmt: skip
        assert said in page, said
    assert "Threshold now, in force" in page
    assert "0.93 → 0.93" in page, "the slider begins where the label's lowest threshold is"
    page = loopback(desk, policies=some_policies).get("/policies?now=0.9712&then=0.8").text
    assert "0.9712 → 0.80" in page


def test_the_audit_is_paged() -> None:
    desk = MemoryDesk()
    for number in range(120):
        desk.record("ada", "reveal", f"science-input/0/{number}", {"why": "test"})
    client = loopback(desk)
    page = client.get("/audit").text
    assert '<th scope="row">120</th>' in page
    assert 'href="/audit?before=71"' in page
    assert '<th scope="row">70</th>' in client.get("/audit?before=71").text
    assert client.get("/audit?before=x").status_code == 422


@pytest.mark.parametrize("path", ["/queue", "/api/next", "/quality", "/audit"])
def test_a_failure_is_one_sentence_and_an_id(path: str, caplog: pytest.LogCaptureFixture) -> None:
    desk = MemoryDesk()
    desk.broken = ValueError("INSERT ... parameters: a text of a user")
    answer = loopback(desk).get(path)
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert "text of a user" not in answer.text + caplog.text
    number = answer.text.split("name the id ")[1].split()[0]
    assert number in caplog.text
    assert "ValueError at" in caplog.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" \n\t\u2003 ", "white space alone, 5 characters"),
        ("", "the text is empty"),
        (" a ", None),
        ("\u200b", None),  # shown by its name
    ],
)
def test_a_text_without_anything_to_read_says_so(text: str, words: str | None) -> None:
    client = loopback(MemoryDesk.of(card(1, text=text)))
    uncover(client)
    page = client.get("/queue").text
    assert ("There is nothing to read" in page) is (words is not None)
    assert words is None or words in page


def test_a_text_that_was_cut_says_so() -> None:
    desk = MemoryDesk.of(card(1, truncated_from=12_345))
    client = loopback(desk)
    uncover(client)
    page = client.get("/queue").text
    assert "29 of its 12,345 characters" in page


def test_a_method_that_a_page_does_not_have_is_answered_with_those_it_has() -> None:
    answer = loopback(MemoryDesk()).options("/queue/decide")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
