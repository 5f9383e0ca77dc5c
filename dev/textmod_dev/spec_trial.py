"""Applies generated specs to a cluster with a running operator, and measures each answer.

An object is answered once its status, and all seven conditions in it, are of its generation. A spec
that the API server refuses is applied again without the fields that it names, so that almost every
spec comes to be answered, and is as near to what is refused as it can be.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from textmod_dev.generated_specs import Json, SpecGenerator
from textmod_dev.kube_client import ApiError, KubeClient
from textmod_dev.spec_repair import Cause, take_out

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
NOT_FOUND, CONFLICT = 404, 409
AT_ONCE: Final = 6
"""Objects that wait for their answer at the same time."""
POLL_SECONDS: Final = 0.1
GIVE_UP_SECONDS: Final = 60.0
MOST_REPAIRS: Final = 30
"""How often a refused spec is applied again with less in it."""
EDITED_SHARE: Final = 2
"""Every so many-th object is changed to another generated spec before it is deleted."""
SECRET_KEYS: Final = (
    *("username", "password", "client-id", "client-secret", "key", "url", "secret"),
    *("tls.crt", "tls.key"),
)


@dataclass
class Trial:
    """What came of it. Times are seconds."""

    specs: int = 0
    """Specs that the API server admitted."""
    at_once: int = 0
    """Of them, as they were generated."""
    refused: int = 0
    """Specs of which the API server admitted nothing: nothing to answer."""
    accepted: int = 0
    """Answers with Accepted True: the operator had nothing against the spec either."""
    unanswered: list[Json] = field(default_factory=list)
    """Admitted objects without conditions of their generation after GIVE_UP_SECONDS."""
    seconds: list[float] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    """Ready's reason → how many objects."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Field that was taken out, or sentence without one → how often."""
    fields: set[str] = field(default_factory=set)
    """Fields of the schema that an admitted spec had."""
    invalid: dict[str, int] = field(default_factory=dict)
    """What the operator says of specs that it does not accept → how often."""
    internal_errors: list[str] = field(default_factory=list)


async def try_specs(
    kubeconfig: Path, generator: SpecGenerator, wanted: int, namespace: str, prefix: str
) -> Trial:
    """Apply generated specs until `wanted` of them were admitted.

    Args:
        namespace: is there; what is made in it is deleted again, and the topics too.
        prefix: of the objects' names.
    """
    trial = Trial()
    run = _Run(generator, trial, wanted, prefix)
    config = yaml.safe_load(kubeconfig.read_text())  # noqa: ASYNC240 - before anything is timed
    ca = config["clusters"][0]["cluster"]["certificate-authority-data"]
    async with KubeClient(kubeconfig) as client:
        await _make_secret(client, namespace, generator.secret, ca)
        path = f"/apis/textmoderation.dev/v1alpha1/namespaces/{namespace}/textmoderations"
        await asyncio.gather(*(run.work(client, path) for _ in range(AT_ONCE)))
    return trial


class _Run:
    """Applies one spec after the other, each as an object of its own name."""

    def __init__(self, generator: SpecGenerator, trial: Trial, wanted: int, prefix: str) -> None:
        self._generator = generator
        self._trial = trial
        self._wanted = wanted
        self._bodies: Iterator[Json] = generator.bodies(prefix)
        self._chance = random.Random(wanted)  # noqa: S311 - repeatable on purpose
        self._topics = AdminClient({"bootstrap.servers": generator.servers, "log_level": 0})

    async def work(self, client: KubeClient, path: str) -> None:
        trial = self._trial
        while trial.specs < self._wanted and trial.refused < self._wanted:
            body = next(self._bodies)
            at = f"{path}/{body['metadata']['name']}"
            if not await self._admitted(client, at, body):
                continue
            await self._answer(client, at, body)
            if trial.specs % EDITED_SHARE == 0 and trial.specs < self._wanted:
                changed = {**body, "spec": self._generator.edited(body["spec"])}
                if await self._admitted(client, at, changed):
                    await self._answer(client, at, changed)
            await self._delete(client, at)

    async def _admitted(self, client: KubeClient, at: str, body: Json) -> bool:
        """By server-side apply, which keeps nulls and lets unknown fields be dropped. What is
        refused is taken out of the body."""
        for repair in range(MOST_REPAIRS):
            try:
                await client.patch(
                    at, body, "apply", fieldManager="specs", force="true", fieldValidation="Ignore"
                )
            except ApiError as error:
                if error.status == CONFLICT:
                    continue
                causes = [Cause(*one) for one in error.causes] or [Cause("spec", str(error))]
                self._note(causes)
                if not take_out(body["spec"], causes, self._chance):
                    break
            else:
                self._trial.specs += 1
                self._trial.at_once += repair == 0
                self._trial.fields |= _paths(body["spec"])
                return True
        self._trial.refused += 1
        return False

    def _note(self, causes: list[Cause]) -> None:
        for name in {f"{cause.field}: {cause.message[:80]}" for cause in causes}:
            self._trial.refusals[name] = self._trial.refusals.get(name, 0) + 1

    async def _answer(self, client: KubeClient, at: str, body: Json) -> None:
        start = time.monotonic()
        while (taken := time.monotonic() - start) < GIVE_UP_SECONDS:
            live = await client.get(at)
            if _is_answered(live):
                self._trial.seconds.append(taken)
                _count(live, self._trial)
                return
            await asyncio.sleep(POLL_SECONDS)
        self._trial.unanswered.append(copy.deepcopy(body))

    async def _delete(self, client: KubeClient, at: str) -> None:
        """Delete an object and wait until it is gone, then its topics: a broker has not room for
        all. A finalizer would wait for Kafka."""
        retain = {"spec": {"topics": {"deletionPolicy": "Retain"}}}
        start = time.monotonic()
        topics: set[str] = set()
        try:
            await client.delete(at)
            await client.patch(at, retain)
            while time.monotonic() - start < GIVE_UP_SECONDS:
                live = await client.get(at)
                topics |= {one["name"] for one in live.get("status", {}).get("topics", ())}
                await asyncio.sleep(POLL_SECONDS)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
        for deleted in self._topics.delete_topics(sorted(topics)).values() if topics else ():
            with suppress(KafkaException):  # another object had it too
                await asyncio.wrap_future(deleted)


async def _make_secret(client: KubeClient, namespace: str, name: str, ca: str) -> None:
    """The Secret that most references lead to; `ca` is a certificate in Base64."""
    data = dict.fromkeys(SECRET_KEYS, base64.b64encode(b"something").decode())
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "data": {**data, "ca.crt": ca},
    }
    with suppress(ApiError):  # it is there
        await client.create(f"/api/v1/namespaces/{namespace}/secrets", body)


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
    conditions = {item["type"]: item for item in live["status"]["conditions"]}
    ready = conditions["Ready"]
    reason = ready["reason"]
    trial.accepted += conditions["Accepted"]["status"] == "True"
    if conditions["Accepted"]["reason"] == "InvalidSpec":
        why = conditions["Accepted"]["message"][:160]
        trial.invalid[why] = trial.invalid.get(why, 0) + 1
    trial.reasons[reason] = trial.reasons.get(reason, 0) + 1
    if reason == "InternalError":
        trial.internal_errors.append(f"{live['metadata']['name']}: {ready['message']}")


def _paths(value: Any, at: str = "spec") -> set[str]:  # noqa: ANN401 - any JSON value
    """The fields that a value has, without the numbers of list entries."""
    if isinstance(value, dict):
        below = [_paths(part, f"{at}.{name}") for name, part in value.items()]
    elif isinstance(value, list):
        below = [_paths(part, at) for part in value]
    else:
        below = []
    return {at}.union(*below)
