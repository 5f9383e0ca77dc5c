"""What a SeldonDeployment becomes, as Seldon Core 1.17 has it."""

from __future__ import annotations

import base64
import copy
import json

import pytest

from textmod_dev.seldon import webhook
from textmod_dev.seldon.objects import RejectedError, shortened, status, wanted

NO_ENGINE = {"seldon.io/no-engine": "true"}


def sdep(*, engine=False, container=None, **spec):
    predictor = {
        "name": "default",
        "replicas": 2,
        "labels": {"team": "safety"},
        "annotations": {} if engine else dict(NO_ENGINE),
        "graph": {"name": "classifier", "type": "MODEL"},
        "componentSpecs": [
            {
                "spec": {
                    "securityContext": {"fsGroup": 1},
                    "containers": [{"name": "classifier", "image": "m:1", **(container or {})}],
                }
            }
        ],
    }
    return {
        "metadata": {"name": "science", "namespace": "n", "uid": "u"},
        "spec": {"predictors": [predictor], **spec},
    }


def only_deployment(made):
    assert len(made.deployments) == 1
    return made.deployments[0]


def environment(deployment, name="classifier"):
    containers = deployment["spec"]["template"]["spec"]["containers"]
    found = next(c for c in containers if c["name"] == name)
    return {entry["name"]: entry.get("value") for entry in found["env"]}


def test_names_labels_and_owner():
    made = wanted(sdep())
    deployment = only_deployment(made)
    assert deployment["metadata"]["name"] == "science-default-0-classifier"
    assert [s["metadata"]["name"] for s in made.services] == [
        "science-default-classifier",
        "science-default",
    ]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector == {
        "seldon-deployment-id": "science",
        "seldon-app": "science-default",
        "seldon-app-svc-classifier": "science-default-classifier",
    }
    assert selector.items() <= labels.items()
    assert labels["team"] == "safety"
    for thing in [deployment, *made.services]:
        owner = thing["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("SeldonDeployment", "science", "u")


def test_replicas_are_copied_and_nothing_else_changes_with_them():
    few, many = sdep(), sdep()
    many["spec"]["predictors"][0]["replicas"] = 7
    first, second = only_deployment(wanted(few)), only_deployment(wanted(many))
    assert (first["spec"].pop("replicas"), second["spec"].pop("replicas")) == (2, 7)
    assert first == second


def test_nor_with_the_engine():
    few, many = sdep(engine=True), sdep(engine=True)
    many["spec"]["predictors"][0]["replicas"] = 7
    templates = [only_deployment(wanted(s))["spec"]["template"] for s in (few, many)]
    assert templates[0] == templates[1]


def test_what_the_container_does_not_bring():
    container = only_deployment(wanted(sdep()))["spec"]["template"]["spec"]["containers"][0]
    assert {p["name"]: p["containerPort"] for p in container["ports"]} == {
        "http": 9000,
        "grpc": 9500,
        "metrics": 6000,
    }
    assert container["readinessProbe"]["tcpSocket"] == {"port": 9000}
    assert container["readinessProbe"]["initialDelaySeconds"] == 20
    assert container["lifecycle"]["preStop"]["exec"]["command"][-1] == "/bin/sleep 10"


def test_what_it_brings_stays():
    own = {
        "readinessProbe": {"httpGet": {"path": "/r", "port": 1}},
        "livenessProbe": {"httpGet": {"path": "/l", "port": 1}},
        "lifecycle": {"preStop": {"exec": {"command": ["x"]}}},
    }
    container = only_deployment(wanted(sdep(container=own)))["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert {key: container[key] for key in own} == own


def test_the_injected_environment():
    given = sdep(container={"env": [{"name": "MINE", "value": "1"}]})
    parameter = {"name": "threshold", "value": "0.5", "type": "FLOAT"}
    given["spec"]["predictors"][0]["graph"]["parameters"] = [parameter]
    env = environment(only_deployment(wanted(given)))
    assert env["MINE"] == "1"
    assert env["PREDICTIVE_UNIT_HTTP_SERVICE_PORT"] == "9000"
    assert env["PREDICTIVE_UNIT_METRICS_ENDPOINT"] == "/prometheus"
    assert env["SELDON_DEPLOYMENT_ID"] == "science"
    assert json.loads(env["PREDICTIVE_UNIT_PARAMETERS"]) == [parameter]
    assert json.loads(env["PREDICTOR_LABELS"]) == {"team": "safety"}


def test_a_service_port_of_ones_own_erases_the_environment():
    own = [{"name": "PREDICTIVE_UNIT_HTTP_SERVICE_PORT", "value": "1"}, {"name": "MINE"}]
    env = environment(only_deployment(wanted(sdep(container={"env": own}))))
    assert "MINE" not in env
    assert env["PREDICTIVE_UNIT_HTTP_SERVICE_PORT"] == "9000"


def test_a_pod_without_a_security_context_gets_one():
    given = sdep()
    assert _pod(given)["securityContext"] == {"fsGroup": 1}
    del given["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["securityContext"]
    assert _pod(given)["securityContext"] == {"runAsUser": 8888}


def _pod(given):
    return only_deployment(wanted(given))["spec"]["template"]["spec"]


def test_the_engine_comes_unless_it_is_annotated_away():
    assert len(_containers(wanted(sdep()))) == 1
    given = sdep(engine=True, serverType="kafka")
    given["spec"]["predictors"][0]["svcOrchSpec"] = {
        "env": [{"name": "KAFKA_BROKER", "value": "kafka:9092"}]
    }
    before = copy.deepcopy(given)
    made = wanted(given)
    assert given == before
    engine = _containers(made)[1]
    assert engine["name"] == "seldon-container-engine"
    *pairs, last = engine["args"]
    arguments = dict(zip(pairs[::2], pairs[1::2], strict=True))
    assert (arguments["--transport"], last) == ("rest", "--full_health_checks=false")
    assert "lifecycle" not in engine, "it ends at SIGTERM"
    assert arguments["--server_type"] == "kafka"
    assert (arguments["--sdep"], arguments["--predictor"]) == ("science", "default")
    env = environment(only_deployment(made), engine["name"])
    assert env["KAFKA_BROKER"] == "kafka:9092"
    graph = json.loads(base64.b64decode(env["ENGINE_PREDICTOR"]))
    assert graph["graph"]["name"] == "classifier"
    service = next(s for s in made.services if s["metadata"]["name"] == "science-default")
    assert [p["port"] for p in service["spec"]["ports"]] == [8000, 5001]


def _containers(made):
    return only_deployment(made)["spec"]["template"]["spec"]["containers"]


def test_a_unit_without_a_container_is_refused():
    given = sdep()
    given["spec"]["predictors"][0]["graph"]["name"] = "other"
    with pytest.raises(RejectedError, match="other"):
        wanted(given)


def test_long_names_become_hashes():
    assert shortened("x" * 63) == "x" * 63
    assert len(shortened("x" * 64)) <= 63
    assert shortened("x" * 64).startswith("seldon-")


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ({}, "Creating"),
        ({"readyReplicas": 2, "replicas": 2, "availableReplicas": 2}, "Available"),
        ({"readyReplicas": 1, "replicas": 2, "unavailableReplicas": 1}, "Creating"),
        ({"replicas": 0}, "Creating"),
        (
            {
                "replicas": 1,
                "unavailableReplicas": 1,
                "conditions": [
                    {"type": "Progressing", "status": "False", "message": "deadline"},
                    {"type": "Available", "status": "False"},
                ],
            },
            "Failed",
        ),
    ],
)
def test_state(seen, state):
    deployments = [{"metadata": {"name": "d"}, "status": seen}]
    result = status(sdep(), deployments, ["d"])
    assert result["state"] == state
    assert result["replicas"] == seen.get("replicas", 0)
    figures = {name: seen.get(name, 0) for name in ("replicas", "availableReplicas")}
    assert result["deploymentStatus"] == ({"d": figures} if any(figures.values()) else {})


def test_a_deployment_without_pods_is_named_in_the_status_only_if_it_had_some():
    """The controller writes figures that differ from those that it has, and has none at first."""
    fresh, known = sdep(), {**sdep(), "status": {"deploymentStatus": {"d": {"replicas": 2}}}}
    assert status(fresh, [], ["d"])["deploymentStatus"] == {}
    assert status(known, [], ["d"])["deploymentStatus"] == {
        "d": {"replicas": 0, "availableReplicas": 0}
    }


def test_the_webhook_refuses_a_kafka_server_without_its_topics_and_a_unit_without_a_container():
    topics = ["KAFKA_BROKER", "KAFKA_INPUT_TOPIC", "KAFKA_OUTPUT_TOPIC"]
    kafka = sdep(serverType="kafka")
    kafka["spec"]["predictors"][0]["svcOrchSpec"] = {"env": [{"name": name} for name in topics]}
    assert webhook.refusal(kafka) is None
    kafka["spec"]["predictors"][0]["svcOrchSpec"]["env"].pop()
    assert "needs KAFKA_OUTPUT_TOPIC" in webhook.refusal(kafka)
    nobody = sdep()
    nobody["spec"]["predictors"][0]["graph"]["name"] = "nobody"
    asked = {"apiVersion": "admission.k8s.io/v1", "request": {"uid": "1", "object": nobody}}
    response = webhook.review(asked)["response"]
    assert (response["uid"], response["allowed"]) == ("1", False)
    assert "nobody" in response["status"]["message"]
