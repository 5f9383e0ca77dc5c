"""No name that a tenant, a sender or a caller chooses makes the metrics grow without bound."""

from __future__ import annotations

import ast
from pathlib import Path
from random import Random

import numpy as np
import prometheus_client
import pytest
from app_client import AppClient
from kafka_admin_fake import FakeKafka
from prometheus_client.parser import text_string_to_metric_families
from served_models import SCIENCE

import textmod_console.metrics  # noqa: F401 - its metrics are in the common registry, as below
import textmod_operator.metrics as operator_metrics
from faults.poison import payload
from textmod_model.formats import catalog
from textmod_model.formats.message import Reading, Refused
from textmod_model.metrics import Metrics
from textmod_model.serving import rest
from textmod_model.serving.predictor import Predictor
from textmod_operator.controller.quality_metrics import figures_of_all
from textmod_operator.controller.streams import Streams
from textmod_operator.state import ObjectKey

ROOT = Path(__file__).parents[1]

BOUNDED_BY = {
    "action": "Allow, Review, Remove",
    "code": "HTTP's codes, of the API server's answers",
    "consumergroup": "the process has one",
    "decision": "the decisions of a console",
    "hold": "true, false",
    "method": "HTTP's methods that the operator uses",
    "mode": "Enforce, Observe",
    "name": "objects that there are",
    "namespace": "objects that there are",
    "operation": "the desk's operations",
    "outcome": "words of the code",
    "partition": "partitions that the process reads",
    "policy": "policies of the object, at most 16",
    "protocol": "the protocols that are served",
    "reason": "reasons in the code",
    "request": "Kafka's requests that the operator uses",
    "resource": "kinds that the operator uses",
    "role": "the topics' roles",
    "state": "states of an item",
    "step": "steps of a reconcile",
    "strategy": "Random, Policy, Mixed",
    "topic": "the process reads one",
    "type": "types of conditions",
    "version": "one at a time",
    "webhook": "webhooks of the object",
    # Of prometheus-client's own metrics of Python and of histograms:
    "generation": "generations of the garbage collector",
    "implementation": "Python",
    "major": "Python",
    "minor": "Python",
    "patchlevel": "Python",
    "le": "buckets",
}


def test_every_label_has_a_bound() -> None:
    """A label that is new has to say here what bounds its values."""
    found = set()
    for registry in (prometheus_client.REGISTRY, Metrics().registry):
        for collector in list(registry._collector_to_names):
            found |= set(getattr(collector, "_labelnames", ()))
            for family in collector.collect():
                found |= {label for sample in family.samples for label in sample.labels}
    assert found <= BOUNDED_BY.keys()
    assert {"outcome", "policy", "webhook", "namespace"} <= found


def test_reasons_of_refusals_are_words_of_the_code() -> None:
    """They are labels: none may be made of what a message holds."""
    found, others = set(), []
    for file in (ROOT / "model-server" / "textmod_model").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id in {"Refused", "RefusedError"}:
                [reason, *_] = node.args
                if isinstance(reason, ast.Constant):
                    found.add(reason.value)
                else:
                    others.append(f"{file.name}: {ast.unparse(reason)}")
    assert all(reason.isascii() and reason.isalnum() for reason in found)
    assert 10 < len(found) < 40
    # These hand on a refusal that was made with a word.
    handed_on = ["letters.py: refused.reason", "message.py: reason", "schema_registry.py: *refused"]
    assert sorted(others) == handed_on


def test_a_thousand_hostile_messages_have_a_handful_of_reasons() -> None:
    random = Random(3)  # noqa: S311 - nothing secret
    metrics = Metrics()
    for name in ("Auto", "Json", "Seldon"):
        decode = catalog.decoder(name, Reading(("body",), None, 1 << 20))
        for _ in range(400):
            value, headers = payload(random)
            found = decode(value, headers)
            if isinstance(found, Refused):
                metrics.refusals.labels(found.reason).inc()
    assert 3 < series(metrics.text().decode(), "textmod_dead_letters_total") < 15


def test_hostile_calls_make_no_series() -> None:
    metrics = Metrics()
    predictor = Predictor(lambda texts: np.full(len(texts), 0.25), SCIENCE)
    client = AppClient(rest.seldon_app(predictor, metrics))
    for number in range(30):
        client.request(f"ODD{number}", f"/predict/{number}", headers={"x-protocol": f"p{number}"})
        client.post("/predict", json={f"field-{number}": f"text {number}"})
        client.post(f"/v1/moderations/{number}", json={"model": f"m{number}", "input": "x"})
        client.post("/v1/moderations", json={"model": f"m{number}", "input": "x"})
    assert series(metrics.text().decode(), "textmod_predictions_total") < 8


@pytest.mark.parametrize("name", ['a"} 1\nforged_total 7\n', "a\\", "x" * 5000, "{}", "\0"])
def test_a_hostile_name_stays_one_sample(name: str) -> None:
    metrics = Metrics()
    metrics.show_lag(name, name, [(0, 3)])
    metrics.show_policies(name, None)
    families = {one.name: one for one in text_string_to_metric_families(metrics.text().decode())}
    [sample] = families["kafka_consumergroup_lag"].samples
    assert (sample.labels["consumergroup"], sample.value) == (name, 3.0)
    assert "forged" not in families


def test_an_older_version_of_policies_leaves_no_series() -> None:
    metrics = Metrics()
    for number in range(50):
        metrics.show_policies(f"sha256:{number}", None)
    assert series(metrics.text().decode(), "textmod_policy_info") == 1


def test_an_object_that_is_gone_leaves_no_series() -> None:
    """Or a tenant who creates and deletes objects fills the operator's memory."""
    streams = Streams(FakeKafka().clusters())
    for number in range(50):
        operator_metrics.EXPIRED.labels("hostile", f"object-{number}").inc()
        streams.forget(ObjectKey("hostile", f"object-{number}"))
    text = prometheus_client.generate_latest(prometheus_client.REGISTRY).decode()
    assert 'namespace="hostile"' not in text


def test_the_status_makes_no_more_series_than_the_spec_has_policies() -> None:
    """A console reports what it read in its topic, and whoever may write a status writes it."""
    estimate = {"value": 0.5, "low": 0.4, "high": 0.6, "labels": 9}
    made_up = [
        {"name": f"p{number}", "precision": estimate, "actions": [{"action": f"a{number}"}]}
        for number in range(500)
    ]
    odd = [{"action": name, "precision": estimate} for name in ("Remove", "Remove", "x\ny", "")]
    twice = [{"name": "spam", "precision": estimate, "actions": odd}] * 2
    rules = [{"action": "Remove", "precision": 0.9}, {"action": "Remove", "precision": 0.8}]
    body = {
        "spec": {"review": {}, "policies": [{"name": "spam", "rules": rules}]},
        "status": {"quality": {"precision": estimate, "policies": made_up + twice}},
    }
    found = list(figures_of_all([(ObjectKey("reddit", "science"), body)]))
    assert len({(of, gauge) for of, gauge, _ in found}) == len(found) < 20
    assert {of[2] for of, _, _ in found} == {"", "spam"}
    assert {of[3] for of, _, _ in found} == {"", "Remove"}


def series(text: str, name: str) -> int:
    """Count the samples of a metric in Prometheus' text."""
    return sum(line.startswith((f"{name} ", f"{name}{{")) for line in text.splitlines())
