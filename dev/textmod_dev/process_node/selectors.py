"""Label selectors as the API takes them in a query: ``a=b,c!=d,e in (f,g),!h``. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Labels = Mapping[str, str]

_SET = re.compile(r"^(\S+)\s+(in|notin)\s+\(([^)]*)\)$")


def selector(text: str) -> Callable[[Labels], bool]:
    """A predicate on labels; the empty selector takes everything."""
    # A comma inside parentheses belongs to a set, not between two requirements.
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]
    requirements = [_requirement(part) for part in parts]
    return lambda labels: all(holds(labels) for holds in requirements)


def _requirement(text: str) -> Callable[[Labels], bool]:
    if match := _SET.match(text):
        key, operator, listed = match[1], match[2], {v.strip() for v in match[3].split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in listed
        return lambda labels: labels.get(key) not in listed
    if "!=" in text:
        key, value = (part.strip() for part in text.split("!=", 1))
        return lambda labels: labels.get(key) != value
    if "=" in text:
        key, value = (part.strip() for part in text.replace("==", "=").split("=", 1))
        return lambda labels: labels.get(key) == value
    if text.startswith("!"):
        return lambda labels: text[1:].strip() not in labels
    return lambda labels: text in labels
