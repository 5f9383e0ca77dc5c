"""Authentication of requests, in one of three ways.

Token     a bearer token, in a session or in the Authorization header (TokenReview)
Proxy     headers of a trusted proxy, which sends a shared secret with them
Loopback  the single user of this machine
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from textmod_console.access.kubernetes import ApiServerError
from textmod_console.access.limits import RateLimit
from textmod_console.access.memory import Remembered
from textmod_console.access.person import Person
from textmod_console.access.sessions import Session, same
from textmod_console.errors import ConfigurationError
from textmod_console.settings import is_loopback

PROXY_SECRET_HEADER: Final = "X-Textmod-Proxy-Secret"  # noqa: S105 - a header's name
REVIEW_AGAIN_SECONDS: Final = 120.0
MAX_TOKEN: Final = 2400  # characters; what is longer does not fit in a session's cookie
_LONGEST_TOKEN: Final = 16_384  # characters in a header, which holds longer ones
QUESTIONS_PER_SECOND: Final = 20.0
QUESTIONS_AT_ONCE: Final = 100
_MAX_NAME = 256


class Way(Protocol):
    """One way of signing in."""

    has_form: bool
    """Whether people sign in on a page of the console."""

    def person(self, headers: Mapping[str, str], session: Session | None) -> Person | None:
        """Return the sender of a request. Raises ApiServerError."""
        ...

    def accepts_host(self, host: str) -> bool:
        """Whether a request for this Host may be answered at all."""
        ...


class TokenReviewer(Protocol):
    """The part of the API server that sign-in by token needs."""

    def token_review(self, token: str) -> Person | None:
        """Return the owner of a token, None if it is not valid."""
        ...


class ByToken:
    """A bearer token that the API server knows; asked again every two minutes."""

    has_form = True

    def __init__(self, server: TokenReviewer, clock: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._questions = RateLimit(QUESTIONS_PER_SECOND, QUESTIONS_AT_ONCE, clock)
        self._answers: Remembered[Person | None] = Remembered(REVIEW_AGAIN_SECONDS, clock)

    def person(self, headers: Mapping[str, str], session: Session | None) -> Person | None:
        """Return the token's owner; the header comes before the session."""
        token = bearer(headers)
        if token is not None:
            return self.owner(token)
        if session is None or session.token is None:
            return None
        return self._owner(session.token, known=True)  # it was valid when the session was sealed

    def owner(self, token: str) -> Person | None:
        """Return the owner of a token, None if it is not valid. Raises ApiServerError."""
        return self._owner(token, known=False)

    def _owner(self, token: str, *, known: bool) -> Person | None:
        if len(token) > _LONGEST_TOKEN or not token.isascii() or not token.isprintable():
            return None
        digest = hashlib.sha256(token.encode()).digest()  # no table of tokens in memory
        known = known or self._answers.last(digest) is not None
        return self._answers.get(digest, lambda: self._ask(token, limited=not known))

    def _ask(self, token: str, *, limited: bool) -> Person | None:
        """Send a TokenReview. Made-up tokens must neither load the API server nor keep out people
        and programs whose tokens are known: the rate of unknown ones alone is limited."""
        if limited and self._questions.wait("all") > 0:
            message = "too many tokens at once that the console does not know"
            raise ApiServerError(message)
        return self._server.token_review(token)

    def accepts_host(self, host: str) -> bool:  # noqa: ARG002 - a token is no ambient right
        """Return True: without a token nothing is answered."""
        return True


class ByProxy:
    """The user and groups headers of a proxy that sends the shared secret along."""

    has_form = False

    def __init__(self, secret: str, user_header: str, groups_header: str) -> None:
        if len(secret) < 16:
            message = (
                "TEXTMOD_CONSOLE_PROXY_SECRET is shorter than 16 characters: set a long random one."
            )
            raise ConfigurationError(message)
        self._secret = secret
        self._user_header = user_header
        self._groups_header = groups_header

    def person(
        self,
        headers: Mapping[str, str],
        session: Session | None,  # noqa: ARG002
    ) -> Person | None:
        """Return the user that the proxy names; None without its secret."""
        if not same(headers.get(PROXY_SECRET_HEADER.lower(), ""), self._secret):
            return None
        name = headers.get(self._user_header.lower(), "").strip()
        if not name or len(name) > _MAX_NAME or name.startswith("system:"):
            return None  # a proxy may name people, never parts of the cluster
        groups = (g.strip() for g in headers.get(self._groups_header.lower(), "").split(","))
        believed = (g for g in groups if g and not g.startswith("system:"))
        return Person(name, (*believed, "system:authenticated"))

    def accepts_host(self, host: str) -> bool:  # noqa: ARG002 - the proxy chooses the name
        """Return True: without the secret nothing is answered."""
        return True


class ByLoopback:
    """The single user of this machine: only local processes reach a loopback address."""

    has_form = False

    def __init__(self, bind_address: str, name: str = "local") -> None:
        if not is_loopback(bind_address):
            message = (
                f"TEXTMOD_CONSOLE_AUTHENTICATION=Loopback serves on a loopback address only: "
                f"set TEXTMOD_CONSOLE_BIND_ADDRESS to 127.0.0.1 instead of {bind_address}."
            )
            raise ConfigurationError(message)
        self._person = Person(name)

    def person(
        self,
        headers: Mapping[str, str],
        session: Session | None,  # noqa: ARG002
    ) -> Person | None:
        """Return the single user; None for a request that a proxy forwarded."""
        forwarded = any(h in headers for h in ("forwarded", "x-forwarded-for"))
        return None if forwarded else self._person

    def accepts_host(self, host: str) -> bool:
        """Whether the Host is a loopback one: a name that a stranger points here is not."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        return is_loopback(name.strip("[]"))


def bearer(headers: Mapping[str, str]) -> str | None:
    """Return the token of the Authorization header."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() or None if kind.lower() == "bearer" else None
