from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from objects import scaling_seen
from prometheus_client import REGISTRY, Metric
from prometheus_client.registry import Collector

from textmod_operator.serving.certificates import AUTHORITY, renewed
from textmod_operator.serving.metrics_api import (
    STALE_SECONDS,
    TrustedProxy,
    follow_front_proxy,
    health_app,
    metrics_app,
)
from textmod_operator.state import FrontProxy, LagReading, LagUnknown, ObjectKey, ScalingSeen

ROOT = "/apis/external.metrics.k8s.io/v1beta1"
METRIC = f"{ROOT}/namespaces/reddit/textmoderation_desired_replicas"
SELECTOR = "?labelSelector=textmoderation.dev%2Fname%3Dscience"


def asked(
    path: str, seen: ScalingSeen | None = None, front_proxy: FrontProxy | None = None
) -> tuple[int, Any]:
    """(status, JSON) of a GET, when `seen` is known of reddit/science and of nothing else."""

    async def scenario() -> tuple[int, Any]:
        async def lookup(key: ObjectKey) -> ScalingSeen | None:
            return seen if key == ObjectKey("reddit", "science") else None

        server = TestServer(metrics_app(lookup, TrustedProxy(front_proxy)))
        async with TestClient(server) as client, client.get(path) as response:
            return response.status, await response.json()

    return asyncio.run(scenario())


def fresh(**changes: Any) -> ScalingSeen:
    return scaling_seen(reading=LagReading(time.time(), ()), **changes)


def test_discovery_lists_the_metric() -> None:
    code, answer = asked(ROOT)
    assert code == 200
    assert [entry["name"] for entry in answer["resources"]] == ["textmoderation_desired_replicas"]


def test_the_metric_is_the_number_of_replicas() -> None:
    code, answer = asked(METRIC + SELECTOR, fresh(desired=7))
    assert code == 200
    assert [item["value"] for item in answer["items"]] == ["7"]


def test_a_metric_is_never_made_up() -> None:
    unknown = scaling_seen(reading=LagUnknown(time.time(), "no broker answers"))
    stale = scaling_seen(reading=LagReading(time.time() - STALE_SECONDS - 1, ()))
    for seen, says in ((None, "not been read"), (unknown, "no broker"), (stale, "last read")):
        code, answer = asked(METRIC + SELECTOR, seen)
        assert (code, answer["kind"]) == (503, "Status")
        assert says in answer["message"]


def test_other_metrics_and_selectors_are_refused() -> None:
    assert asked(f"{ROOT}/namespaces/reddit/other{SELECTOR}", fresh())[0] == 404
    assert asked(METRIC, fresh())[0] == 400
    assert asked(METRIC + SELECTOR + "%2Cx%3Dy", fresh())[0] == 400


def test_only_the_front_proxy_is_answered() -> None:
    proxy = FrontProxy(authority("front-proxy"), ("front-proxy-client",))
    code, answer = asked(METRIC + SELECTOR, fresh(), proxy)
    assert (code, answer["reason"]) == (401, "Unauthorized")


def authority(host: str) -> str:
    """A new certificate authority, in PEM."""
    return renewed({}, host, datetime.now(UTC))[AUTHORITY].decode()


def test_a_new_authority_of_the_front_proxy_is_trusted_without_a_restart() -> None:
    old, new = (FrontProxy(authority(name), (name,)) for name in ("old", "new"))
    trusted = TrustedProxy(old)
    assert not trusted.update(old)
    assert trusted.update(new)
    assert trusted.known == new
    assert len(trusted.context.get_ca_certs()) == 2


def test_what_is_published_is_trusted_as_it_comes() -> None:
    old, new = (FrontProxy(authority(name), (name,)) for name in ("old", "new"))
    trusted = TrustedProxy(old)

    async def scenario() -> None:
        followers: list[Callable[[FrontProxy], None]] = []
        follow_front_proxy(trusted, followers.append)
        for published in (old, FrontProxy("no PEM", ()), new):
            followers[0](published)
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert trusted.known == new


def test_a_front_proxy_that_is_no_longer_published_opens_nothing() -> None:
    known = FrontProxy(authority("proxy"), ())
    trusted = TrustedProxy(known)
    assert not trusted.update(None)
    assert trusted.known == known


def test_a_broken_authority_leaves_the_last_one() -> None:
    known = FrontProxy(authority("proxy"), ())
    trusted = TrustedProxy(known)
    with pytest.raises(ssl.SSLError):
        trusted.update(FrontProxy("no PEM", ()))
    assert trusted.known == known


def health(
    path: str, seen: ScalingSeen | None, *, ready: bool = True
) -> tuple[int, dict[str, object]]:
    """Status and JSON of one request to the health port; {} where the answer is none."""

    async def scenario() -> tuple[int, dict[str, object]]:
        async def lookup(_: ObjectKey) -> ScalingSeen | None:
            return seen

        app = health_app(lambda: True, lambda: ready, lookup)
        async with TestClient(TestServer(app)) as client:
            answer = await client.get(path)
            json = answer.content_type == "application/json"
            return answer.status, await answer.json() if json else {}

    return asyncio.run(scenario())


def test_health_tells_what_the_controller_says() -> None:
    codes = [health(path, None, ready=False)[0] for path in ("/healthz", "/readyz", "/metrics")]
    assert codes == [200, 503, 200]


def test_health_answers_while_the_metrics_of_many_objects_are_collected() -> None:
    collecting, asked_meanwhile = threading.Event(), threading.Event()
    answered: list[bool] = []

    class ManyObjects(Collector):
        def describe(self) -> list[Metric]:
            return []

        def collect(self) -> Iterator[Metric]:
            collecting.set()
            answered.append(asked_meanwhile.wait(10))
            yield from ()

    def alive() -> bool:
        if collecting.is_set():
            asked_meanwhile.set()
        return True

    async def lookup(_: ObjectKey) -> None:
        return None

    async def scenario() -> None:
        app = health_app(alive, lambda: True, lookup)
        async with TestClient(TestServer(app)) as client:
            metrics = asyncio.create_task(client.get("/metrics"))
            while not answered and not metrics.done():
                assert (await client.get("/healthz")).status == 200
            assert (await metrics).status == 200

    many = ManyObjects()
    REGISTRY.register(many)
    try:
        asyncio.run(scenario())
    finally:
        REGISTRY.unregister(many)
    assert answered == [True]


def test_keda_gets_the_same_number_or_none() -> None:
    path = "/keda/v1/namespaces/reddit/textmoderations/science"
    assert health(path, fresh(desired=7)) == (200, {"desiredReplicas": 7})
    stale = scaling_seen(reading=LagReading(time.time() - STALE_SECONDS - 1, ()))
    for seen in (None, stale, scaling_seen(reading=LagUnknown(time.time(), "no broker answers"))):
        assert health(path, seen)[0] == 503
