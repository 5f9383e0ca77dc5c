"""The review console on a real cluster: made, used with real tokens and real RBAC, and removed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from live import Kubectl, WaitFor, condition, produce, topics

from textmod_dev.local_cluster import LocalCluster

pytestmark = pytest.mark.integration

EVERYTHING = {"sample": 1.0}
"""Every text is reviewed."""


def review(prefix: str, **console: object) -> dict[str, object]:
    names = {role: {"name": f"{prefix}-{role}"} for role in ("review", "feedback")}
    return {"review": {**EVERYTHING, "topics": names, "console": console}}


def address(kubectl: Kubectl, name: str = "science") -> str:
    return kubectl(
        "get",
        "pods",
        "-l",
        f"textmoderation.dev/console={name}",
        "-o=jsonpath={.items[0].status.podIP}",
    )


def token(kubectl: Kubectl, account: str, *roles: str) -> str:
    """A token of a new ServiceAccount that has these ClusterRoles in the namespace."""
    kubectl("create", "serviceaccount", account)
    namespace = kubectl("get", "serviceaccount", account, "-o=jsonpath={.metadata.namespace}")
    for role in roles:
        kubectl(
            "create", "rolebinding", f"{account}-{role}", f"--clusterrole={role}",
            f"--serviceaccount={namespace}:{account}",
        )  # fmt: skip
    return kubectl("create", "token", account).strip()


def asked(address: str, path: str, token: str | None, body: object = None) -> httpx.Response:
    """One request of the JSON API: a GET, or a POST of a body."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    method = "GET" if body is None else "POST"
    return httpx.request(
        method, f"http://{address}:8080{path}", headers=headers, json=body, timeout=10
    )


STAND_IN = """
import http.server, os

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if self.path == "/readyz" and "{mode}" == "blind" else 200)
        self.end_headers()

address = (os.environ["TEXTMOD_CONSOLE_BIND_ADDRESS"], 8081)
http.server.ThreadingHTTPServer(address, Answer).serve_forever()
"""
"""A console as the operator sees it: the answers to its probes."""


@pytest.fixture
def stand_in(operator: LocalCluster) -> Callable[[str], dict[str, object]]:
    """``stand_in(mode)`` is the part of a spec that names an image which serves or is blind."""

    def image(mode: str) -> dict[str, object]:
        name = f"example/console:{mode}"
        operator.images.set(name, [sys.executable, "-c", STAND_IN.replace("{mode}", mode)])
        return {"image": name}

    return image


def decision_in(cluster: LocalCluster, topic: str) -> tuple[dict[str, Any], str]:
    """The first decision of a topic, which holds the audit too, and all that was read up to it."""
    reader = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "group.id": "none",
            "enable.auto.commit": False,
        }
    )
    reader.assign([TopicPartition(topic, 0, 0)])
    read = ""
    try:
        for _ in range(300):
            message = reader.poll(0.1)
            if message is None or message.error() is not None:
                continue
            read += (message.value() or b"").decode()
            if dict(message.headers() or ())["ce_type"] == b"dev.textmoderation.decision.v1":
                return json.loads(message.value()), read
    finally:
        reader.close()
    pytest.fail(f"no decision in {topic}, but {read}")


@pytest.fixture
def console(
    kubectl: Kubectl, ready: Callable[..., None], topic_prefix: str, wait_for: WaitFor
) -> str:
    """Address of the pod of a console that serves."""
    ready(review(topic_prefix))
    wait_for(lambda: condition(kubectl, "ReviewReady").get("status") == "True", 60, "a console")
    return address(kubectl)


def test_a_console_is_made_used_and_removed(
    operator: LocalCluster,
    console: str,
    kubectl: Kubectl,
    manifest: Callable[..., str],
    admin: AdminClient,
    topic_prefix: str,
    wait_for: WaitFor,
) -> None:
    there = topics(admin, topic_prefix)
    assert (there[f"{topic_prefix}-review"], there[f"{topic_prefix}-feedback"]) == (3, 1)
    body = json.loads(kubectl("get", "tm", "science", "-o", "json"))
    assert body["status"]["console"]["ready"] is True
    assert "science-console." in body["status"]["console"]["url"]
    subjects = json.loads(
        kubectl("get", "clusterrolebinding", "textmoderation-console", "-o", "json")
    )
    namespace = body["metadata"]["namespace"]
    assert {
        "kind": "ServiceAccount",
        "namespace": namespace,
        "name": "science-console",
    } in subjects["subjects"]

    reviewer = token(kubectl, "rita", "textmoderation-reviewer")
    stranger = token(kubectl, "sam")
    assert asked(console, "/api/next", None).status_code == 401
    assert asked(console, "/api/next", stranger).status_code == 403
    produce(operator, f"{topic_prefix}-input", [b'{"body": "a text to look at"}'])
    card: dict[str, Any] = {}

    def next_card() -> bool:
        answer = asked(console, "/api/next", reviewer)
        assert answer.status_code in (200, 204), answer.text
        card.update(answer.json() if answer.status_code == 200 else {})
        return bool(card)

    wait_for(next_card, 30, "the text is a card")
    assert card["text"] == "a text to look at"
    path = f"/api/items/{card['item']}/decision"
    answer = {"decision": "Remove", "version": card["version"]}
    assert asked(console, path, stranger, answer).status_code == 403
    assert asked(console, path, reviewer, answer).status_code == 200
    event, texts = decision_in(operator, f"{topic_prefix}-feedback")
    assert (event["item"], event["decision"]) == (card["item"], "Remove")
    assert event["actor"] == f"system:serviceaccount:{namespace}:rita"
    assert event["selection"]["probability"] == 1.0
    assert "a text to look at" not in texts

    kubectl("apply", "-f", "-", stdin=manifest())
    kinds = "statefulset,service,serviceaccount,networkpolicy"
    wait_for(
        lambda: not kubectl("get", kinds, "science-console", "--ignore-not-found", "-o", "name"),
        60,
        "the console is removed",
    )
    wait_for(lambda: not condition(kubectl, "ReviewReady"), 10, "and its condition")
    left = kubectl("get", "clusterrolebinding", "textmoderation-console", "-o", "json")
    assert namespace not in left
    assert kubectl("get", "pvc", "data-science-console-0", "-o=jsonpath={.status.phase}") == "Bound"
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=30s")


def test_what_keeps_a_console_from_serving_is_told(
    operator: LocalCluster,
    kubectl: Kubectl,
    manifest: Callable[..., str],
    ready: Callable[..., None],
    stand_in: Callable[[str], dict[str, object]],
    topic_prefix: str,
    wait_for: WaitFor,
) -> None:
    def told(reason: str) -> None:
        wait_for(lambda: condition(kubectl, "ReviewReady").get("reason") == reason, 60, reason)

    database = {"database": {"secretRef": {"name": "review-database"}}}
    ready(review(topic_prefix, **database, **stand_in("blind")))
    told("DatabaseNotFound")
    url = "postgresql://review:none@127.0.0.1:9/review"
    kubectl("create", "secret", "generic", "review-database", f"--from-literal=url={url}")
    told("ConsoleUnavailable")
    kubectl("apply", "-f", "-", stdin=manifest(review(topic_prefix, image="nowhere/console:1")))
    told("ImageUnavailable")
    kubectl("delete", "clusterrolebinding", "textmoderation-console")
    try:
        kubectl("apply", "-f", "-", stdin=manifest(review(topic_prefix, enabled=False)))
        told("WithoutConsole")
        seen = review(topic_prefix, **stand_in("serving"))
        kubectl("apply", "-f", "-", stdin=manifest(seen))
        told("NotAuthorized")
    finally:
        kubectl(
            "create", "clusterrolebinding", "textmoderation-console",
            "--clusterrole=textmoderation-console",
        )  # fmt: skip
    told("Serving")
    assert condition(kubectl, "Ready")["status"] == "True"
