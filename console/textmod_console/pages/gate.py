"""The checks that every request passes, in this order.

    body ≤ 64 KiB → host → session → person → rate → permissions → origin and form token → handler

An error is one sentence; an unexpected one has an id that is logged too. Neither holds a text, a
note or a token: the log has the type and the place of an error, not its message.
"""

from __future__ import annotations

import json
import logging
import secrets
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from textmod_console.access.kubernetes import ApiServerError
from textmod_console.access.limits import RateLimit
from textmod_console.access.person import Person
from textmod_console.access.sessions import Session
from textmod_console.access.sign_in import bearer
from textmod_console.errors import (
    ConsoleError,
    DeskError,
    InvalidAnswerError,
    NotFoundError,
)
from textmod_console.pages import words
from textmod_console.pages.cookies import EXPOSURE, SESSION, SETTINGS, cookie_name, keep_session
from textmod_console.pages.exposure import Exposure
from textmod_console.pages.preferences import Preferences
from textmod_console.pages.rendering import render
from textmod_console.pages.routes import Page
from textmod_console.pages.visit import Console, RefusedError, Visit

MAX_BODY: Final = 64 * 1024
MAX_FIELDS: Final = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ask:
    """One request, read to its end."""

    target: str
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    path: Mapping[str, str]
    query: str
    body: bytes
    secure: bool


async def read(request: Request) -> Ask:
    """Read a request. Raises RefusedError if its body is too long."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise RefusedError(413, "The request is longer than 64 KiB: send less.")
    headers = _once(request)
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    secure = "https" in {request.url.scheme, headers.get("x-forwarded-proto", "").partition(",")[0]}
    return Ask(
        target, headers, request.cookies, request.path_params,
        request.url.query, bytes(body), secure,
    )  # fmt: skip


def _once(request: Request) -> dict[str, str]:
    """Return the headers; one that was sent twice is empty."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        found[name] = "" if name in found else value
    return found


class Gate:
    """Answers requests for the pages of one console."""

    def __init__(self, console: Console, limit: RateLimit) -> None:
        self._console = console
        self._limit = limit

    async def answer(self, request: Request, page: Page) -> Response:
        """Answer one request off the event loop; whatever happens, the answer is a sentence."""
        ask = None
        try:
            ask = await read(request)
            return await run_in_threadpool(self._serve, ask, page)
        except RefusedError as error:
            return self.refuse(ask, error, program=page.program)
        except ClientDisconnect:
            return Response(status_code=400)

    def _serve(self, ask: Ask, page: Page) -> Response:
        session, fresh = self._session(ask)
        visit = None
        try:
            visit = self._visit(ask, page, session)
            response = self._admit(ask, page, visit) or page.handler(visit)
        except RefusedError as error:
            response = self.refuse(ask, error, visit, program=page.program)
        except Exception as error:  # noqa: BLE001 - the boundary: no traceback leaves the console
            response = self.refuse(ask, _refusal(error), visit, program=page.program)
        if fresh and not page.program and "set-cookie" not in response.headers:
            keep_session(response, self._console.sessions.seal(session), secure=ask.secure)
        return response

    def _session(self, ask: Ask) -> tuple[Session, bool]:
        now = int(self._console.now())
        cookie = ask.cookies.get(cookie_name(SESSION, secure=ask.secure))
        known = self._console.sessions.open(cookie, now)
        return known or self._console.sessions.begin(now), known is None

    def _visit(self, ask: Ask, page: Page, session: Session) -> Visit:
        if not self._console.way.accepts_host(ask.headers.get("host", "")):
            raise RefusedError(421, "This console answers on a loopback address only: use that.")
        person = self._console.way.person(ask.headers, None if page.program else session)
        if person is not None and not page.program and not bearer(ask.headers):
            person = self._unless_ended(person, session)
        form, document = _content(ask, page)
        return Visit(
            console=self._console,
            person=person,
            session=session,
            preferences=Preferences.decode(
                ask.cookies.get(cookie_name(SETTINGS, secure=ask.secure))
            ),
            exposure=Exposure.decode(ask.cookies.get(cookie_name(EXPOSURE, secure=ask.secure))),
            path=ask.path,
            query=_fields(ask.query),
            form=form,
            secure=ask.secure,
            document=document,
        )

    def _unless_ended(self, person: Person, session: Session) -> Person | None:
        """Return None for a session that was signed out: its cookie may have been copied."""
        if session.token is None:  # a proxy names the person, or there is one alone
            return person
        over = self._console.desk.has_ended(person.name, session.id, session.began)
        return None if over else person

    def _admit(self, ask: Ask, page: Page, visit: Visit) -> Response | None:
        """Return another answer than the page's, None when the page may answer."""
        if visit.person is None and not page.everybody:
            return self._sign_in_first(ask, page)
        if visit.person is not None:
            self._within_limit(visit.person)
            if not all(visit.may(permission) for permission in page.needs):
                raise RefusedError(403, _forbidden(page))
        if page.method != "GET":
            _own_form(ask, page, visit)
        return None

    def _sign_in_first(self, ask: Ask, page: Page) -> Response | None:
        if page.program or not self._console.way.has_form:
            raise RefusedError(
                401, "Not signed in: send a bearer token.", {"WWW-Authenticate": "Bearer"}
            )
        to = f"?next={quote(ask.target, safe='')}" if page.method == "GET" else "?untaken=1"
        return RedirectResponse(f"/sign-in{to}", 303)

    def _within_limit(self, person: Person) -> None:
        wait = self._limit.wait(person.name)
        if wait > 0:
            after = {"Retry-After": str(int(wait) + 1)}
            raise RefusedError(429, "Too many requests at once: wait a second.", after)

    def refuse(
        self,
        ask: Ask | None,
        error: RefusedError,
        visit: Visit | None = None,
        *,
        program: bool,
    ) -> Response:
        """Return the page (or the JSON) of an error."""
        if program:
            content = {"error": {"status": error.status, "message": error.sentence}}
            response: Response = JSONResponse(content, error.status)
        else:
            shown = visit or self._stranger(ask)
            response = render(shown, "error.html", error.status, sentence=error.sentence)
        response.headers.update(error.headers)
        return response

    def _stranger(self, ask: Ask | None) -> Visit:
        """Return a visit without a user, for an error before authentication."""
        cookies, secure = (ask.cookies, ask.secure) if ask else ({}, False)
        settings = cookies.get(cookie_name(SETTINGS, secure=secure))
        return Visit(
            console=self._console,
            person=None,
            session=Session("", 0),
            preferences=Preferences.decode(settings),
            exposure=Exposure(),
            path={},
            query={},
            form={},
        )


def _refusal(error: Exception) -> RefusedError:
    """Turn an error into a status and a sentence; only errors of the desk speak for themselves."""
    if isinstance(error, NotFoundError):
        return RefusedError(404, words.sentence(str(error)))
    if isinstance(error, InvalidAnswerError):
        return RefusedError(422, words.sentence(str(error)))
    if isinstance(error, DeskError):
        return RefusedError(409, words.sentence(str(error)))
    number = secrets.token_hex(6)
    places = "; ".join(
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-8:]
    )
    _log.error("request failed, id %s: %s at %s", number, type(error).__name__, places)
    if isinstance(error, ApiServerError):
        return RefusedError(
            503,
            f"Kubernetes can't be asked who you are: try again in a moment (id {number}).",
            {"Retry-After": "5"},
        )
    if isinstance(error, ConsoleError):
        return RefusedError(
            503,
            f"The console can't reach its database: try again in a moment (id {number}).",
            {"Retry-After": "5"},
        )
    return RefusedError(
        500, f"The console failed: try again, and name the id {number} to its operator."
    )


def _forbidden(page: Page) -> str:
    rights = ", ".join(f"{p.verb} on textmoderations/{p.subresource}" for p in page.needs)
    return f"You may not do this: ask for the right to {rights} on this object."


def _fields(encoded: str) -> dict[str, list[str]]:
    try:
        return parse_qs(encoded, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise RefusedError(422, "The request has too many fields: send fewer.") from None


def _content(ask: Ask, page: Page) -> tuple[dict[str, list[str]], dict[str, object]]:
    """Return a form's fields, or a program's JSON object."""
    if page.method == "GET":
        return {}, {}
    kind = ask.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not page.program:
        if kind != "application/x-www-form-urlencoded":
            raise RefusedError(415, "A form is sent as application/x-www-form-urlencoded.")
        return _fields(ask.body.decode("utf-8", "replace")), {}
    # No form of another site can send this type: the browser would ask first, and is not answered.
    if kind != "application/json":
        raise RefusedError(415, "Send JSON as application/json.")
    try:
        document = json.loads(ask.body) if ask.body else {}
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise RefusedError(422, "The body is no JSON object: send one.")
    return {}, document


def _own_form(ask: Ask, page: Page, visit: Visit) -> None:
    """Refuse a request that another site or another session made this browser send."""
    host = ask.headers.get("host", "")
    origin, site = ask.headers.get("origin"), ask.headers.get("sec-fetch-site")
    foreign = origin is not None and _host_of(origin) != host
    if foreign or (site is not None and site not in {"same-origin", "none"}):
        raise RefusedError(403, "The form comes from another site: open the console itself.")
    if page.program:
        return
    if bearer(ask.headers):
        return  # no browser adds this header by itself
    given = visit.given("token_of_form", 64)
    if not visit.console.sessions.is_mark(given, visit.session, visit.name, "form"):
        raise RefusedError(403, "The page was too old to send this form: reload it and try again.")


def _host_of(origin: str) -> str | None:
    """Return host and port of an `Origin`; None for what is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:  # a bracket that nothing closes
        return None
