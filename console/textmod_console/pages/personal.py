"""Pages about the reviewer: the guide, the settings, signing in and out."""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import RedirectResponse, Response

from textmod_console.access.person import Permission
from textmod_console.access.sign_in import MAX_TOKEN, ByToken
from textmod_console.pages.cookies import forget_session, keep_session, keep_settings
from textmod_console.pages.preferences import BREAKS, THEMES, Preferences
from textmod_console.pages.rendering import render
from textmod_console.pages.visit import RefusedError, Visit

LEAD: Final = (Permission.SEE_QUEUE, Permission.DECIDE, Permission.SEE_DECISIONS)
"""What a lead may: see escalated texts, and sign others out."""
_LOCAL = re.compile(r"/(?:[A-Za-z0-9_.%=&?~+-][A-Za-z0-9/_.%=&?~+-]*)?")


def home(visit: Visit) -> Response:  # noqa: ARG001 - every page's function takes the visit
    """Go to the queue."""
    return RedirectResponse("/queue", 303)


def guide(visit: Visit) -> Response:
    """Show how to review, with the keys."""
    return render(visit, "guide.html")


def settings(visit: Visit) -> Response:
    """Show the personal settings."""
    notice = "Saved." if visit.asked("saved") == "1" else None
    if visit.asked("ended") == "1":
        notice = "All sessions of this person have ended."
    leads = visit.shows(*LEAD)
    return render(
        visit, "settings.html", themes=THEMES, breaks=BREAKS, notice=notice, leads=leads,
        has_sessions=visit.console.way.has_form,
    )  # fmt: skip


def save_settings(visit: Visit) -> Response:
    """Keep the personal settings in this browser, and their change in the audit."""
    form = {name: values[0] for name, values in visit.form.items()}
    wanted = Preferences.of_form(form)
    changes = visit.preferences.changes(wanted)
    if changes:
        visit.desk.record(visit.name, "setting", None, changes)
    response = RedirectResponse("/settings?saved=1", 303)
    return keep_settings(response, wanted.encode(), secure=visit.secure)


def local_path(path: str | None) -> str:
    """Return a path of this console to go on to; anything else is the queue."""
    return path if path and len(path) < 2000 and _LOCAL.fullmatch(path) else "/queue"


def sign_in(visit: Visit) -> Response:
    """Show the sign-in form, or why there is none."""
    if visit.person is not None:
        return RedirectResponse(local_path(visit.asked("next")), 303)
    if not visit.console.way.has_form:
        raise RefusedError(
            401,
            "The proxy in front of this console named no user: open its address instead.",
        )
    untaken = visit.asked("untaken") == "1"
    sentence = "You were signed out, and what you sent was not taken." if untaken else None
    return render(visit, "sign_in.html", next=local_path(visit.asked("next")), sentence=sentence)


def enter(visit: Visit) -> Response:
    """Sign in with a token, in a new session: one that was set before is worthless.

    The token is never shown again, written to a log, or repeated in an error.
    """
    way, to = visit.console.way, local_path(visit.given("next"))
    if not isinstance(way, ByToken):
        raise RefusedError(404, "People do not sign in on this page: go to the queue.")
    token = (visit.form.get("token") or [""])[0].strip()
    too_long = len(token) > MAX_TOKEN
    person = way.owner(token) if token and not too_long else None
    if person is None:
        sentence = (
            f"The token has more than {MAX_TOKEN:,} characters, which no session holds: use a "
            "shorter one."
            if too_long
            else "Kubernetes does not accept this token: make a new one and paste the whole of it."
        )
        return render(visit, "sign_in.html", 401, next=to, sentence=sentence)
    sessions = visit.console.sessions
    session = sessions.seal(sessions.begin(visit.now, token))
    visit.desk.record(person.name, "sign-in")
    return keep_session(RedirectResponse(to, 303), session, secure=visit.secure)


def leave(visit: Visit) -> Response:
    """Sign out here, or everywhere: the session ends, and a copy of its cookie is worthless."""
    if visit.given("everywhere") == "1":
        visit.desk.end_sessions_of(visit.name, visit.name)
    else:
        visit.desk.end_session(visit.name, visit.session.id)
    response = RedirectResponse("/sign-in" if visit.console.way.has_form else "/guide", 303)
    return forget_session(response, secure=visit.secure)


def end_sessions(visit: Visit) -> Response:
    """Sign another person out everywhere."""
    if not visit.console.way.has_form:
        raise RefusedError(404, "People sign in at the proxy: end their sessions there.")
    person = visit.given("person", 256)
    if person is None:
        raise RefusedError(422, "No person is named: give the name as the audit shows it.")
    visit.desk.end_sessions_of(person, visit.name)
    return RedirectResponse("/settings?ended=1", 303)
