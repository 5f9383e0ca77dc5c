"""The console's cookies: HttpOnly, SameSite=Strict, Secure over https."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from textmod_console.access.sessions import LIFETIME_SECONDS
from textmod_console.pages.visit import Visit

SESSION: Final = "session"
SETTINGS: Final = "settings"
EXPOSURE: Final = "exposure"
_YEAR = 365 * 24 * 3600


def cookie_name(name: str, *, secure: bool) -> str:
    """Return a cookie's full name: over https `__Host-` keeps other hosts from setting it."""
    return f"{'__Host-' if secure else ''}textmod-{name}"


def put(response: Response, name: str, value: str, *, secure: bool, seconds: int) -> None:
    """Set a cookie that no script and no other site can use."""
    response.set_cookie(
        cookie_name(name, secure=secure),
        value,
        max_age=seconds,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def keep_exposure(response: Response, visit: Visit) -> Response:
    """Count one more text that this reviewer has read."""
    count = visit.exposure.read_one(visit.now)
    put(response, EXPOSURE, count.encode(), secure=visit.secure, seconds=24 * 3600)
    return response


def keep_settings(response: Response, value: str, *, secure: bool) -> Response:
    """Keep the personal settings of this browser."""
    put(response, SETTINGS, value, secure=secure, seconds=_YEAR)
    return response


def keep_session(response: Response, value: str, *, secure: bool) -> Response:
    """Keep a sealed session."""
    put(response, SESSION, value, secure=secure, seconds=LIFETIME_SECONDS)
    return response


def forget_session(response: Response, *, secure: bool) -> Response:
    """End the session in this browser."""
    response.delete_cookie(
        cookie_name(SESSION, secure=secure), path="/", secure=secure, httponly=True,
        samesite="strict",
    )  # fmt: skip
    return response
