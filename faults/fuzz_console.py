"""Targets of fuzzing: what the console reads from files, topics and its environment."""

from __future__ import annotations

import contextlib
import io
import json
from functools import partial

from faults.fuzz_targets import TARGETS, environment, scratch, split, target


def _decisions(name: str, data: bytes) -> None:
    """A file of decisions is read, or refused in one sentence that says where."""
    from textmod_console.errors import DataError
    from textmod_console.exchange import FORMATS

    # As the command opens it.
    file = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="replace", newline="")
    try:
        for given in FORMATS[name].read(file):
            assert given.item
            assert given.decision
            assert given.at is None or given.at.tzinfo is not None
    except DataError as error:
        assert "\n" not in str(error)


for _name in ("csv", "jsonl", "label-studio"):
    TARGETS[f"decisions-{_name}"] = partial(_decisions, _name)


@target
def review_event(data: bytes) -> None:
    """An event of the review or the feedback topic is read, ignored or refused; none is altered."""
    from textmod_console import events
    from textmod_console.errors import DataError

    for kind in (events.REVIEW_REQUESTED, events.DECISION, events.APPEAL, events.COUNTED):
        with contextlib.suppress(DataError):
            event = events.parse(kind, data)
            assert event is not None
            json.dumps(events.plain(event))
            assert events.parse(kind, event.value()) == event


@target
def console_settings(data: bytes) -> None:
    """An environment makes settings or a sentence for each fault."""
    from textmod_console import settings
    from textmod_console.errors import ConfigurationError

    with contextlib.suppress(ConfigurationError):
        json.dumps(settings.describe(settings.load(environment(data))))


@target
def webhooks(data: bytes) -> None:
    """A webhook's configuration is refused, or a request to it can be made or is refused."""
    import httpx

    from textmod_console import settings
    from textmod_console.errors import ConfigurationError

    text = data.decode(errors="replace")
    with contextlib.suppress(ConfigurationError):
        found = settings.load({"TEXTMOD_CONSOLE_WEBHOOKS": text})
        for hook in found.console_webhooks:
            assert "/" not in hook.name, "it names a folder"
            with contextlib.suppress(httpx.InvalidURL), httpx.Client() as client:
                request = client.build_request("POST", hook.url, content=b"")
                assert request.url.scheme in {"http", "https"}
                assert not request.url.userinfo


@target
def webhook_secret(data: bytes) -> None:
    """A Secret makes keys, or a sentence that does not repeat it."""
    from textmod_console.errors import ConfigurationError
    from textmod_console.record import signing

    first, rest = split(data)
    text = first.decode(errors="replace")
    try:
        keys = signing.keys(text)
    except ConfigurationError as error:
        assert len(text) < 8 or text not in str(error)
    else:
        head = signing.headers(rest.decode(errors="replace"), 0, rest, keys)
        assert all(value.isascii() and value.isprintable() for value in head.values())


@target
def policies_in_force(data: bytes) -> None:
    """A file of the operator's is read, or what was read last stays."""
    from textmod_console.policies import PolicyFile

    path = scratch() / "in-force.json"
    path.write_bytes(data)
    found = PolicyFile(path).read()
    if found is not None:
        found.threshold("removed")
        found.statement("rude")
