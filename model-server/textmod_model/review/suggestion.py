"""`decision.v1` of a score that a client of Perspective's protocol suggests. Pure.

A suggestion is a person's judgement that another system passes on. How that system chose the text
is unknown, so the decision is of the kind Import, which counts in no estimate.
"""

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version as installed_version
from typing import Final

from textmod_model.formats.message import Headers
from textmod_model.formats.moment import timestamp
from textmod_model.formats.payload import dumps
from textmod_model.review.event import EventHeaders

EVENT_TYPE: Final = b"dev.textmoderation.decision.v1"

APPROVED: Final = frozenset({"APPROVED"})
DELETED: Final = frozenset({"DELETED", "REJECTED"})
"""Coral sends these as attributes: the moderators' status of the comment, with the value 1."""
LIMIT: Final = 0.5
"""A label's share from which on the text is to be removed."""
LONGEST_TOKEN: Final = 256
"""Characters of a client's token or community that are kept."""

_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A client's scores of a text."""

    text: str
    scores: Mapping[str, float]
    """By Perspective's attribute, from 0 to 1."""
    token: str | None = None
    community: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A suggestion as scores of the model's labels."""

    decision: str
    labels: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Origin:
    """The fields that all suggestions of a server share."""

    source: str
    """The `ce_source`."""
    input_topic: str
    model: str
    """Digest of the model."""
    attributes: Mapping[str, str]
    """Perspective's attribute to the model's label."""
    first_label: str
    trusted: bool = False
    """Whether callers present a key: only theirs may name an item of the queue."""


def judged(suggestion: Suggestion, origin: Origin) -> Judged | None:
    """Return the labels that the scores name; None if the model has none of them."""
    labels: dict[str, float] = {}
    for name, value in suggestion.scores.items():
        if (label := origin.attributes.get(name)) is not None:
            labels[label] = max(value, labels.get(label, 0.0))
    if not labels:
        statuses = {name for name, value in suggestion.scores.items() if value >= LIMIT}
        if statuses & DELETED:
            labels = {origin.first_label: 1.0}
        elif statuses & APPROVED:
            labels = {origin.first_label: 0.0}
    if not labels:
        return None
    removes = any(value >= LIMIT for value in labels.values())
    return Judged("Remove" if removes else "Approve", labels)


def item_of(suggestion: Suggestion, origin: Origin, digest: str) -> str:
    """Return the item that the decision is about.

    The verdict's `ce_id`, if a trusted caller gives it for its token; else the token under a name
    that no verdict has, so that decisions about one comment are about one item; else the text.

    Args:
        digest: SHA-256 of the text, in hexadecimal.
    """
    token = (suggestion.token or "")[:LONGEST_TOKEN]
    verdict = rf"{re.escape(origin.input_topic)}/\d+/\d+(#\d+)?"
    if origin.trusted and origin.input_topic and re.fullmatch(verdict, token, re.ASCII):
        return token
    if token and not _UNPRINTABLE.search(token):
        return f"perspective:{token}"  # no topic has a colon in its name, so no verdict has this
    return f"perspective:sha256:{digest}"


def event(
    suggestion: Suggestion, found: Judged, origin: Origin, now: float
) -> tuple[bytes, bytes, Headers]:
    """Return key, value and headers of the decision; no part of the text.

    Args:
        now: epoch seconds.
    """
    digest = hashlib.sha256(suggestion.text.encode("utf-8", "replace")).hexdigest()
    item = item_of(suggestion, origin, digest)
    community = _UNPRINTABLE.sub("?", (suggestion.community or "")[:LONGEST_TOKEN])
    name = str(uuid.uuid4())
    fields = {
        "id": name,
        "item": item,
        "decision": found.decision,
        "labels": dict(found.labels),
        "actor": f"perspective/{community}" if community else "perspective",
        "actorKind": "Import",
        "tool": {"name": "textmod-model", "version": _version()},
        "model": origin.model,
        "textSha256": digest,
        "at": timestamp(now),
    }
    headers = EventHeaders(origin.source, EVENT_TYPE)
    return item.encode(), dumps(fields), headers.of(name, headers.for_batch(now))


@cache
def _version() -> str:
    return installed_version("textmoderation")
