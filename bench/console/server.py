"""A console that takes the user name from a header without a check: for simulated reviewers only.

python -m bench.console.server        (settings from the environment, as `textmod-console serve`)
"""

import sys
from collections.abc import Mapping

from textmod_console.access.permissions import AllPermissions
from textmod_console.access.person import Person
from textmod_console.access.sessions import Session
from textmod_console.commands import opening
from textmod_console.commands.serve import serve
from textmod_console.pages.app import Entry

REVIEWER = "x-reviewer"


class ByHeader:
    """Sign-in by a header that is not verified."""

    has_form = False

    def person(self, headers: Mapping[str, str], session: Session | None) -> Person | None:
        """Return the reviewer that the header names."""
        del session
        name = headers.get(REVIEWER)
        return Person(name) if name else None

    def accepts_host(self, host: str) -> bool:
        """Whether a request for this Host may be answered: any."""
        return bool(host)


if __name__ == "__main__":
    run = opening.command(lambda _, found: serve(found, Entry(ByHeader(), AllPermissions())))
    sys.exit(run(None))  # type: ignore[arg-type]
