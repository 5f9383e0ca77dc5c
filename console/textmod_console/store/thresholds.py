"""Changes of thresholds, appended to the audit. The operator makes them by people's decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import select

from textmod_console.policies import InForce
from textmod_console.store import auditing
from textmod_console.store.engine import Database
from textmod_console.store.schema import audit

ACTOR: Final = "textmod-operator"
ACT: Final = "thresholds"


class ThresholdAudit:
    """Appends a record when the thresholds in force differ from the last record.

    For the leader alone, so that a change is recorded once; not thread-safe.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: list[dict[str, Any]] | None = None

    def note(self, found: InForce | None, now: datetime) -> bool:
        """Append the changes; return whether there are any. Raises RecordError."""
        if found is None or not found.policies:
            return False
        held = thresholds(found)
        if held == self._noted:
            return False
        if self._noted is None:
            self._noted = self._last()
        changed = differences(self._noted, held)
        if changed:
            detail = {"changed": changed, "version": found.version, "thresholds": held}
            with self._database.write() as connection:
                auditing.append(connection, now, ACTOR, ACT, detail=detail)
        self._noted = held
        return bool(changed)

    def _last(self) -> list[dict[str, Any]]:
        """Return the thresholds of the last record; empty where there is none."""
        query = select(audit.c.detail).where(audit.c.act == ACT, audit.c.actor == ACTOR)
        with self._database.read() as connection:
            last = connection.scalar(query.order_by(audit.c.number.desc()).limit(1))
        return list(orjson.loads(last)["thresholds"]) if last else []


def thresholds(found: InForce) -> list[dict[str, Any]]:
    """Return each rule's threshold and its source, as the audit holds them."""
    return [
        {
            "policy": policy.name,
            "rule": place,
            "action": rule.action,
            "threshold": rule.threshold,
            "source": rule.source,
        }
        for policy in found.policies
        for place, rule in enumerate(policy.rules, start=1)
    ]


def differences(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rules that are new, gone or have another threshold, source or action."""
    old = {(one["policy"], one["rule"]): one for one in before}
    new = {(one["policy"], one["rule"]): one for one in after}
    return [
        {
            "policy": key[0],
            "rule": key[1],
            "from": _said(old.get(key)),
            "to": _said(new.get(key)),
        }
        for key in [*new, *(key for key in old if key not in new)]
        if old.get(key) != new.get(key)
    ]


def _said(rule: dict[str, Any] | None) -> str:
    if rule is None:
        return "none"
    if rule["threshold"] is None:
        return f"{rule['action']} never"
    return f"{rule['action']} from {rule['threshold']:.4g} ({rule['source']})"
