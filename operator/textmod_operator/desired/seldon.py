"""The SeldonDeployment, as Seldon Core 1.17's schema, webhook and controller want it."""

from __future__ import annotations

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.container import variable
from textmod_operator.desired.pod import parameters, pod_annotations, pod_spec
from textmod_operator.state import KafkaConnection, Manifest

API_VERSION = "machinelearning.seldon.io/v1"
KIND = "SeldonDeployment"


def seldon_deployment(
    tm: TextModeration, connection: KafkaConnection, revision: str, input_topic_id: str = ""
) -> Manifest:
    """One predictor with one MODEL node, whose replica count is the only one in the object.

    Native streaming asks for no engine: no second hop, and no container that Pod Security
    "restricted" refuses. SeldonExecutor asks for serverType kafka, with the environment that
    Seldon's webhook requires and settings under which its executor loses least.
    """
    native = tm.spec.serving.streaming == "Native"
    graph_parameters = parameters(tm)
    predictor: Manifest = {
        "name": naming.PREDICTOR,
        "replicas": tm.replicas,
        "labels": naming.labels(tm),
        "graph": {
            "name": naming.CONTAINER,
            "type": "MODEL",
            "endpoint": {"type": "GRPC" if tm.spec.serving.protocol == "Grpc" else "REST"},
            **({"parameters": graph_parameters} if graph_parameters else {}),
        },
        "componentSpecs": [
            {
                "metadata": {"annotations": pod_annotations(tm)},
                "spec": pod_spec(tm, connection, revision, input_topic_id),
            }
        ],
    }
    if native:
        predictor["annotations"] = {naming.NO_ENGINE_ANNOTATION: "true"}
    else:
        predictor["svcOrchSpec"] = {"env": _executor_environment(tm, connection)}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": naming.child(tm),
            "namespace": tm.metadata.namespace,
            "labels": naming.labels(tm) | _controller(tm),
        },
        "spec": {
            "name": naming.child(tm),
            "protocol": "seldon",
            **({} if native else {"serverType": "kafka"}),
            "predictors": [predictor],
        },
    }


def _controller(tm: TextModeration) -> dict[str, str]:
    """The label by which one of several Seldon controllers takes the object; mostly none."""
    chosen = tm.metadata.labels.get(naming.SELDON_CONTROLLER_LABEL)
    return {} if chosen is None else {naming.SELDON_CONTROLLER_LABEL: chosen}


def _executor_environment(tm: TextModeration, connection: KafkaConnection) -> list[Manifest]:
    """Environment of Seldon's executor (its own names, read by its Kafka server)."""
    values = {
        "KAFKA_BROKER": connection.bootstrap_servers,
        "KAFKA_INPUT_TOPIC": tm.input_topic,
        "KAFKA_OUTPUT_TOPIC": tm.output_topic,
        # Offsets stored on poll and committed on a timer lose what is in flight; one worker keeps
        # a key's order.
        "KAFKA_AUTO_COMMIT": "false",
        "KAFKA_WORKERS": "1",
    }
    if connection.security_protocol != "PLAINTEXT":
        values["KAFKA_SECURITY_PROTOCOL"] = connection.security_protocol
    own = {entry.name: entry for entry in tm.spec.model.env if entry.name.startswith("KAFKA_")}
    entries: list[Manifest] = [
        variable(name, value) for name, value in values.items() if name not in own
    ]
    entries += [entry.model_dump(by_alias=True, exclude_none=True) for entry in own.values()]
    return entries + _executor_credentials(tm)


def _executor_credentials(tm: TextModeration) -> list[Manifest]:
    """The way to the Secrets. Certificates go as text: the executor's container has no volumes."""
    secrets: dict[str, tuple[str, str]] = {}
    entries: list[Manifest] = []
    if (sasl := tm.spec.kafka.sasl) and (login := sasl.secret_ref):  # it knows nothing else
        entries.append(variable("KAFKA_SASL_MECHANISM", sasl.mechanism))
        secrets["KAFKA_SASL_USERNAME"] = (login.name, login.username_key)
        secrets["KAFKA_SASL_PASSWORD"] = (login.name, login.password_key)
    tls = tm.spec.kafka.tls
    if tls and (ca := tls.ca_secret_ref) and (pair := tls.certificate_secret_ref):
        secrets["KAFKA_SSL_CA_CERT"] = (ca.name, ca.key)
        secrets["KAFKA_SSL_CLIENT_CERT"] = (pair.name, pair.cert_key)
        secrets["KAFKA_SSL_CLIENT_KEY"] = (pair.name, pair.key_key)
    return entries + [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for name, (secret, key) in secrets.items()
    ]
