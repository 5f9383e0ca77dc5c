"""The stand-in makes of SeldonDeployments what Seldon's controller makes, and keeps it so."""

from __future__ import annotations

import json
import sys

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from textmod_dev.errors import LocalClusterError

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def image(cluster):
    server = [sys.executable, "-u", "-m", "http.server", "9000", "--bind", "$(POD_IP)"]
    cluster.images.set("test/model:1", server)


@pytest.fixture
def get(kubectl):
    return lambda *arguments: json.loads(kubectl("get", *arguments, "-o", "json"))


def sdep(name="science", **predictor):
    probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1}
    container = {"name": "classifier", "image": "test/model:1", "readinessProbe": probe}
    container["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/true"]}}}
    return {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {"name": name},
        "spec": {
            "predictors": [
                {
                    "name": "default",
                    "replicas": 1,
                    "annotations": {"seldon.io/no-engine": "true"},
                    "graph": {"name": "classifier", "type": "MODEL"},
                    "componentSpecs": [{"spec": {"containers": [container]}}],
                    **predictor,
                }
            ]
        },
    }


@pytest.fixture
def apply(kubectl):
    return lambda thing: kubectl("apply", "-f", "-", stdin=json.dumps(thing))


@pytest.fixture
def apply_server_side(kubectl):
    return lambda thing: kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(thing))


@pytest.fixture
def available(get, wait_for):
    def wait(name="science", replicas=1):
        def holds():
            status = get("sdep", name).get("status", {})
            return (status.get("state"), status.get("replicas")) == ("Available", replicas)

        wait_for(holds, 30, f"{name} was Available with {replicas} replicas")

    return wait


def test_it_becomes_available_scales_without_a_rollout_and_goes(
    apply, available, get, kubectl, wait_for
):
    apply(sdep())
    available()
    deployment = get("deployment", "science-default-0-classifier")
    assert deployment["spec"]["template"]["spec"]["securityContext"] == {"runAsUser": 8888}
    apply(sdep(replicas=3))
    available(replicas=3)
    assert len(get("replicasets")["items"]) == 1
    kubectl("delete", "sdep", "science")
    wait_for(lambda: get("deployments,services,pods")["items"] == [], 30, "all of it was collected")


def test_a_deployment_that_is_changed_by_hand_is_repaired(apply, available, get, kubectl, wait_for):
    apply(sdep())
    available()
    kubectl("scale", "deployment/science-default-0-classifier", "--replicas=4")
    wait_for(
        lambda: get("deployment", "science-default-0-classifier")["spec"]["replicas"] == 1,
        15,
        "the replicas were copied again",
    )


def test_an_hpa_of_its_deployments_name_is_deleted(apply, available, kubectl, wait_for):
    apply(sdep())
    available()
    name = "science-default-0-classifier"
    kubectl("autoscale", "deployment", name, "--cpu=50%", "--max=2")
    apply(sdep(labels={"touched": "yes"}))
    wait_for(lambda: name not in kubectl("get", "hpa"), 15, "the HPA was deleted")


def test_a_new_container_name_is_a_new_deployment_and_the_old_one_goes(
    apply, available, get, wait_for
):
    apply(sdep())
    available()
    changed = sdep(graph={"name": "judge", "type": "MODEL"})
    changed["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0]["name"] = "judge"
    apply(changed)

    def only_the_new():
        deployments, services = (
            {item["metadata"]["name"] for item in get(kind)["items"]}
            for kind in ("deployments", "services")
        )
        return deployments == {"science-default-0-judge"} and services == {
            "science-default",
            "science-default-judge",
        }

    wait_for(only_the_new, 30, "the old Deployment and its Service were deleted")


def test_what_the_api_server_says_to_its_deployment_stands_in_the_status(apply, get, wait_for):
    thing = sdep()
    pod = thing["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
    pod["containers"][0]["volumeMounts"] = [{"name": "nowhere", "mountPath": "/x"}]
    apply(thing)

    def failed():
        return get("sdep", "science").get("status", {}).get("state") == "Failed"

    wait_for(failed, 30, "the status says Failed")
    assert "nowhere" in get("sdep", "science")["status"]["description"]


def test_a_kafka_server_without_its_topics_is_refused(apply):
    wrong = sdep()
    wrong["spec"]["serverType"] = "kafka"
    with pytest.raises(LocalClusterError, match="needs KAFKA_BROKER"):
        apply(wrong)


def test_a_unit_without_a_container_is_refused(apply):
    with pytest.raises(LocalClusterError, match="Can't find container for Predictive Unit nobody"):
        apply(sdep(graph={"name": "nobody", "type": "MODEL"}))


def test_a_field_that_its_schema_is_too_old_for_is_refused(apply_server_side):
    constraint = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {},
    }
    thing = sdep()
    pod = thing["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
    pod["topologySpreadConstraints"] = [constraint]
    apply_server_side(thing)
    constraint["matchLabelKeys"] = ["app"]
    with pytest.raises(LocalClusterError, match="matchLabelKeys: field not declared in schema"):
        apply_server_side(thing)


MODEL = """
import http.server, json, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        code = 500 if request.get("fail") else 200
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps({"seen": request["n"]}).encode())

    def do_GET(self):
        self.send_response(200)
        self.end_headers()

http.server.ThreadingHTTPServer((os.environ["POD_IP"], 9000), Handler).serve_forever()
"""


@pytest.mark.parametrize("auto_commit", ["true", "false"])
def test_the_classic_path_answers_what_it_can_and_drops_the_rest(
    cluster, namespace, apply, wait_for, auto_commit
):
    cluster.images.set("test/model:1", [sys.executable, "-c", MODEL])
    client = {"bootstrap.servers": cluster.bootstrap_servers}
    admin = AdminClient(client)
    topics = [f"{namespace}-in", f"{namespace}-out"]
    for made in admin.create_topics([NewTopic(name, 2, 1) for name in topics]).values():
        made.result(10)
    producer = Producer(client)
    for n in range(20):
        producer.produce(topics[0], json.dumps({"n": n, "fail": n == 7}), key=str(n))
    producer.produce(topics[0], b"not JSON", key="x")
    assert producer.flush(10) == 0

    environment = {
        "KAFKA_BROKER": cluster.bootstrap_servers,
        "KAFKA_INPUT_TOPIC": topics[0],
        "KAFKA_OUTPUT_TOPIC": topics[1],
        "KAFKA_AUTO_COMMIT": auto_commit,
        "KAFKA_WORKERS": "1",
    }
    engine = {"env": [{"name": k, "value": v} for k, v in environment.items()]}
    thing = sdep(annotations={}, svcOrchSpec=engine)
    thing["spec"]["serverType"] = "kafka"
    apply(thing)

    consumer = Consumer(
        {**client, "group.id": f"{namespace}-test", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topics[1]])
    answers = []

    def all_answered():
        answers.extend(m for m in consumer.consume(100, timeout=0.5) if m.error() is None)
        return len(answers) >= 19

    try:
        wait_for(all_answered, 60, "19 of 21 records were answered")
    finally:
        consumer.close()
    seen = {m.key().decode(): json.loads(m.value())["seen"] for m in answers}
    assert seen == {str(n): n for n in range(20) if n != 7}
    assert all(not m.headers() for m in answers)

    def committed():
        request = ConsumerGroupTopicPartitions(f"default.science.{namespace}")
        group = admin.list_consumer_group_offsets([request])[request.group_id].result(10)
        return sum(max(0, p.offset) for p in group.topic_partitions) >= 19

    wait_for(committed, 15, "the group had committed what it read")
