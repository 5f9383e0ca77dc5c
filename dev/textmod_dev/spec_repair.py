"""Takes out of a generated spec what the API server refused, so that the rest of it is tried.

The API server decides what is legal, and so no rule of the CRD is repeated here: a refusal names
the fields, or, for a rule over several of them, names them in its sentence.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

Json = dict[str, Any]

KEPT: Final = frozenset({"kafka", "model", "bootstrapServers", "image"})
"""Fields that a spec can't be without."""
_FIELD: Final = re.compile(r"[a-zA-Z]+(?:\.[a-zA-Z]+)+")


class Cause(NamedTuple):
    """One field that was refused, as in a Status' details, and why."""

    field: str
    message: str


class Place(NamedTuple):
    """Where a value stands: `holder[key]`."""

    holder: Any
    key: Any


def take_out(spec: Json, causes: Iterable[Cause], chance: random.Random) -> bool:
    """Take the refused parts out of a spec, in place; False when there was none to take."""
    # "<nil>": that rules over several fields were not looked at.
    found = [_take_one(spec, cause, chance) for cause in causes if cause.field != "<nil>"]
    return any(found)


def _take_one(spec: Json, cause: Cause, chance: random.Random) -> bool:
    whole = {"spec": spec}
    *_, place = [Place(whole, "spec"), *_along(whole, cause.field)]
    value = place.holder[place.key]
    if isinstance(value, dict) and value and not cause.message.startswith("Required value"):
        # A rule over several fields: one of those that it names, or else any.
        roots = (whole, spec, value)
        named = [one for root in roots for one in _named(root, cause.message)]
        named += [Place(value, word) for word in re.findall(r"\w+", cause.message) if word in value]
        inside = [Place(value, key) for key in value if key not in KEPT]
        choices = named or inside
    else:
        choices = [place]
    choices = [one for one in choices if one.key not in {"spec", *KEPT}]
    if not choices:
        return False
    chosen = chance.choice(choices)
    del chosen.holder[chosen.key]
    return True


def _named(root: Json, message: str) -> list[Place]:
    """The values that a rule's sentence names by their paths, as far as they are there."""
    places = []
    for path in _FIELD.findall(message):
        *_, place = [Place(None, None), *_along(root, path)]
        if path.endswith(f".{place.key}"):
            places.append(place)
    return places


def _along(root: Json, path: str) -> list[Place]:
    """The places on the way to a field, as far as there are values. A key with dots in it, such as
    that of a topic's setting, is one step."""
    here: Any = root
    places = []
    left = path.replace("[", ".").replace("]", "")
    while left:
        keys = list(here) if isinstance(here, dict) else [str(n) for n in range(_length(here))]
        fitting = [key for key in keys if left == key or left.startswith(f"{key}.")]
        if not fitting:
            break
        key = max(fitting, key=len)
        place = Place(here, key if isinstance(here, dict) else int(key))
        places.append(place)
        here, left = place.holder[place.key], left[len(key) + 1 :]
    return places


def _length(value: Any) -> int:  # noqa: ANN401 - any JSON value
    return len(value) if isinstance(value, list) else 0
