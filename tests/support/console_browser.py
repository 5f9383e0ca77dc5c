"""The console's pages in a real browser: the system's Chromium over a database in a file."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from console_client import settings
from desk_world import START, World
from desk_world import request as review_request
from memory_desk import some_policies, some_quality, some_scores
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from textmod_console.access.permissions import AllPermissions
from textmod_console.access.sign_in import ByLoopback
from textmod_console.desk import Desk
from textmod_console.events import Reason, ReviewRequested
from textmod_console.pages.app import Entry, create_app

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = "no chromium: install Debian's chromium to try the pages in a browser"

TEXTS = (
    (
        "The study has forty participants and no control group, so the headline claims far more "
        "than the data can carry. I have read the whole paper and the supplement; the effect is "
        "gone once the two outliers are left out. Why is this on the front page?"
    ),
    "You are an idiot and so is everybody who voted for this. Go back to school!!!",
    "Free followers \u200b\u200b at \u202egro.elpmaxe\u202c today only: https://example.org/win",
    "My grandmother took it for years and she was fine. Just saying.",
)


def texts(number: int = 12) -> list[ReviewRequested]:
    """Return requests of every kind: of a policy, held back, at random, with an answered text."""
    made = []
    for index in range(number):
        text = TEXTS[index % len(TEXTS)]
        blind = index % 4 == 3
        words = [w for w in ("headline", "idiot", "Free followers", "fine") if w in text]
        spans = [
            {"begin": text.index(w), "end": text.index(w) + len(w), "weight": 1.31} for w in words
        ]
        spans.append({"begin": 0, "end": text.index(" "), "weight": -0.42})
        made.append(
            review_request(
                f"science-input/{index % 3}/{index}",
                text=text,
                author=("ada", "b\u202eob", "lamarck42")[index % 3],
                context="What do you make of the new trial?" if index % 2 else None,
                hold=index % 4 == 1,
                blind=blind,
                reasons=(Reason(kind="Random"),)
                if blind
                else (Reason(kind="Policy", policy="off-topic", action="Review", score=0.83),),
                scores={"removed": 0.83},
                explanation={
                    "offsets": "CodePoint",
                    "spans": sorted(spans, key=lambda span: span["begin"]),
                    "features": [{"name": "exclamation marks", "weight": 0.2}],
                },
                at=START.replace(minute=index % 60),
            )
        )
    return made


@contextmanager
def served(desk: Desk) -> Iterator[str]:
    """Serve the pages for the single user on a free port; yields the address."""
    entry = Entry(ByLoopback("127.0.0.1", "ada"), AllPermissions())
    app = create_app(desk, settings(), enter=entry, policies=some_policies)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < deadline, "the pages are not served"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


class FilledDesk:
    """A real desk, with figures that would need days of decisions."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __getattr__(self, name: str) -> object:
        return getattr(self._desk, name)

    def quality(self) -> object:
        """Return figures."""
        return some_quality()

    def scores_of_the_day(self) -> object:
        """Return a day of scores."""
        return some_scores()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium without a screen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Seen:
    """What a page did that it should not: errors, dialogs, requests to strangers."""

    faults: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)


def opened(context: BrowserContext, origin: str) -> tuple[Page, Seen]:
    """Open a page that notes every fault."""
    page, seen = context.new_page(), Seen()
    page.on("console", lambda m: seen.faults.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: seen.faults.append(str(error)))
    page.on("dialog", lambda dialog: (seen.faults.append(dialog.message), dialog.dismiss()))
    page.on(
        "request",
        lambda r: None if r.url.startswith(origin) else seen.strangers.append(r.url),
    )
    return page, seen


@contextmanager
def filled(folder: Path, number: int = 12) -> Iterator[World]:
    """Yield a desk with texts, in a file of its own."""
    with World(f"sqlite:///{folder}/console.db") as world:
        world.ask(*texts(number))
        yield world
