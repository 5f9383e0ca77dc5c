"""Pages to read: an item with its history, quality, policies, audit."""

from __future__ import annotations

from starlette.responses import Response

from textmod_console.access.person import Permission
from textmod_console.pages.forecast import bars, forecast
from textmod_console.pages.queue import card_values
from textmod_console.pages.rendering import render
from textmod_console.pages.visit import RefusedError, Visit, whole_number

AUDIT_PAGE = 50
ESCALATED = 100


def item(visit: Visit) -> Response:
    """Show one item and everything that happened to it; the text only to who may see the queue."""
    name = visit.item(visit.path.get("item"))
    card = visit.desk.card(name, visit.name)
    readable = visit.may(Permission.SEE_QUEUE)
    if readable and not visit.preferences.cover:
        visit.desk.record(visit.name, "reveal", name)
    values = card_values(visit, card) | {"readable": readable}
    if not readable:
        values |= {"parts": (), "context": (), "author": ()}
    return render(visit, "item.html", history=visit.desk.history(name), **values)


def escalated(visit: Visit) -> Response:
    """Show the texts that wait for a lead."""
    return render(visit, "escalated.html", items=visit.desk.escalated(ESCALATED))


def quality(visit: Visit) -> Response:
    """Show precision and recall of the current window with their intervals."""
    return render(visit, "quality.html", quality=visit.desk.quality(), counts=visit.desk.counts())


def policies(visit: Visit) -> Response:
    """Show the thresholds in force, and what another would have changed over the last day."""
    in_force = visit.console.policies()
    day = visit.desk.scores_of_the_day()
    labels = sorted(day.counts)
    asked = visit.asked("label")
    label = asked if asked is not None and asked in day.counts else (labels[0] if labels else "")
    known = in_force.threshold(label) if in_force is not None else None
    now = _threshold(visit, "now", 0.5 if known is None else round(known, 4))
    then = _threshold(visit, "then", now if known is not None else 0.7)
    counts = day.counts.get(label, ())
    return render(
        visit,
        "policies.html",
        labels=labels,
        label=label,
        now_at=now,
        then_at=then,
        since=day.since,
        in_force=in_force,
        is_in_force=visit.asked("now") is None and known is not None,
        forecast=forecast(counts, now, then),
        bars=bars(counts, then),
    )


def _threshold(visit: Visit, name: str, default: float) -> float:
    value = visit.asked(name)
    if value is None:
        return default
    try:
        given = float(value)
    except ValueError:
        given = -1.0
    if not 0 <= given <= 1:
        raise RefusedError(422, "A threshold is a number from 0 to 1: correct it.")
    return given


def audit(visit: Visit) -> Response:
    """Show the audit chain, newest first."""
    given = visit.asked("before")
    before = whole_number(given)
    if given is not None and before is None:
        raise RefusedError(422, "The page of the audit is no number: go to its first page.")
    entries = visit.desk.audit(before, AUDIT_PAGE)
    older = entries[-1].number if len(entries) == AUDIT_PAGE else None
    return render(visit, "audit.html", entries=entries, older=older)
