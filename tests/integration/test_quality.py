"""Quality on a real cluster: people's decisions become figures in the status, and few do not.

The same decisions reach a webhook, and the counts of all texts reach the console.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Producer
from live import Kubectl, WaitFor, condition, consume, produce
from standardwebhooks import Webhook
from webhook_site import SECRET, Site, serving

from textmod_dev.local_cluster import LocalCluster

pytestmark = pytest.mark.integration

DECISION = "dev.textmoderation.decision.v1"


def decision(request: dict[str, Any], label: float, actor: str) -> dict[str, Any]:
    """What a console writes when somebody has decided."""
    return {
        "id": str(uuid.uuid4()),
        "item": request["item"],
        "decision": "Remove" if label else "Approve",
        "labels": {request["label"]: label},
        "selection": request["selection"],
        "flagged": request["flagged"],
        "seen": {"score": False, "explanation": False},
        "actor": actor,
        "actorKind": "Human",
        "tool": {"name": "test", "version": "1"},
        "model": request["model"],
        "textSha256": "0" * 64,
        "at": datetime.now(UTC).isoformat(),
        "requestedAt": request["at"],
        "scores": request["scores"],
    }


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as running:
        yield running


def test_decisions_become_figures_and_reach_a_webhook(
    operator: LocalCluster,
    kubectl: Kubectl,
    ready: Callable[..., None],
    topic_prefix: str,
    wait_for: WaitFor,
    site: Site,
) -> None:
    def told(status: str, reason: str, seconds: float = 90) -> None:
        def is_so() -> bool:
            found = condition(kubectl, "QualityKnown")
            return (found.get("status"), found.get("reason")) == (status, reason)

        wait_for(is_so, seconds, reason)

    decided: set[str] = set()

    def decide(requests: list[dict[str, Any]], label: float, actor: str = "rita") -> None:
        producer = Producer({"bootstrap.servers": operator.bootstrap_servers})
        for request in requests:
            made = decision(request, label, actor)
            decided.add(made["id"])
            value = json.dumps(made).encode()
            headers = [("ce_type", DECISION.encode()), ("content-type", b"application/json")]
            producer.produce(f"{topic_prefix}-feedback", value, request["item"], headers=headers)
        assert producer.flush(10) == 0

    names = {role: {"name": f"{topic_prefix}-{role}"} for role in ("review", "feedback")}
    kubectl("create", "secret", "generic", "site", f"--from-literal=secret={SECRET}")
    hook = {"name": "site", "url": f"{site.url}/hook", "secretRef": {"name": "site"}}
    review = {"sample": 1.0, "labelDelayHours": 0, "minimumLabels": 10, "topics": names}
    review["console"] = {"webhooks": [hook]}
    rules = [{"action": "Review", "atLeast": 0.0001}]
    ready({"review": review, "policies": [{"name": "all", "rules": rules, "mode": "Observe"}]})
    texts = [f'{{"body": "a text to look at, number {n}"}}'.encode() for n in range(40)]
    produce(operator, f"{topic_prefix}-input", texts)
    requests = [json.loads(one) for one in consume(operator, f"{topic_prefix}-review", 40)]
    assert len({one["item"] for one in requests}) == 40
    assert {one["flagged"] for one in requests} == {False}  # a policy that only observes
    # A worker that ends writes its counts at once; one that goes on, every minute.
    kubectl("delete", "pod", "-l", "textmoderation.dev/name=science", "--wait=false")
    told("False", "NoReviewers")

    decide(requests[:5], 0.0)
    told("False", "TooFewLabels")
    decide(requests[:1], 1.0, "sam")
    decide(requests[5:], 1.0)

    def measured() -> dict[str, Any]:
        body = json.loads(kubectl("get", "tm", "science", "-o", "json"))
        found: dict[str, Any] = body["status"]["quality"]
        return found

    # Nothing is flagged, so precision is unknown; recall is none of the texts to flag.
    wait_for(lambda: measured()["recall"].get("value") == 0.0, 90, "recall is measured")
    found = measured()
    assert found["recall"]["labels"] == 40
    assert 0 < found["recall"]["high"] < 0.15
    assert "value" not in found["precision"]
    assert found["agreement"] == 0.0
    wait_for(lambda: measured()["estimator"] == "Difference", 60, "all texts are counted")
    assert "0 labels of flagged texts" in found["reason"]
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=30s")

    wait_for(lambda: {head["webhook-id"] for _, head, _ in site.got} >= decided, 30, "all are sent")
    sent = [Webhook(SECRET).verify(body, head)["data"] for _, head, body in site.got]
    assert {one["id"] for one in sent} == decided
