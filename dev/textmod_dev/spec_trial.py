"""Applies generated specs to a cluster with a running operator, and measures each answer.

An object is answered once its status, and all seven conditions in it, are of its generation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from textmod_dev.generated_specs import Json, SpecGenerator
from textmod_dev.kube_client import ApiError, KubeClient

CONDITIONS: Final = frozenset(
    {
        "Accepted",
        "TopicsReady",
        "WorkloadReady",
        "AutoscalingReady",
        "Ready",
        "Reconciling",
        "Stalled",
    }
)
"""Those of every object; policies and review add theirs."""
NOT_FOUND: Final = 404
AT_ONCE: Final = 6
"""Objects that wait for their answer at the same time."""
POLL_SECONDS: Final = 0.1
GIVE_UP_SECONDS: Final = 60.0
MOST_REFUSED: Final = 10
"""Refused specs for each that is wanted, before a trial ends short of them."""
EDITED_SHARE: Final = 2
"""Every so many-th object is changed to another generated spec before it is deleted."""


@dataclass
class Trial:
    """What came of it. Times are seconds."""

    specs: int = 0
    """Specs that the API server admitted."""
    refused: int = 0
    """Specs that it did not admit: nothing to answer."""
    unanswered: list[Json] = field(default_factory=list)
    """Admitted objects without conditions of their generation after GIVE_UP_SECONDS."""
    seconds: list[float] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    """Ready's reason → how many objects."""
    internal_errors: list[str] = field(default_factory=list)


async def try_specs(
    kubeconfig: Path, generator: SpecGenerator, wanted: int, namespace: str, prefix: str
) -> Trial:
    """Apply generated specs until `wanted` of them were admitted.

    Args:
        namespace: is there; what is made in it is deleted again.
        prefix: of the objects' names.
    """
    trial = Trial()
    bodies = generator.bodies(prefix)
    async with KubeClient(kubeconfig) as client:
        path = f"/apis/textmoderation.dev/v1alpha1/namespaces/{namespace}/textmoderations"
        await asyncio.gather(
            *(
                _work(client, bodies, generator, trial, at=f"{path}/{prefix}-{n}", until=wanted)
                for n in range(AT_ONCE)
            )
        )
    return trial


async def _work(
    client: KubeClient,
    bodies: Iterator[Json],
    generator: SpecGenerator,
    trial: Trial,
    *,
    at: str,
    until: int,
) -> None:
    """One object after the other, under one name: topics are used again, and a broker has room."""
    while trial.specs < until and trial.refused < MOST_REFUSED * until:
        body = next(bodies)
        body["metadata"]["name"] = at.rpartition("/")[2]
        if not await _admitted(client, at, body, trial):
            continue
        await _answer(client, at, body, trial)
        if trial.specs % EDITED_SHARE == 0 and trial.specs < until:
            changed = {**body, "spec": generator.spec()}
            if await _admitted(client, at, changed, trial):
                await _answer(client, at, changed, trial)
        await _delete(client, at)


async def _admitted(client: KubeClient, at: str, body: Json, trial: Trial) -> bool:
    """By server-side apply, which keeps nulls and lets unknown fields be dropped."""
    try:
        await client.patch(
            at, body, "apply", fieldManager="specs", force="true", fieldValidation="Ignore"
        )
    except ApiError:
        trial.refused += 1
        return False
    trial.specs += 1
    return True


async def _answer(client: KubeClient, at: str, body: Json, trial: Trial) -> None:
    start = time.monotonic()
    while (taken := time.monotonic() - start) < GIVE_UP_SECONDS:
        live = await client.get(at)
        if _is_answered(live):
            trial.seconds.append(taken)
            _count(live, trial)
            return
        await asyncio.sleep(POLL_SECONDS)
    trial.unanswered.append(body)


def _is_answered(live: Json) -> bool:
    status: dict[str, Any] = live.get("status", {})
    generation = live["metadata"]["generation"]
    conditions = status.get("conditions", ())
    return (
        status.get("observedGeneration") == generation
        and {item["type"] for item in conditions} >= CONDITIONS
        and all(item["observedGeneration"] == generation for item in conditions)
    )


def _count(live: Json, trial: Trial) -> None:
    (ready,) = (item for item in live["status"]["conditions"] if item["type"] == "Ready")
    reason = ready["reason"]
    trial.reasons[reason] = trial.reasons.get(reason, 0) + 1
    if reason == "InternalError":
        trial.internal_errors.append(f"{live['metadata']['name']}: {ready['message']}")


async def _delete(client: KubeClient, at: str) -> None:
    """Delete an object and wait until it is gone. A finalizer would wait for Kafka."""
    retain = {"spec": {"topics": {"deletionPolicy": "Retain"}}}
    start = time.monotonic()
    try:
        await client.delete(at)
        await client.patch(at, retain)
        while time.monotonic() - start < GIVE_UP_SECONDS:
            await client.get(at)
            await asyncio.sleep(POLL_SECONDS)
    except ApiError as error:
        if error.status != NOT_FOUND:
            raise
