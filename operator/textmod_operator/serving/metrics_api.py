"""What the operator serves: external.metrics.k8s.io for the HPA, and its own health and metrics.

The first is HTTPS and answers only the API server's front proxy, which proves itself by its client
certificate (Kubernetes' "authenticating proxy" protocol). kube-apiserver has authorized the request
before it passes it on. Neither ever answers with a figure that is not known to be true now: the HPA
looks at no timestamp, so the answer to a stale lag is an error, and the HPA holds.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from textmod_operator import metrics as figures
from textmod_operator import naming
from textmod_operator.clock import steady_now
from textmod_operator.errors import ClusterError
from textmod_operator.serving.certificates import CertificateSource, KeyPair
from textmod_operator.state import FrontProxy, LagUnknown, Manifest, ObjectKey, ScalingSeen

GROUP: Final = "external.metrics.k8s.io"
VERSION: Final = "v1beta1"
ROOT: Final = f"/apis/{GROUP}/{VERSION}"
STALE_SECONDS: Final = 30.0
"""A lag older than this is unknown."""

Lookup = Callable[[ObjectKey], Awaitable[ScalingSeen | None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


logger = logging.getLogger(__name__)


class TrustedProxy:
    """The API server's front proxy, as it was last published.

    Authorities that are no longer published stay trusted until the process ends: Python can add to
    a context in use, and not take away. Once there was one, none is not believed: the API never
    opens to everybody by itself.

    Args:
        known: None: the cluster has published none.
    """

    def __init__(self, known: FrontProxy | None) -> None:
        self.known = known
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        """TLS for the metrics API, at first without a certificate of its own."""
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        if known is not None:
            self._trust(known)

    def update(self, published: FrontProxy | None) -> bool:
        """Trust what is published now; whether that is new. New connections feel it.

        Raises:
            ssl.SSLError: it is not PEM.
        """
        if published is None or published == self.known:
            return False
        self._trust(published)
        self.known = published
        return True

    def _trust(self, front_proxy: FrontProxy) -> None:
        self.context.load_verify_locations(cadata=front_proxy.ca_pem)
        self.context.verify_mode = ssl.CERT_OPTIONAL


def follow_front_proxy(
    trusted: TrustedProxy, follow: Callable[[Callable[[FrontProxy], None]], None]
) -> None:
    """Trust what is published from now on; call it on the running loop.

    Args:
        follow: calls, in any thread, with every front proxy that is published.
    """
    loop = asyncio.get_running_loop()

    def trust(published: FrontProxy) -> None:
        try:
            if trusted.update(published):
                logger.info("the API server's front proxy has a new certificate authority")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            logger.warning("read the front proxy: %s; keeping the last one", error)

    def publish(published: FrontProxy) -> None:
        loop.call_soon_threadsafe(trust, published)

    follow(publish)


async def follow_certificate(
    context: ssl.SSLContext, source: CertificateSource, interval: float
) -> None:
    """Puts the source's certificate into the context, and goes on to do so in the background.

    New connections get the new one; open ones stay. A look that fails leaves the last in place.

    Args:
        interval: seconds between two looks.

    Raises:
        ClusterError, OSError: the first look failed.
    """

    async def look() -> None:
        pair = await asyncio.to_thread(source.look, datetime.now(UTC))
        if pair is not None:
            _load(context, pair)
            figures.CERTIFICATE_EXPIRY.set(pair.expiry.timestamp())
            logger.info("serving a certificate that is good until %s", pair.expiry.isoformat())

    async def go_on() -> None:
        while True:
            await asyncio.sleep(interval)
            try:
                await look()
            except (ClusterError, OSError, ValueError) as error:  # ssl.SSLError is an OSError
                logger.warning("looking at the certificate failed, the last one stays: %s", error)

    await look()
    _background.add(asyncio.create_task(go_on()))


_background: set[asyncio.Task[None]] = set()
"""asyncio itself keeps no task alive."""


def _load(context: ssl.SSLContext, pair: KeyPair) -> None:
    # Python reads a certificate only from a file: one of ours alone, for a moment.
    with tempfile.NamedTemporaryFile(suffix=".pem") as both:
        both.write(pair.key + b"\n" + pair.certificate)
        both.flush()
        context.load_cert_chain(both.name)


def metrics_app(lookup: Lookup, trusted: TrustedProxy) -> web.Application:
    """The external metrics API as an aiohttp application.

    Args:
        lookup: the last decision about a TextModeration.
        trusted: who may ask; a cluster without a front proxy lets everybody in.
    """

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if trusted.known is not None and not _is_front_proxy(request, trusted.known):
            return _failure(401, "Unauthorized", "only the API server's front proxy is answered")
        return await handler(request)

    async def group(_: web.Request) -> web.Response:
        version = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
        return web.json_response(
            {
                "kind": "APIGroup",
                "apiVersion": "v1",
                "name": GROUP,
                "versions": [version],
                "preferredVersion": version,
            }
        )

    async def resources(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{GROUP}/{VERSION}",
                "resources": [
                    {
                        "name": naming.METRIC,
                        "singularName": "",
                        "namespaced": True,
                        "kind": "ExternalMetricValueList",
                        "verbs": ["get"],
                    }
                ],
            }
        )

    async def metric(request: web.Request) -> web.Response:
        name = request.match_info["metric"]
        if name != naming.METRIC:
            return _failure(404, "NotFound", f"no metric {name}: this API serves {naming.METRIC}")
        wanted = _selected_name(request.query.get("labelSelector", ""))
        if wanted is None:
            return _failure(400, "BadRequest", f"labelSelector must be {naming.NAME_LABEL}=<name>")
        key = ObjectKey(request.match_info["namespace"], wanted)
        return _answer(key, await lookup(key), steady_now())

    app = web.Application(middlewares=[authenticate])
    app.router.add_get(f"/apis/{GROUP}", group)
    app.router.add_get(ROOT, resources)
    app.router.add_get(ROOT + "/namespaces/{namespace}/{metric}", metric)
    return app


def health_app(
    alive: Callable[[], bool], ready: Callable[[], bool], lookup: Lookup
) -> web.Application:
    """/healthz, /readyz, /metrics and what KEDA's metrics-api trigger asks, in plain HTTP.

    Args:
        alive: whether the process should go on living.
        ready: whether it can do its work.
        lookup: the last decision about a TextModeration.
    """

    def probe(check: Callable[[], bool]) -> Handler:
        async def answer(_: web.Request) -> web.StreamResponse:
            fine = check()
            return web.Response(status=200 if fine else 503, text="ok\n" if fine else "not ok\n")

        return answer

    async def metrics(_: web.Request) -> web.Response:
        # In a thread: the figures of 1,000 objects take longer than a probe of /healthz may wait.
        body = await asyncio.to_thread(generate_latest, REGISTRY)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def keda(request: web.Request) -> web.Response:
        key = ObjectKey(request.match_info["namespace"], request.match_info["name"])
        seen = await lookup(key)
        if (why := _not_known(key, seen, steady_now())) is not None or seen is None:
            return _failure(503, "ServiceUnavailable", why or "")
        return web.json_response({naming.KEDA_VALUE: seen.desired})

    app = web.Application()
    app.router.add_get(naming.KEDA_PATH, keda)
    app.router.add_get("/healthz", probe(alive))
    app.router.add_get("/readyz", probe(ready))
    app.router.add_get("/metrics", metrics)
    return app


async def serve(
    app: web.Application, address: str, port: int, context: ssl.SSLContext | None = None
) -> None:
    """Starts an application on the running loop, with TLS when there is a context.

    Raises:
        OSError: the port is taken.
    """
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, port, ssl_context=context).start()


def _is_front_proxy(request: web.Request, front_proxy: FrontProxy) -> bool:
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    if not certificate:
        return False
    names = {
        value
        for part in certificate.get("subject", ())
        for field, value in part
        if field == "commonName"
    }
    return not front_proxy.names or bool(names & set(front_proxy.names))


def _selected_name(selector: str) -> str | None:
    """The TextModeration that `textmoderation.dev/name=science` selects; None for anything else."""
    label, equals, name = selector.partition("=")
    if label != naming.NAME_LABEL or not equals or not name or "," in name:
        return None
    return name


def _not_known(key: ObjectKey, seen: ScalingSeen | None, now: float) -> str | None:
    """Why there is no figure that is known to be true now; None when there is one."""
    if seen is None:
        return f"the lag of {key} has not been read yet"
    if isinstance(seen.reading, LagUnknown):
        return f"the lag of {key}: {seen.reading.why}"
    age = now - seen.reading.at
    if age > STALE_SECONDS:
        return f"the lag of {key} was last read {age:.0f} s ago"
    return None


def _answer(key: ObjectKey, seen: ScalingSeen | None, now: float) -> web.Response:
    if (why := _not_known(key, seen, now)) is not None or seen is None:
        return _failure(503, "ServiceUnavailable", why or "")
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seen.reading.at))
    return web.json_response(
        {
            "kind": "ExternalMetricValueList",
            "apiVersion": f"{GROUP}/{VERSION}",
            "metadata": {},
            "items": [
                {
                    "metricName": naming.METRIC,
                    "metricLabels": {naming.NAME_LABEL: key.name},
                    "timestamp": stamp,
                    "value": str(seen.desired),
                }
            ],
        }
    )


def _failure(code: int, reason: str, message: str) -> web.Response:
    """An error in the API's own form (metav1.Status), as kubectl and the HPA print it."""
    body: Manifest = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return web.json_response(body, status=code)
