"""`/quality` and `/evidence`: the measured figures, as the operator reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from textmod_console.measurement import WIDTH, Estimate, Evidence, Quality
from textmod_console.store.measuring import Figures


def documents(measure: Callable[[], Figures]) -> dict[str, Callable[[], object]]:
    """Return what the internal port answers, by path.

    Args:
        measure: reads the database; raises RecordError.
    """

    def evidence() -> object:
        found = measure()
        return evidence_document(found.model, found.evidence)

    return {"/quality": lambda: quality_document(measure().quality), "/evidence": evidence}


def quality_document(found: Quality) -> dict[str, Any]:
    """Return `status.quality` of the object; what is unknown is left out."""
    return _known(
        {
            "window": {"from": _moment(found.since), "to": _moment(found.until)},
            "precision": _estimate(found.precision),
            "recall": _estimate(found.recall),
            "reviewedPerDay": round(found.reviewed_per_day, 1),
            "agreement": _share(found.agreement),
            "estimator": found.estimator,
            "model": found.model,
            "policyVersions": found.policy_versions,
            "earlierModels": [
                {
                    "model": model,
                    "precision": _estimate(one.precision),
                    "recall": _estimate(one.recall),
                }
                for model, one in found.earlier.items()
            ],
            "policies": [
                {
                    "name": name,
                    "precision": _estimate(one.precision),
                    "recall": _estimate(one.recall),
                    "actions": [
                        {"action": action, "precision": _estimate(estimate)}
                        for action, estimate in sorted(one.actions.items())
                    ],
                }
                for name, one in sorted(found.policies.items())
            ],
            "reason": found.reason,
        }
    )


def evidence_document(model: str | None, by_label: Mapping[str, Evidence]) -> dict[str, Any]:
    """Return the labelled texts by score, for each label, of one model."""
    labels = {
        name: {
            "labels": one.labels,
            "effective": round(one.effective, 1),
            "bins": [
                {
                    "logit": bin_.logit,
                    "positive": round(bin_.positive, 3),
                    "negative": round(bin_.negative, 3),
                    "effective": round(bin_.effective, 3),
                }
                for bin_ in one.bins
            ],
        }
        for name, one in by_label.items()
    }
    return {"model": model, "width": WIDTH, "labels": labels}


def _estimate(one: Estimate) -> dict[str, Any]:
    return _known(
        {
            "value": _share(one.value),
            "low": _share(one.low),
            "high": _share(one.high),
            "labels": one.labels,
            "effective": round(one.effective, 1),
        }
    )


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _moment(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
