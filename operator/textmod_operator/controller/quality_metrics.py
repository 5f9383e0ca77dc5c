"""Metrics of measured quality, read from the statuses. Pure, but for a log line."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Final

from textmod_operator.conditions import promises
from textmod_operator.metrics import QualityFigure
from textmod_operator.state import Manifest, ObjectKey

logger = logging.getLogger(__name__)

_SILENT: Final = frozenset({"ConsoleUnavailable", "NoConsole"})
_ACTIONS: Final = frozenset({"Review", "Remove"})
_ENDS: Final = {"value": "", "low": "_low", "high": "_high"}


def figures_of_all(objects: Iterable[tuple[ObjectKey, Manifest]]) -> Iterator[QualityFigure]:
    """Yield the figures of many objects. One whose status can't be read, such as that of a newer
    operator before a rollback, has none and takes none from the others."""
    for key, body in objects:
        try:
            found = list(quality_figures(key, body))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("%s: read status.quality for the metrics: %s", key, type(error).__name__)
        else:
            yield from found


def quality_figures(key: ObjectKey, body: Manifest) -> Iterator[QualityFigure]:
    """Yield the figures of one object, each once; what is not known has none.

    A status names what a console reported: only policies that the spec has make series.

    Args:
        body: the object as last read.
    """
    seen: set[object] = set()
    for of, gauge, value in _figures(key, body):
        if (of, gauge) not in seen:
            seen.add((of, gauge))
            yield of, gauge, value


def _figures(key: ObjectKey, body: Manifest) -> Iterator[QualityFigure]:
    spec, status = body.get("spec") or {}, body.get("status") or {}
    if "review" not in spec:
        return
    quality = {} if _is_stale(status) else status.get("quality") or {}
    yield from _of(key, "", "", quality)
    known = {one["name"] for one in spec.get("policies") or ()}
    for policy in quality.get("policies") or ():
        if policy["name"] not in known:
            continue
        yield from _of(key, policy["name"], "", policy)
        for one in policy.get("actions") or ():
            if one["action"] in _ACTIONS:
                yield from _of(key, policy["name"], one["action"], one)
    for promise in promises(spec, quality):
        of = (key.namespace, key.name, promise.policy, promise.action)
        yield of, "textmoderation_promised_precision", promise.promised
        if promise.measured is not None and promise.measured.high is not None:
            yield of, "textmoderation_promise_high", promise.measured.high


def _is_stale(status: Manifest) -> bool:
    """Whether nothing was measured for long: the status names its window, a metric has none."""
    return any(
        one["type"] == "QualityKnown" and one["status"] == "Unknown" and one["reason"] in _SILENT
        for one in status.get("conditions") or ()
    )


def _of(key: ObjectKey, policy: str, action: str, found: Manifest) -> Iterator[QualityFigure]:
    of = (key.namespace, key.name, policy, action)
    for what in ("precision", "recall"):
        estimate = found.get(what) or {}
        for end, suffix in _ENDS.items():
            if end in estimate:
                yield of, f"textmoderation_quality_{what}{suffix}", estimate[end]
    if "labels" in (found.get("precision") or {}):
        yield of, "textmoderation_quality_labels", found["precision"]["labels"]
