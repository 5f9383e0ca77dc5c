"""`/quality` and `/evidence`: what was measured, as the operator reads it. Figures only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from textmod_console.errors import RecordError
from textmod_console.measurement import WIDTH, Estimate, Evidence, Quality
from textmod_console.store.measuring import Figures


def routes(measure: Callable[[], Figures]) -> list[Route]:
    """Return the routes of the internal port.

    Args:
        measure: blocks while the database is read; raises RecordError.
    """

    async def answer(document: Callable[[Figures], dict[str, Any]]) -> JSONResponse:
        try:
            return JSONResponse(document(await run_in_threadpool(measure)))
        except RecordError as error:
            return JSONResponse({"error": str(error)}, status_code=503)

    async def quality(_: Request) -> JSONResponse:
        return await answer(lambda found: quality_document(found.quality))

    async def evidence(_: Request) -> JSONResponse:
        return await answer(lambda found: evidence_document(found.model, found.evidence))

    return [Route("/quality", quality), Route("/evidence", evidence)]


def quality_document(found: Quality) -> dict[str, Any]:
    """Return `status.quality` of the object; what is unknown is left out."""
    return _known(
        {
            "window": {"from": _moment(found.since), "to": _moment(found.until)},
            "precision": _estimate(found.precision),
            "recall": _estimate(found.recall),
            "reviewedPerDay": round(found.reviewed_per_day, 1),
            "agreement": _share(found.agreement),
            "policies": [
                {
                    "name": name,
                    "precision": _estimate(one.precision),
                    "recall": _estimate(one.recall),
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
