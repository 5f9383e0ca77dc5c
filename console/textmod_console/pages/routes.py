"""Every route: its method, its path, what it needs, and its function. The whole of the surface.

The table test of roles reads this list: a route that is not in it does not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from textmod_console.access.person import Permission
from textmod_console.pages import personal, programs, queue, reports
from textmod_console.pages.visit import Visit

Handler = Callable[[Visit], Response]


@dataclass(frozen=True)
class Page:
    """One route."""

    method: str
    path: str
    handler: Handler
    needs: tuple[Permission, ...] = ()
    """All of these."""
    everybody: bool = False
    """Answered without a person."""
    program: bool = False
    """Takes and returns JSON; a session's cookie is no sign-in here."""


_SEE, _DECIDE = Permission.SEE_QUEUE, Permission.DECIDE
_READ, _AUDIT = Permission.SEE_DECISIONS, Permission.SEE_AUDIT

PAGES: Final = (
    Page("GET", "/", personal.home),
    Page("GET", "/queue", queue.show, (_SEE,)),
    Page("POST", "/queue/reveal", queue.reveal, (_SEE,)),
    Page("POST", "/queue/decide", queue.decide, (_SEE, _DECIDE)),
    Page("POST", "/queue/undo", queue.undo, (_SEE, _DECIDE)),
    Page("POST", "/queue/release", queue.release, (_SEE, _DECIDE)),
    Page("GET", "/items/{item:path}", reports.item, (_READ,)),
    Page("GET", "/escalated", reports.escalated, personal.LEAD),
    Page("GET", "/quality", reports.quality, (_READ,)),
    Page("GET", "/policies", reports.policies, (_READ,)),
    Page("GET", "/audit", reports.audit, (_AUDIT,)),
    Page("GET", "/guide", personal.guide),
    Page("GET", "/settings", personal.settings),
    Page("POST", "/settings", personal.save_settings),
    Page("GET", "/sign-in", personal.sign_in, everybody=True),
    Page("POST", "/sign-in", personal.enter, everybody=True),
    Page("POST", "/sign-out", personal.leave),
    Page("POST", "/sessions/end", personal.end_sessions, personal.LEAD),
    Page("GET", "/api/next", programs.next_card, (_SEE, _DECIDE), program=True),
    Page("GET", "/api/counts", programs.counts, (_SEE,), program=True),
    Page("GET", "/api/items/{item:path}", programs.item, (_SEE, _READ), program=True),
    Page("POST", "/api/items/{item:path}/decision", programs.decide, (_SEE, _DECIDE), program=True),
    Page("POST", "/api/items/{item:path}/release", programs.release, (_SEE, _DECIDE), program=True),
    Page("POST", "/api/undo", programs.undo, (_SEE, _DECIDE), program=True),
)
