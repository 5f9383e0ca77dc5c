from __future__ import annotations

import json
from typing import Any

import pytest
from objects import PLAINTEXT, body, moderation

from textmod_dev.process_node.environment import PodView, container_environment
from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired import desired
from textmod_operator.state import Capabilities, KafkaConnection, Manifest

SECURED = {
    "kafka": {
        "tls": {"caSecretRef": {"name": "ca"}, "certificateSecretRef": {"name": "pair"}},
        "sasl": {"mechanism": "SCRAM-SHA-512", "secretRef": {"name": "login"}},
    }
}
NODE = PodView({}, "", lambda kind, name: None)
SECRET_CONNECTION = KafkaConnection(
    "kafka:9092",
    "SCRAM-SHA-512",
    "sally",
    "open-sesame",
    tls=True,
    ca_pem="CA-PEM",
    certificate_pem="CERT-PEM",
    key_pem="KEY-PEM",
)


def objects(
    spec: dict[str, Any] | None = None,
    connection: KafkaConnection = PLAINTEXT,
    capabilities: Capabilities = Capabilities(),  # noqa: B008 - frozen
    digest: str | None = None,
) -> dict[str, Manifest]:
    want = desired(moderation(spec), connection, capabilities, digest)
    return {manifest["kind"]: manifest for manifest in want.objects}


def container(made: dict[str, Manifest]) -> Manifest:
    return pod(made)["containers"][0]


def pod(made: dict[str, Manifest]) -> Manifest:
    if "Deployment" in made:
        return made["Deployment"]["spec"]["template"]["spec"]
    return made["SeldonDeployment"]["spec"]["predictors"][0]["componentSpecs"][0]["spec"]


def environment(made: dict[str, Manifest]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry) for entry in container(made)["env"]}


def _plain(env: list[Manifest]) -> list[Manifest]:
    return [entry for entry in env if "value" in entry]


def test_the_topics_have_their_defaults() -> None:
    want = desired(moderation({"topics": {"input": {"partitions": 5}}}), PLAINTEXT, Capabilities())
    assert [(topic.name, topic.partitions, topic.exact) for topic in want.topics.values()] == [
        ("science-input", 5, True),
        ("science-output", 5, False),
        ("science-dead-letter", 1, False),
    ]


def test_review_adds_two_topics_with_lifetimes_of_their_own() -> None:
    spec = {"topics": {"input": {"partitions": 5}}, "review": {}}
    want = desired(moderation(spec), PLAINTEXT, Capabilities())
    review, feedback = want.topics["review"], want.topics["feedback"]
    assert [(topic.name, topic.partitions) for topic in (review, feedback)] == [
        ("science-review", 5),
        ("science-feedback", 1),
    ]
    assert review.creation_config["retention.ms"] == "2592000000"
    assert feedback.creation_config["retention.ms"] == "-1"


@pytest.mark.parametrize("platform", ["Seldon", "Deployment"])
def test_only_review_changes_what_the_pods_are_made_of(platform: str) -> None:
    without, reviewed = (
        environment(objects({"serving": {"platform": platform}} | more))
        for more in ({}, {"review": {"sample": 0.25}})
    )
    changed = {name: value for name, value in reviewed.items() if without.get(name) != value}
    assert changed.pop("TEXTMOD_REVISION")
    assert changed == {
        "TEXTMOD_REVIEW_TOPIC": "science-review",
        "TEXTMOD_FEEDBACK_TOPIC": "science-feedback",
        "TEXTMOD_REVIEW_SAMPLE": "0.25",
        "TEXTMOD_REVIEW_SALT": "reddit/science",
    }


@pytest.mark.parametrize(
    ("platform", "streaming"),
    [("Seldon", "Native"), ("Seldon", "SeldonExecutor"), ("Deployment", "Native")],
)
def test_what_kubernetes_replaces_in_variables_stays_as_the_spec_has_it(
    platform: str, streaming: str
) -> None:
    odd = "$(TEXTMOD_STREAMING)$$(A)$$$"
    registry = {"url": f"http://registry/{odd}"}
    spec: dict[str, Any] = {
        "serving": {"platform": platform, "streaming": streaming},
        "kafka": {"bootstrapServers": f"{odd}:9092", "schemaRegistry": registry},
        "message": {"textField": odd},
        "model": {
            "parameters": [{"name": "odd", "value": odd}],
            "env": [{"name": "B", "value": odd}],
        },
    }
    if streaming == "Native":
        spec["serving"]["perspective"] = {"attributes": {odd: odd}}
    made = objects(spec, KafkaConnection(f"{odd}:9092"))
    seen = container_environment(NODE, {"env": _plain(container(made)["env"])})
    assert seen["TEXTMOD_KAFKA_BOOTSTRAP_SERVERS"] == f"{odd}:9092"
    assert seen["TEXTMOD_SCHEMA_REGISTRY_URL"] == registry["url"]
    assert seen["TEXTMOD_MESSAGE_TEXT_FIELD"] == odd
    assert seen["B"].startswith(seen["TEXTMOD_STREAMING"]), "as in a Pod"
    if streaming == "Native":
        assert json.loads(seen["TEXTMOD_PERSPECTIVE_ATTRIBUTES"]) == {odd: odd}
    else:
        predictor = made["SeldonDeployment"]["spec"]["predictors"][0]
        env = {"env": _plain(predictor["svcOrchSpec"]["env"])}
        brokers = container_environment(NODE, env)["KAFKA_BROKER"]
        assert brokers == f"{odd}:9092"
    if platform == "Deployment":
        assert json.loads(seen["PREDICTIVE_UNIT_PARAMETERS"])[0]["value"] == odd


@pytest.mark.parametrize("platform", ["Seldon", "Deployment"])
def test_the_pod_is_restricted_and_has_no_token(platform: str) -> None:
    made = objects({"serving": {"platform": platform}})
    spec = pod(made)
    assert spec["automountServiceAccountToken"] is False
    assert "securityContext" not in spec, "Seldon's controller would replace it"
    assert container(made)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert spec["terminationGracePeriodSeconds"] > int(
        environment(made)["TEXTMOD_SHUTDOWN_SECONDS"]
    )


@pytest.mark.parametrize(
    ("platform", "streaming"),
    [("Seldon", "Native"), ("Seldon", "SeldonExecutor"), ("Deployment", "Native")],
)
def test_no_secret_stands_in_any_object(platform: str, streaming: str) -> None:
    spec = SECURED | {"serving": {"platform": platform, "streaming": streaming}}
    text = json.dumps(objects(spec, SECRET_CONNECTION, digest="0123"))
    for secret in ("sally", "open-sesame", "CA-PEM", "CERT-PEM", "KEY-PEM"):
        assert secret not in text
    assert "open-sesame" not in repr(SECRET_CONNECTION)


def test_credentials_reach_the_pod_by_reference_and_by_file() -> None:
    made = objects(SECURED, SECRET_CONNECTION, digest="0123")
    env = environment(made)
    assert env["TEXTMOD_KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
    assert env["TEXTMOD_KAFKA_SASL_PASSWORD"]["valueFrom"]["secretKeyRef"] == {
        "name": "login",
        "key": "password",
    }
    assert env["TEXTMOD_KAFKA_SSL_CA_FILE"] == "/etc/textmod/kafka-ca/ca.crt"
    mounts = {mount["mountPath"] for mount in container(made)["volumeMounts"]}
    assert {"/etc/textmod/kafka-ca", "/etc/textmod/kafka-certificate", "/tmp"} == mounts


@pytest.mark.parametrize("platform", ["Seldon", "Deployment"])
def test_mounted_secrets_can_be_read_whatever_user_and_group_the_pod_runs_as(platform: str) -> None:
    """The kubelet makes root owner and group of a Secret's files where the pod has no fsGroup."""
    registry = {"url": "https://registry:8081", "caSecretRef": {"name": "registry-ca"}}
    kafka = {**SECURED["kafka"], "schemaRegistry": registry}
    made = objects({"serving": {"platform": platform}, "kafka": kafka}, SECRET_CONNECTION)
    modes = [
        volume["secret"]["defaultMode"] for volume in pod(made)["volumes"] if "secret" in volume
    ]
    assert modes == [0o444] * 3


OAUTH = {
    "tokenEndpointUrl": "https://login.example.com/token",
    "scope": "kafka",
    "secretRef": {"name": "client"},
    "caSecretRef": {"name": "provider"},
}


def test_a_client_of_an_identity_provider_reaches_the_pod_by_reference_and_by_file() -> None:
    made = objects({"kafka": {"sasl": {"mechanism": "OAUTHBEARER", "oauth": OAUTH}}})
    env = environment(made)
    assert env["TEXTMOD_KAFKA_SASL_MECHANISM"] == "OAUTHBEARER"
    assert env["TEXTMOD_KAFKA_OAUTH_SCOPE"] == "kafka"
    assert env["TEXTMOD_KAFKA_OAUTH_CLIENT_ID"]["valueFrom"]["secretKeyRef"] == {
        "name": "client",
        "key": "client-id",
    }
    assert env["TEXTMOD_KAFKA_OAUTH_CLIENT_SECRET"]["valueFrom"]["secretKeyRef"] == {
        "name": "client",
        "key": "client-secret",
    }
    assert env["TEXTMOD_KAFKA_OAUTH_CA_FILE"] == "/etc/textmod/kafka-oauth-ca/ca.crt"
    mounts = {mount["mountPath"] for mount in container(made)["volumeMounts"]}
    assert "/etc/textmod/kafka-oauth-ca" in mounts
    assert "TEXTMOD_KAFKA_SASL_PASSWORD" not in env


def test_an_aws_role_reaches_the_pod_with_its_service_account() -> None:
    aws = {"mechanism": "AWS_MSK_IAM", "aws": {"region": "eu-central-1"}}
    model = {"image": "x", "serviceAccountName": "moderator"}
    made = objects({"kafka": {"sasl": aws, "tls": {}}, "model": model})
    assert environment(made)["TEXTMOD_KAFKA_AWS_REGION"] == "eu-central-1"
    assert pod(made)["serviceAccountName"] == "moderator"
    assert pod(made)["automountServiceAccountToken"] is False


def test_pods_have_the_priority_that_was_asked_for_and_else_the_clusters() -> None:
    model = {"image": "x", "priorityClassName": "moderation"}
    for platform in ("Seldon", "Deployment"):
        serving = {"serving": {"platform": platform}}
        assert pod(objects({"model": model, **serving}))["priorityClassName"] == "moderation"
        assert "priorityClassName" not in pod(objects({"model": {"image": "x"}, **serving}))


def test_another_secret_is_another_pod_template() -> None:
    one, other = (objects(SECURED, SECRET_CONNECTION, digest=d) for d in ("1", "2"))
    assert pod(one) != pod(other)


def test_native_on_seldon_has_one_replica_count_and_no_engine() -> None:
    made = objects({"replicas": 4})
    spec = made["SeldonDeployment"]["spec"]
    (predictor,) = spec["predictors"]
    assert predictor["replicas"] == 4
    assert predictor["annotations"] == {"seldon.io/no-engine": "true"}
    assert "serverType" not in spec
    assert "svcOrchSpec" not in predictor
    assert json.dumps(spec).count('"replicas"') == 1
    assert predictor["graph"]["name"] == container(made)["name"] == "classifier"


def test_one_of_several_seldon_controllers_can_be_chosen() -> None:
    def labels(**metadata: Any) -> dict[str, str]:
        tm = TextModeration.parse({**body({}), "metadata": {**body({})["metadata"], **metadata}})
        (seldon, *_) = desired(tm, PLAINTEXT, Capabilities()).objects
        predictor = seldon["spec"]["predictors"][0]
        assert predictor["labels"] == naming.labels(tm), "the pods are not rolled for it"
        return seldon["metadata"]["labels"]

    chosen = {"seldon.io/controller-id": "moderation"}
    assert labels(labels={"team": "safety", **chosen}).items() == (labels() | chosen).items()


def test_the_executor_gets_what_seldons_webhook_requires() -> None:
    made = objects({"serving": {"streaming": "SeldonExecutor"}})
    spec = made["SeldonDeployment"]["spec"]
    (predictor,) = spec["predictors"]
    env = {entry["name"]: entry["value"] for entry in predictor["svcOrchSpec"]["env"]}
    assert spec["serverType"] == "kafka"
    assert env == {
        "KAFKA_BROKER": "kafka:9092",
        "KAFKA_INPUT_TOPIC": "science-input",
        "KAFKA_OUTPUT_TOPIC": "science-output",
        "KAFKA_AUTO_COMMIT": "false",
        "KAFKA_WORKERS": "1",
    }
    assert environment(made)["TEXTMOD_STREAMING"] == "Off"
    assert environment(made)["TEXTMOD_CONSUMER_GROUP"] == "default.science.reddit"


def test_the_executor_gets_credentials_by_reference_only() -> None:
    made = objects(SECURED | {"serving": {"streaming": "SeldonExecutor"}}, SECRET_CONNECTION)
    (predictor,) = made["SeldonDeployment"]["spec"]["predictors"]
    references = {
        entry["name"]: entry["valueFrom"]["secretKeyRef"]
        for entry in predictor["svcOrchSpec"]["env"]
        if "valueFrom" in entry
    }
    assert references == {
        "KAFKA_SASL_USERNAME": {"name": "login", "key": "username"},
        "KAFKA_SASL_PASSWORD": {"name": "login", "key": "password"},
        "KAFKA_SSL_CA_CERT": {"name": "ca", "key": "ca.crt"},
        "KAFKA_SSL_CLIENT_CERT": {"name": "pair", "key": "tls.crt"},
        "KAFKA_SSL_CLIENT_KEY": {"name": "pair", "key": "tls.key"},
    }


def test_ports_are_never_set_by_environment() -> None:
    """Seldon erases the whole environment of a container that does."""
    for platform in ("Seldon", "Deployment"):
        names = environment(objects({"serving": {"platform": platform}}))
        assert not [name for name in names if name.endswith("_SERVICE_PORT")]


def test_nothing_of_ours_is_named_like_seldons_deployment() -> None:
    """Seldon deletes an HPA or a PodDisruptionBudget of that name."""
    names = {manifest["metadata"]["name"] for manifest in objects().values()}
    assert names == {"science"}


def test_pods_that_are_not_ready_hold_up_no_drain_of_a_node() -> None:
    budget = objects()["PodDisruptionBudget"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_platform_deployment_needs_no_seldon() -> None:
    parameters = [{"name": "mode", "value": "fast"}]
    made = objects({"serving": {"platform": "Deployment"}, "model": {"parameters": parameters}})
    assert set(made) == {
        "Deployment",
        "Service",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
    }
    assert made["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert json.loads(environment(made)["PREDICTIVE_UNIT_PARAMETERS"]) == [
        {"name": "mode", "value": "fast", "type": "STRING"}
    ]
    selector = made["Deployment"]["spec"]["selector"]["matchLabels"].items()
    assert selector <= made["Deployment"]["spec"]["template"]["metadata"]["labels"].items()


def test_the_hpa_scales_our_own_object_by_the_law() -> None:
    spec = {"autoscaling": {"cpu": {"averageUtilization": 70}, "minReplicas": 0}}
    hpa = objects(spec, capabilities=Capabilities(hpa_tolerance=True))["HorizontalPodAutoscaler"]
    assert hpa["spec"]["scaleTargetRef"]["kind"] == "TextModeration"
    assert hpa["spec"]["minReplicas"] == 1
    external, cpu = hpa["spec"]["metrics"]
    assert external["external"]["target"] == {"type": "AverageValue", "averageValue": "1"}
    assert cpu["containerResource"]["container"] == "classifier"
    for direction in ("scaleUp", "scaleDown"):
        assert hpa["spec"]["behavior"][direction]["tolerance"] == "0"
        assert hpa["spec"]["behavior"][direction]["stabilizationWindowSeconds"] == 0


def test_an_older_api_server_is_not_told_of_tolerance() -> None:
    behavior = objects()["HorizontalPodAutoscaler"]["spec"]["behavior"]
    assert "tolerance" not in behavior["scaleUp"]


def test_the_users_behavior_wins() -> None:
    spec = {"autoscaling": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}}
    behavior = objects(spec)["HorizontalPodAutoscaler"]["spec"]["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 60
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0


def test_one_replica_for_ever_needs_no_budget_and_no_metrics_no_hpa() -> None:
    spec = {"autoscaling": {"maxReplicas": 1, "metricsProvider": "None"}}
    assert set(objects(spec)) == {"SeldonDeployment"}


def test_it_is_the_same_every_time() -> None:
    assert objects(SECURED, SECRET_CONNECTION) == objects(SECURED, SECRET_CONNECTION)


KEDA = Capabilities(hpa_tolerance=True, keda_url="http://operator.moderation.svc:8080/")


def test_keda_scales_our_scale_on_our_figure_and_on_cpu() -> None:
    spec = {
        "autoscaling": {
            "metricsProvider": "Keda",
            "minReplicas": 2,
            "maxReplicas": 6,
            "cpu": {"averageUtilization": 80},
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
        }
    }
    made = objects(spec, capabilities=KEDA)
    assert "HorizontalPodAutoscaler" not in made, "KEDA makes its own"
    asked = made["ScaledObject"]["spec"]
    target = {"apiVersion": "textmoderation.dev/v1alpha1", "kind": "TextModeration"}
    assert asked["scaleTargetRef"] == {**target, "name": "science"}
    assert (asked["minReplicaCount"], asked["maxReplicaCount"]) == (2, 6)
    lag, cpu = asked["triggers"]
    url = "http://operator.moderation.svc:8080/keda/v1/namespaces/reddit/textmoderations/science"
    assert lag["metadata"] == {"url": url, "valueLocation": "desiredReplicas", "targetValue": "1"}
    assert cpu["metadata"] == {"value": "80", "containerName": "classifier"}
    behavior = asked["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 60
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert "tolerance" not in behavior["scaleUp"], "KEDA's schema has no such field"


def test_without_a_url_for_keda_there_is_nothing_to_scale_on() -> None:
    made = objects({"autoscaling": {"metricsProvider": "Keda"}})
    assert not made.keys() & {"ScaledObject", "HorizontalPodAutoscaler"}


def revision(spec: dict[str, Any] | None = None, digest: str | None = None) -> str:
    return desired(moderation(spec), PLAINTEXT, Capabilities(), digest).revision


def test_the_revision_changes_with_the_pods_and_with_nothing_else() -> None:
    pods = [
        {"model": {"image": "other:1"}},
        {"model": {"threshold": 0.4}},
        {"model": {"digest": "sha256:" + "0" * 64}},
        {"model": {"parameters": [{"name": "a", "value": "b"}]}},
        {"serving": {"streaming": "SeldonExecutor"}},
    ]
    revisions = {revision(), revision(digest="of other Secrets"), *map(revision, pods)}
    assert len(revisions) == len(pods) + 2
    others = [
        {"replicas": 3},
        {"autoscaling": {"maxReplicas": 5}},
        {"topics": {"output": {"partitions": 3}}},
    ]
    assert {revision(spec) for spec in others} == {revision()}
    made = objects({"serving": {"platform": "Deployment"}})
    assert environment(made)["TEXTMOD_REVISION"] == revision(
        {"serving": {"platform": "Deployment"}}
    )


def test_the_model_outlives_seldons_executor_which_pumps_on_until_it_has_ended() -> None:
    spec = pod(objects({"serving": {"streaming": "SeldonExecutor"}}))
    hook = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert int(hook[1]) > 10
    assert spec["terminationGracePeriodSeconds"] > int(hook[1]) + 30


def test_no_two_objects_share_a_group() -> None:
    one, other = moderation(), moderation(name="science-b")
    assert naming.consumer_group(one) != naming.consumer_group(other)
    want = desired(one, PLAINTEXT, Capabilities())
    assert [(reader.name, reader.group) for reader in want.readers] == [
        ("main", naming.consumer_group(one))
    ]
