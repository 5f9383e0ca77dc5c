"""Sessions in an encrypted cookie, and the tokens that prove a form came from our own page.

A cookie holds the session's id, when it began, and the bearer token it was opened with, so that any
replica can ask the API server again whether the token is still good. It is encrypted and
authenticated (Fernet: AES-128-CBC with HMAC-SHA256) under a key that only replicas hold.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from textmod_console.errors import ConfigurationError

LIFETIME_SECONDS = 8 * 3600
SKEW_SECONDS = 300
"""How far the clocks of replicas may be apart: a session begins on one and goes on at another."""


@dataclass(frozen=True, slots=True)
class Session:
    """One browser's session; `token` is None until somebody signed in with one."""

    id: str
    began: int  # seconds since 1970
    token: str | None = None


class Sessions:
    """Seal and open sessions, and derive the tokens that are bound to one."""

    def __init__(self, key: str) -> None:
        secret = hashlib.sha256(b"textmod-console sessions\0" + key.encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(secret))
        self._mac_key = hashlib.sha256(b"textmod-console tokens\0" + key.encode()).digest()

    def begin(self, now: int, token: str | None = None) -> Session:
        """Return a new session with an id of its own: sign-in never keeps an old one."""
        return Session(secrets.token_urlsafe(16), now, token)

    def seal(self, session: Session) -> str:
        """Return the cookie's value."""
        content = json.dumps([session.id, session.began, session.token]).encode()
        return self._fernet.encrypt(content).decode()

    def open(self, cookie: str | None, now: int) -> Session | None:
        """Return the session, None if it is not one of ours or past its eight hours."""
        if not cookie:
            return None
        try:
            found = Session(*json.loads(self._fernet.decrypt(cookie.encode())))
        except (InvalidToken, ValueError, TypeError):
            return None
        return found if -SKEW_SECONDS <= now - found.began < LIFETIME_SECONDS else None

    def mark(self, session: Session, person: str, purpose: str) -> str:
        """Return a token for one purpose of one person in one session."""
        message = "\0".join((session.id, person, purpose)).encode("utf-8", "surrogatepass")
        return hmac.new(self._mac_key, message, hashlib.sha256).hexdigest()[:40]

    def is_mark(self, given: str | None, session: Session, person: str, purpose: str) -> bool:
        """Whether `given` is that token; compared in constant time."""
        return same(given or "", self.mark(session, person, purpose))


def same(given: str, wanted: str) -> bool:
    """Compare two secrets in constant time, whatever characters they hold."""
    return hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), wanted.encode("utf-8", "surrogatepass")
    )


def session_key(configured: str | None, folder: Path) -> str:
    """Return the configured key, else the one kept in `folder`, made once.

    Raises:
        ConfigurationError: the folder can't be written.
    """
    if configured:
        return configured
    path = folder / "session.key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32))
        key = path.read_text().strip()
    except OSError as error:
        message = (
            f"{path} can't be read or written ({error.strerror}): set "
            "TEXTMOD_CONSOLE_SESSION_KEY, or TEXTMOD_CONSOLE_DATA to a folder of the console's."
        )
        raise ConfigurationError(message) from None
    if len(key) < 32:
        message = f"{path} holds no key: delete the file, and sessions begin again."
        raise ConfigurationError(message)
    return key
