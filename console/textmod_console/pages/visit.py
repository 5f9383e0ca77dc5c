"""One request as handlers see it: the user, the settings, the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from textmod_console.access.kubernetes import ApiServerError
from textmod_console.access.permissions import Permissions
from textmod_console.access.person import Permission, Person
from textmod_console.access.sessions import Session, Sessions
from textmod_console.access.sign_in import Way
from textmod_console.desk import Desk
from textmod_console.pages.exposure import Exposure
from textmod_console.pages.preferences import Preferences
from textmod_console.policies import ReadPolicies, no_policies

MAX_PASSED = 20
MAX_ITEM = 1024


class RefusedError(Exception):
    """A refusal of a request: a status and one sentence."""

    def __init__(
        self, status: int, sentence: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = headers or {}


def is_item(name: str) -> bool:
    """Whether this could be an item's name."""
    return 0 < len(name) <= MAX_ITEM and name.isprintable()


def whole_number(given: str | None) -> int | None:
    """Return a whole number of up to 15 digits, None for anything else."""
    given = given or ""
    return int(given) if given.isascii() and given.isdigit() and len(given) < 16 else None


@dataclass(frozen=True)
class Console:
    """The objects that all requests share."""

    desk: Desk
    way: Way
    permissions: Permissions
    sessions: Sessions
    title: str
    now: Callable[[], float]
    policies: ReadPolicies = no_policies


@dataclass(frozen=True)
class Visit:
    """One request. `person` is None on the few pages for everybody."""

    console: Console
    person: Person | None
    session: Session
    preferences: Preferences
    exposure: Exposure
    path: Mapping[str, str]
    query: Mapping[str, list[str]]
    form: Mapping[str, list[str]]
    secure: bool = False
    """Whether the browser speaks https, to the console or to a proxy in front of it."""
    document: Mapping[str, object] = field(default_factory=dict)
    """The JSON body of a program's request."""

    @property
    def desk(self) -> Desk:
        """Return the core."""
        return self.console.desk

    @property
    def name(self) -> str:
        """Return the user's name; empty without a user."""
        return self.person.name if self.person is not None else ""

    @property
    def now(self) -> int:
        """Return the time, in seconds since 1970."""
        return int(self.console.now())

    def may(self, permission: Permission) -> bool:
        """Whether this person has a permission. Raises ApiServerError: it is not known now."""
        return self.person is not None and self.console.permissions.allow(self.person, permission)

    def shows(self, *permissions: Permission) -> bool:
        """Whether a page shows what takes these permissions; not while they are unknown."""
        try:
            return all(self.may(permission) for permission in permissions)
        except ApiServerError:
            return False

    def asked(self, name: str) -> str | None:
        """Return one value of the query; None when it is absent or empty."""
        return (self.query.get(name) or [""])[0] or None

    def given(self, name: str, longest: int = 2000) -> str | None:
        """Return one value of the form; None when it is absent or empty."""
        value = (self.form.get(name) or [""])[0].strip()
        if len(value) > longest:
            raise RefusedError(422, f"{name} is longer than {longest:,} characters: shorten it.")
        if "\x00" in value:
            raise RefusedError(422, f"{name} holds a NUL character: leave it out.")
        return value or None

    def item(self, value: str | None) -> str:
        """Return the name of an item that a request must have."""
        if value is None or not is_item(value):
            raise RefusedError(404, "There is no such text: go back to the queue.")
        return value

    def passed(self) -> tuple[str, ...]:
        """Return the items that were passed over, oldest first."""
        named = self.form.get("passed") or self.query.get("passed") or []
        kept = [item for item in dict.fromkeys(named) if is_item(item)]
        return tuple(kept[-MAX_PASSED:])

    @property
    def form_token(self) -> str:
        """Return the token that ties a form to this session."""
        return self.console.sessions.mark(self.session, self.name, "form")

    def shown_token(self, item: str) -> str:
        """Return the token of a text that this person asked to see."""
        return self.console.sessions.mark(self.session, self.name, f"shown {item}")

    def is_shown(self, item: str, token: str | None) -> bool:
        """Whether this person asked to see this text, in this session."""
        purpose = f"shown {item}"
        return self.console.sessions.is_mark(token, self.session, self.name, purpose)
