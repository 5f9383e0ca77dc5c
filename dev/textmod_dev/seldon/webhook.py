"""Seldon's validating webhook: what it refuses, and the HTTPS server that the API server asks.

While nobody serves it, the API server refuses every SeldonDeployment (``failurePolicy: Fail``), as
it does where Seldon's controller is down.
"""

from __future__ import annotations

import base64
import ssl
from pathlib import Path

from aiohttp import web

from textmod_dev.seldon.objects import Json, units

NAME = "v1.vseldondeployment.kb.io"
PATH = "/validate-machinelearning-seldon-io-v1-seldondeployment"
TOPICS = ("KAFKA_BROKER", "KAFKA_INPUT_TOPIC", "KAFKA_OUTPUT_TOPIC")


def refusal(sdep: Json) -> str | None:
    """Why the webhook refuses a SeldonDeployment; None when it does not."""
    for predictor in sdep["spec"]["predictors"]:
        if sdep["spec"].get("serverType") == "kafka":
            given = {entry["name"] for entry in predictor.get("svcOrchSpec", {}).get("env", ())}
            if missing := [name for name in TOPICS if name not in given]:
                return (
                    f"a kafka server needs {', '.join(missing)} in svcOrchSpec.env of predictor "
                    f"{predictor['name']}"
                )
        containers = {
            container["name"]
            for component in predictor.get("componentSpecs", ())
            for container in component.get("spec", {}).get("containers", ())
        }
        for unit in units(predictor["graph"]):
            if unit["name"] not in containers:
                return f"Can't find container for Predictive Unit {unit['name']}"
    return None


def review(asked: Json) -> Json:
    """The AdmissionReview that answers another."""
    why = refusal(asked["request"]["object"])
    response: Json = {"uid": asked["request"]["uid"], "allowed": why is None}
    if why is not None:
        response["status"] = {"message": why, "code": 403}
    return {"apiVersion": asked["apiVersion"], "kind": "AdmissionReview", "response": response}


def configuration(port: int, authority: Path) -> Json:
    """How the API server asks the webhook on this port of loopback."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "seldon-validating-webhook-configuration-seldon-system"},
        "webhooks": [
            {
                "name": NAME,
                "admissionReviewVersions": ["v1", "v1beta1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "clientConfig": {
                    "url": f"https://127.0.0.1:{port}{PATH}",
                    "caBundle": base64.b64encode(authority.read_bytes()).decode(),
                },
                "rules": [
                    {
                        "apiGroups": ["machinelearning.seldon.io"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["seldondeployments"],
                    }
                ],
            }
        ],
    }


async def serve(port: int, certificate: Path, key: Path) -> web.AppRunner:
    """Serve the webhook until the runner is cleaned up."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(review(await request.json()))

    application = web.Application(client_max_size=8 * 2**20)
    application.router.add_post(PATH, answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    return runner
