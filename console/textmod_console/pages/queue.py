"""The queue: one card at a time, and what a reviewer does with it."""

from __future__ import annotations

from typing import Any, get_args

from starlette.responses import RedirectResponse, Response

from textmod_console.access.person import Permission
from textmod_console.access.sessions import SKEW_SECONDS
from textmod_console.desk import UNDO, Answer, Card
from textmod_console.errors import ClaimedByAnotherError, NotFoundError
from textmod_console.events import DecisionName, Outcome
from textmod_console.pages import words
from textmod_console.pages.cookies import keep_exposure
from textmod_console.pages.marking import features, has_markers, segments
from textmod_console.pages.rendering import item_url, queue_url, render
from textmod_console.pages.visit import MAX_ITEM, RefusedError, Visit, whole_number

DECISIONS: dict[str, DecisionName] = {name: name for name in get_args(DecisionName)}
_JUDGED = frozenset({"Approve", "Remove"})
_LONGEST_MILLISECONDS = 3_600_000
_UNDO_SECONDS = int(UNDO.total_seconds())
_NOTICE = ("decided", "done", "of", "until")
"""The parameters by which a page offers an undo: the decision's id, name, item and time."""


def show(visit: Visit) -> Response:
    """Show the next card, or the one that is asked for."""
    if not visit.may(Permission.DECIDE):
        return render(visit, "queue_counts.html", counts=visit.desk.counts())
    passed = visit.passed()
    card = _wanted(visit, passed)
    values: dict[str, Any] = {
        "counts": visit.desk.counts(),
        "passed": passed,
        "notice": _notice(visit),
    }
    if card is None:
        return render(visit, "queue_empty.html", **values)
    return render(visit, "queue.html", **values, **card_values(visit, card))


def card_values(visit: Visit, card: Card) -> dict[str, Any]:
    """Return what the template of a card needs."""
    token = visit.asked("shown")
    covered = visit.preferences.cover and not visit.is_shown(card.item, token)
    explained = card.explanation if shows_explanation(visit, card) else None
    parts = () if covered or card.text is None else segments(card.text, explained)
    return {
        "card": card,
        "covered": covered,
        "shown": None if covered else token,
        "parts": parts,
        "context": () if covered or not card.context else segments(card.context),
        "author": segments(card.author) if card.author else (),
        "marked": has_markers(parts),
        "features": features(explained),
        "score": card.scores.get(card.label) if card.scores and shows_score(visit, card) else None,
    }


def shows_score(visit: Visit, card: Card) -> bool:
    """Whether a page shows the score: never while an undecided item is blind."""
    return card.scores is not None and visit.preferences.scores and not words.concealed(card)


def shows_explanation(visit: Visit, card: Card) -> bool:
    """Whether a page underlines spans."""
    allowed = visit.preferences.scores and not words.concealed(card)
    return card.explanation is not None and allowed


def _wanted(visit: Visit, passed: tuple[str, ...]) -> Card | None:
    item = visit.asked("item")
    if item is None:
        return visit.desk.next_card(visit.name, frozenset(passed))
    try:
        return visit.desk.claim(visit.item(item), visit.name)
    except (ClaimedByAnotherError, NotFoundError) as error:
        raise RefusedError(409, words.sentence(str(error))) from None


def _notice(visit: Visit) -> dict[str, str] | None:
    """Return the parameters of the last decision's undo; None once it is too late."""
    found = {name: (visit.asked(name) or "")[:MAX_ITEM] for name in _NOTICE}
    left = (whole_number(found["until"]) or 0) - visit.now
    if found["done"] not in DECISIONS or not 0 < left <= _UNDO_SECONDS + SKEW_SECONDS:
        return None
    # Another replica, with another clock, may have taken the decision.
    return found | {"left": str(min(left, _UNDO_SECONDS))}


def reveal(visit: Visit) -> Response:
    """Show a covered text; every reveal is in the audit."""
    item = visit.item(visit.given("item"))
    visit.desk.record(visit.name, "reveal", item)
    shown = visit.shown_token(item)
    back = f"{item_url(item)}?shown={shown}" if visit.given("back") == "item" else None
    notice = {name: visit.given(name, MAX_ITEM) for name in _NOTICE}
    to = back or queue_url(item=item, shown=shown, passed=visit.passed(), **notice)
    return keep_exposure(RedirectResponse(to, 303), visit)


def decide(visit: Visit) -> Response:
    """Take a decision and go on to the next text."""
    item = visit.item(visit.given("item"))
    name = DECISIONS.get(visit.given("decision") or "")
    version = whole_number(visit.given("version"))
    if name is None or version is None:
        raise RefusedError(422, "The form names no decision: use the buttons below the text.")
    card = visit.desk.card(item, visit.name)
    _require_shown(visit, card, name)
    decision = visit.desk.decide(item, visit.name, _answer(visit, card, name), version)
    if visit.given("back") == "item":
        return RedirectResponse(item_url(item), 303)
    notice = (decision.id, name, item, str(visit.now + _UNDO_SECONDS))
    to = queue_url(passed=visit.passed(), **dict(zip(_NOTICE, notice, strict=True)))
    response = RedirectResponse(to, 303)
    return response if visit.preferences.cover else keep_exposure(response, visit)


def _require_shown(visit: Visit, card: Card, name: DecisionName) -> None:
    unseen = visit.preferences.cover and not visit.is_shown(card.item, visit.given("shown"))
    if unseen and name in _JUDGED:
        raise RefusedError(409, "The text was not shown to you: show it first, or skip it.")


def _answer(visit: Visit, card: Card, name: DecisionName) -> Answer:
    shown = not visit.preferences.cover or visit.is_shown(card.item, visit.given("shown"))
    outcome: Outcome | None = None
    if card.appeal is not None and name in _JUDGED:
        before = next((d.decision for d in reversed(card.decided) if d.decision in _JUDGED), None)
        outcome = "Upheld" if before == name else "Overturned"
    return Answer(
        decision=name,
        note=visit.given("note"),
        reason=visit.given("reason", 200),
        policy=card.policies[0] if card.policies else None,
        seen_score=shows_score(visit, card),
        seen_explanation=shown and shows_explanation(visit, card),
        milliseconds=_milliseconds(visit),
        appeal=card.appeal if outcome else None,
        outcome=outcome,
    )


def _milliseconds(visit: Visit) -> int | None:
    """Return how long the text was read: the script's figure, else since the page was made."""
    measured = whole_number(visit.given("milliseconds", 20))
    opened = whole_number(visit.given("opened", 20))
    if measured is None and opened is not None:
        measured = max(0, visit.now - opened) * 1000
    return None if measured is None else min(measured, _LONGEST_MILLISECONDS)


def undo(visit: Visit) -> Response:
    """Take the last decision back and show its text again."""
    item = visit.item(visit.given("item"))
    try:
        visit.desk.undo(visit.given("decision", 64) or "", visit.name)
    except NotFoundError:
        # Of a double click the second comes here: the text is this person's again.
        if visit.desk.card(item, visit.name).claimed_by != visit.name:
            raise
    # The text was on the screen seconds ago, so it is not covered; a made-up form may name another.
    visit.desk.record(visit.name, "reveal", item)
    shown = visit.shown_token(item)
    return RedirectResponse(queue_url(item=item, shown=shown, passed=visit.passed()), 303)


def release(visit: Visit) -> Response:
    """Give the card back to the others."""
    item = visit.item(visit.given("item"))
    visit.desk.release(item, visit.name)
    return RedirectResponse(queue_url(passed=(*visit.passed(), item)), 303)
