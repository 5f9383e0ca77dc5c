"""What is made for `spec.review.console`, and what a pass says of it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from objects import PLAINTEXT, merged, moderation
from world import DEPLOYMENT, SERVING, World, pod, serving

from textmod_dev.process_node.environment import expand
from textmod_operator import naming
from textmod_operator.__main__ import _parser, _settings
from textmod_operator.desired import desired
from textmod_operator.desired.console import ConsoleSecrets
from textmod_operator.errors import ClusterError, TopicsNotReady
from textmod_operator.kube.resources import OWNED_KINDS
from textmod_operator.settings import ConsoleSettings
from textmod_operator.state import Capabilities, KafkaConnection, Manifest, OAuthClient

DATABASE = {"database": {"secretRef": {"name": "review-database"}}}
PROXY = {"authentication": {"proxy": {"secretRef": {"name": "proxy"}, "userHeader": "X-User"}}}
URL = b"postgresql://review:open-sesame@db.svc:6543/review"
MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
KAFKA = {
    "tls": {"caSecretRef": {"name": "ca"}},
    "sasl": {"mechanism": "SCRAM-SHA-512", "secretRef": {"name": "login"}},
}
SECURE = KafkaConnection("kafka:9092", "SCRAM-SHA-512", "sally", "open-sesame", tls=True)
SETTINGS = ConsoleSettings("console:1", "textmod-system", (MONITORING,))


def asked(console: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {**DEPLOYMENT, "review": {"console": console or {}}, **spec}


def made(
    console: dict[str, Any] | None = None,
    *,
    connection: KafkaConnection = PLAINTEXT,
    settings: ConsoleSettings = SETTINGS,
    secrets: ConsoleSecrets | None = None,
    **spec: Any,
) -> dict[str, Manifest]:
    tm = moderation(asked(console, **spec))
    capabilities = Capabilities(console=settings)
    want = desired(tm, connection, capabilities, None, secrets or ConsoleSecrets())
    return {manifest["kind"]: manifest for manifest in want.console}


def pod_of(objects: dict[str, Manifest]) -> Manifest:
    return (objects.get("StatefulSet") or objects["Deployment"])["spec"]["template"]["spec"]


def environment(objects: dict[str, Manifest]) -> dict[str, Any]:
    (container,) = pod_of(objects)["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


# --- what is made ---------------------------------------------------------------------------------


def test_without_review_and_with_a_console_switched_off_nothing_is_made() -> None:
    assert desired(moderation(DEPLOYMENT), PLAINTEXT, Capabilities()).console == ()
    assert made({"enabled": False}) == {}


def test_every_kind_is_watched_and_pruned_and_every_name_is_the_consoles() -> None:
    everything = made({**DATABASE, "replicas": 2, "ingress": {"host": "review.example.com"}})
    known = set(OWNED_KINDS)
    for manifest in [*everything.values(), *made().values()]:
        assert (manifest["apiVersion"], manifest["kind"]) in known
        assert manifest["metadata"]["name"] == "science-console"
        assert manifest["metadata"]["labels"][naming.NAME_LABEL] == "science"
        assert manifest["metadata"]["labels"][naming.MANAGED_BY_LABEL] == naming.MANAGED_BY
    assert set(made()) == {"ServiceAccount", "Service", "NetworkPolicy", "StatefulSet"}
    assert set(everything) == {
        "ServiceAccount", "Service", "NetworkPolicy", "Ingress", "PodDisruptionBudget", "Deployment"
    }  # fmt: skip
    budget = everything["PodDisruptionBudget"]["spec"]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_the_longest_name_leaves_room_for_the_hash_of_a_stateful_set() -> None:
    longest = moderation({}, name="a" * 42)
    assert len(naming.console(longest)) + len("-0123456789") <= 63


def test_the_consoles_pods_are_none_of_the_models() -> None:
    for objects in (made(), made(DATABASE)):
        workload = objects.get("StatefulSet") or objects["Deployment"]
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert naming.NAME_LABEL not in labels
        selector = workload["spec"]["selector"]["matchLabels"]
        assert selector == objects["Service"]["spec"]["selector"]
        assert selector == objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
        assert selector.items() <= labels.items()


@pytest.mark.parametrize("console", [{}, DATABASE])
def test_the_pod_is_restricted(console: dict[str, Any]) -> None:
    spec = pod_of(made(console))
    (container,) = spec["containers"]
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"] is True
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    writable = {
        mount["mountPath"] for mount in container["volumeMounts"] if "readOnly" not in mount
    }
    assert writable == {"/tmp", "/data"}
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")]
    assert {probe["port"] for probe in probes} == {naming.CONSOLE_INTERNAL_PORT}
    assert spec["serviceAccountName"] == "science-console"


@pytest.mark.parametrize("console", [{}, DATABASE])
def test_where_the_cluster_assigns_users_and_groups_the_pod_asks_for_none(
    console: dict[str, Any],
) -> None:
    assert pod_of(made(console))["securityContext"]["fsGroup"] == 65532
    openshift = Capabilities(assigned_ids=True, console=SETTINGS)
    want = desired(moderation(asked(console)), PLAINTEXT, openshift)
    objects = {manifest["kind"]: manifest for manifest in want.console}
    assert "securityContext" not in pod_of(objects)
    (container,) = pod_of(objects)["containers"]
    assert not {"runAsUser", "runAsGroup"} & container["securityContext"].keys()


@pytest.mark.parametrize(("policy", "when"), [("Retain", "Retain"), ("Delete", "Delete")])
def test_the_volume_lives_as_long_as_the_topics(policy: str, when: str) -> None:
    spec = made({"storage": {"size": "5Gi"}}, topics={"deletionPolicy": policy})["StatefulSet"]
    retention = spec["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert retention == {"whenDeleted": when, "whenScaled": "Retain"}
    (claim,) = spec["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"
    assert "storageClassName" not in claim["spec"]


def test_the_image_is_the_objects_or_the_operators() -> None:
    assert pod_of(made())["containers"][0]["image"] == "console:1"
    assert pod_of(made({"image": "mine:2"}))["containers"][0]["image"] == "mine:2"


def test_secrets_go_by_reference_and_roll_the_pods_when_they_change() -> None:
    before = made({**DATABASE, **PROXY}, connection=SECURE, kafka=KAFKA)
    assert "open-sesame" not in str(before)
    read = environment(before)
    assert read["TEXTMOD_CONSOLE_DATABASE_URL"] == {
        "secretKeyRef": {"name": "review-database", "key": "url"}
    }
    assert read["TEXTMOD_CONSOLE_PROXY_SECRET"]["secretKeyRef"]["name"] == "proxy"
    assert read["TEXTMOD_CONSOLE_SESSION_KEY"]["secretKeyRef"]["name"] == "science-console-session"
    assert (read["TEXTMOD_CONSOLE_AUTHENTICATION"], read["TEXTMOD_CONSOLE_PROXY_USER_HEADER"]) == (
        "Proxy", "X-User"
    )  # fmt: skip
    other = made(
        {**DATABASE, **PROXY}, connection=SECURE, kafka=KAFKA,
        secrets=ConsoleSecrets("changed"),
    )  # fmt: skip
    annotation = naming.CONSOLE_REVISION_ANNOTATION

    def revision(objects: dict[str, Manifest]) -> str:
        return objects["Deployment"]["spec"]["template"]["metadata"]["annotations"][annotation]

    assert revision(before) != revision(other)


# --- network --------------------------------------------------------------------------------------


def policy(console: dict[str, Any] | None = None, **options: Any) -> Manifest:
    return made(console, **options)["NetworkPolicy"]["spec"]


def test_the_internal_port_is_for_the_operator_and_who_scrapes() -> None:
    pages, internal = policy()["ingress"]
    assert ([port["port"] for port in pages["ports"]], "from" in pages) == ([8080], False)
    assert [port["port"] for port in internal["ports"]] == [8081]
    operator = {"kubernetes.io/metadata.name": "textmod-system"}
    assert internal["from"] == [{"namespaceSelector": {"matchLabels": operator}}, MONITORING]


def outgoing(spec: Manifest) -> set[int | tuple[int, int]]:
    (rule,) = spec["egress"]
    return {
        (one["port"], one["endPort"]) if "endPort" in one else one["port"] for one in rule["ports"]
    }


def test_what_goes_out_is_dns_the_api_server_the_brokers_and_the_database() -> None:
    far = KafkaConnection("a.example:9094,b.example:9095")
    assert outgoing(policy(connection=far)) == {53, 5353, 443, 6443, 9094, 9095}
    assert 5432 in outgoing(policy(DATABASE))
    assert 6543 in outgoing(policy(DATABASE, secrets=ConsoleSecrets("x", 6543)))
    nodes = KafkaConnection("node:31092")
    assert (30000, 32767) in outgoing(policy(connection=nodes))


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("https://hooks.example.com:8443/in", 8443),
        ("http://hooks.example.com/in", 80),
        ("https://hooks.example.com:port/in", 443),
        ("https://hooks.example.com:99999/in", 443),
        ("https://[bad/in", 443),
    ],
)
def test_addresses_that_cannot_be_read_are_no_problem_of_the_stream(url: str, port: int) -> None:
    """Who sends there reports them."""
    hook = {"name": "bot", "url": url, "secretRef": {"name": "hook"}}
    provider = OAuthClient(url, "id", "secret", None, None)
    login = KafkaConnection("kafka:9092", "OAUTHBEARER", oauth=provider)
    assert port in outgoing(policy({"webhooks": [hook]}))
    assert port in outgoing(policy(connection=login))


def test_a_network_policy_can_be_left_to_others() -> None:
    assert "NetworkPolicy" not in made(settings=replace(SETTINGS, network_policy=False))


def test_an_ingress_and_the_address_that_is_told() -> None:
    host = {"host": "review.example.com", "tlsSecretName": "tls", "annotations": {"a/b": "c"}}
    ingress = made({"ingress": host})["Ingress"]
    assert ingress["metadata"]["annotations"] == {"a/b": "c"}
    assert ingress["spec"]["tls"] == [{"hosts": ["review.example.com"], "secretName": "tls"}]
    (rule,) = ingress["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "science-console", "port": {"name": "http"}}

    def told(console: dict[str, Any]) -> str | None:
        return desired(moderation(asked(console)), PLAINTEXT, Capabilities()).console_url

    assert told({"ingress": host}) == "https://review.example.com/"
    assert told({"ingress": {"host": "h.example.com"}}) == "http://h.example.com/"
    assert told({}) == "http://science-console.reddit.svc:8080/"
    assert told({"enabled": False}) is None


@pytest.mark.parametrize("peers", ["{", "{}", '["everybody"]'])
def test_peers_that_are_none_are_refused_with_an_example(peers: str) -> None:
    arguments = _parser().parse_args(["run", f"--console-metrics-from={peers}"])
    with pytest.raises(ValueError, match="JSON list of NetworkPolicy peers"):
        _settings(arguments)


# --- a pass ---------------------------------------------------------------------------------------


IP = "10.0.0.7"
READY_CONSOLE = {"observedGeneration": None, "replicas": 1, "updatedReplicas": 1}


def world(*, ready: bool = True, **status: Any) -> World:
    """A stream that serves, with a console that is as `status` of its StatefulSet says."""
    it = serving()
    it.cluster.status = {**SERVING, "StatefulSet": {**READY_CONSOLE, **status}}
    it.cluster.console_pods_of = (pod(name="science-console-0", ready=ready),)
    return it


def status_of(it: World) -> Manifest:
    assert it.cluster.body is not None
    return it.cluster.body["status"]


def test_a_console_that_serves() -> None:
    it = world()
    starting, it.cluster.console_pods_of = it.cluster.console_pods_of, ()
    it.run(asked())
    it.cluster.console_pods_of = starting
    outcome = it.run(asked())
    assert outcome is not None
    assert not outcome.uses_secrets
    assert it.told["ReviewReady"] == ("True", "Serving")
    assert it.told["Ready"] == ("True", "Ready")
    assert status_of(it)["console"] == {
        "url": "http://science-console.reddit.svc:8080/", "ready": True
    }  # fmt: skip
    assert it.cluster.granted == {"reddit/science-console"}
    key = it.cluster.secrets["science-console-session"]["key"]
    assert len(key) >= 32
    it.wrote()
    it.cluster.faults["get", "Secret"] = ClusterError(500, "asked for nothing")
    it.run(asked())
    assert it.wrote() == [], "a pass over what is as it should be asks and writes nothing"
    assert it.cluster.secrets["science-console-session"]["key"] == key


@pytest.mark.parametrize(
    ("pods", "status", "reason"),
    [
        ((), {"replicas": 0, "updatedReplicas": 0}, "Creating"),
        ((), {}, "Creating"),  # its pod is not seen yet
        ((pod(name="c"),), {}, "Creating"),  # no node has started it yet
        ((pod(name="c", waiting_reason="ContainerCreating", address=IP),), {}, "Creating"),
        ((pod(name="c", address=IP),), {}, "ConsoleUnavailable"),
        ((pod(name="c", waiting_reason="ImagePullBackOff"),), {}, "ImageUnavailable"),
        ((pod(name="c", waiting_reason="CrashLoopBackOff"),), {}, "CrashLooping"),
        ((pod(name="c", waiting_reason="CreateContainerConfigError"),), {}, "ContainerNotStarting"),
        ((pod(name="c", unscheduled="unbound volume"),), {}, "Unschedulable"),
        ((pod(name="c", ready=True),), {"updatedReplicas": 0}, "RollingOut"),
    ],
)
def test_a_console_that_does_not_serve_and_a_stream_that_does(
    pods: tuple[Any, ...], status: Manifest, reason: str
) -> None:
    it = world(**status)
    it.cluster.console_pods_of = pods
    it.run(asked())
    assert it.told["ReviewReady"] == ("False", reason)
    assert it.told["Ready"] == ("True", "Ready")
    assert it.told["Reconciling"] == ("False", "Settled")
    assert status_of(it)["console"]["ready"] is any(one.ready for one in pods)


@pytest.mark.parametrize(
    ("secrets", "reason"),
    [
        ({}, "DatabaseNotFound"),
        ({"review-database": {"other": URL}}, "DatabaseNotFound"),
        ({"review-database": {"url": b"mysql://db/review"}}, "DatabaseNotFound"),
        ({"review-database": {"url": URL}}, "SecretNotFound"),
        ({"review-database": {"url": URL}, "proxy": {}}, "SecretKeyMissing"),
        ({"review-database": {"url": URL}, "proxy": {"secret": b"too short\n"}}, "SecretInvalid"),
    ],
)
def test_a_secret_that_is_not_there_leaves_the_console_as_it_is(
    secrets: dict[str, dict[str, bytes]], reason: str
) -> None:
    it = world()
    it.cluster.secrets = secrets
    outcome = it.run(asked({**DATABASE, **PROXY}))
    assert outcome is not None
    assert outcome.retry
    assert it.told["ReviewReady"] == ("False", reason)
    assert it.told["Ready"] == ("True", "Ready")
    assert "open-sesame" not in str(status_of(it))
    assert not [ref for ref in it.cluster.live if ref.name == "science-console"]


@pytest.mark.parametrize(
    ("url", "port"),
    [
        (b"postgresql://review:open[sesame@db.svc:6543/review", 6543),
        (b"postgresql://review:open/sesame@db.svc:6543/review", 6543),
        ("postgresql://review:open\u2100sesame@db.svc/review".encode(), 5432),
        (b"postgresql://review:open-sesame@[db/review", 5432),
    ],
)
def test_a_password_that_is_no_part_of_an_url_to_python_is_one_to_the_console(
    url: bytes, port: int
) -> None:
    it = world()
    it.cluster.secrets = {"review-database": {"url": url}}
    it.run(asked(DATABASE))
    (found,) = (body for ref, body in it.cluster.live.items() if ref.kind == "NetworkPolicy")
    assert port in outgoing(found["spec"])
    assert "sesame" not in str(status_of(it))
    assert it.told["Accepted"][0] == "True"


@pytest.mark.parametrize(
    ("fault", "answer", "reason"),
    [
        (("patch", "ClusterRoleBinding"), ClusterError(403, "forbidden"), "NotAuthorized"),
        (("patch", "ClusterRoleBinding"), ClusterError(404, "not found"), "NotAuthorized"),
        (("apply", "StatefulSet"), ClusterError(422, "spec: Forbidden: updates"), "ApplyFailed"),
        (("apply", "Ingress"), ClusterError(422, "host: Invalid value"), "ApplyFailed"),
        (("apply", "StatefulSet"), ClusterError(403, "exceeded quota: few"), "QuotaExceeded"),
        (("apply", "NetworkPolicy"), ClusterError(500, "Internal error"), "ApplyFailed"),
        (("create", "Secret"), ClusterError(403, "exceeded quota: no secrets"), "QuotaExceeded"),
        (("create", "Secret"), ClusterError(403, "forbidden"), "ApplyFailed"),
        (("get", "Secret"), ClusterError(500, "unable to decrypt"), "ApplyFailed"),
        (("patch", "ClusterRoleBinding"), ClusterError(409, "conflict"), "ApplyFailed"),
    ],
)
def test_what_the_api_server_refuses_is_a_problem_of_the_console_alone(
    fault: tuple[str, str], answer: ClusterError, reason: str
) -> None:
    it = world(ready=False)
    it.cluster.faults[fault] = answer
    it.run(asked({"ingress": {"host": "review.example.com"}}))
    assert it.told["ReviewReady"] == ("False", reason)
    assert it.told["Accepted"][0] == it.told["Ready"][0] == "True"


def test_a_database_secret_that_cannot_be_read_is_a_problem_of_the_console_alone() -> None:
    it = world()
    it.cluster.faults["get", "Secret"] = ClusterError(500, "unable to decrypt")
    it.run(asked(DATABASE))
    assert it.told["ReviewReady"] == ("False", "ApplyFailed")
    assert it.told["Accepted"][0] == it.told["Ready"][0] == "True"


def test_a_permission_is_granted_once_the_account_exists() -> None:
    """The next grant to another console drops accounts that do not exist."""
    it = world()
    it.cluster.faults["apply", "ServiceAccount"] = ClusterError(500, "Internal error")
    it.run(asked())
    assert it.cluster.granted == set()


def test_removing_review_removes_the_console_and_its_permission() -> None:
    it = world()
    it.run(asked({"ingress": {"host": "review.example.com"}}))
    it.run(DEPLOYMENT)
    assert not [ref for ref in it.cluster.live if ref.name == "science-console"]
    assert it.cluster.granted == set()
    assert "ReviewReady" not in it.told
    assert "console" not in status_of(it)
    assert it.told["Ready"] == ("True", "Ready")


HOOK = {"name": "site", "url": "https://example.com:8443/hook", "secretRef": {"name": "site"}}
HOOKED = {"webhooks": [HOOK]}
KEY = b"whsec_" + base64.b64encode(bytes(32))


def test_a_webhook_is_handed_over_with_its_secret_as_a_file_and_its_port_opened() -> None:
    objects = made(HOOKED)
    (volume,) = [v for v in pod_of(objects)["volumes"] if v["name"] == "webhooks"]
    (source,) = volume["projected"]["sources"]
    assert source["secret"]["items"] == [{"key": "secret", "path": "site/secret"}]
    assert "webhooks" not in {v["name"] for v in pod_of(made())["volumes"]}
    assert "secret" not in environment(objects)["TEXTMOD_CONSOLE_WEBHOOKS"]
    assert 8443 in outgoing(objects["NetworkPolicy"]["spec"])
    assert 8443 not in outgoing(made()["NetworkPolicy"]["spec"])


def test_a_webhooks_address_reaches_the_console_as_it_is() -> None:
    """Kubernetes replaces $(NAME) and $$ in the values of variables."""
    url = "https://example.com/$(TEXTMOD_OBJECT_NAME)?$$=$$$"
    given = environment(made({"webhooks": [{**HOOK, "url": url}]}))["TEXTMOD_CONSOLE_WEBHOOKS"]
    (hook,) = json.loads(expand(given, {"TEXTMOD_OBJECT_NAME": "science"}))
    assert hook["url"] == url


def test_networks_of_webhooks_reach_consoles_that_have_some() -> None:
    settings = replace(SETTINGS, webhook_networks=("10.96.0.0/12", "fd00::/8"))
    given = environment(made(HOOKED, settings=settings))
    assert given["TEXTMOD_CONSOLE_WEBHOOK_NETWORKS"] == "10.96.0.0/12,fd00::/8"
    assert environment(made(settings=settings)) == environment(made())
    assert "TEXTMOD_CONSOLE_WEBHOOK_NETWORKS" not in environment(made(HOOKED))


@pytest.mark.parametrize("given", ["10.0.0.1/8", "example.com", "10.0.0.0/33"])
def test_a_network_that_is_none_is_refused_at_the_start(given: str) -> None:
    arguments = _parser().parse_args(["run", f"--console-webhook-networks=127.0.0.0/8,{given}"])
    with pytest.raises(ValueError, match=f"names {given}"):
        _settings(arguments)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "SecretNotFound"),
        ({}, "SecretKeyMissing"),
        ({"secret": b""}, "SecretInvalid"),
        ({"secret": b"hunter2"}, "SecretInvalid"),
        ({"secret": b"whsec_c2hvcnQ="}, "SecretInvalid"),
        ({"secret": KEY + b"\n" + KEY}, None),
        ({"secret": base64.b64encode(bytes(24))}, None),
    ],
)
def test_a_webhooks_secret_is_checked(data: dict[str, bytes] | None, reason: str | None) -> None:
    it = world()
    if data is not None:
        it.cluster.secrets["site"] = data
    it.run(asked(HOOKED))
    assert it.told["ReviewReady"] == (("False", reason) if reason else ("True", "Serving"))
    assert it.told["Ready"] == ("True", "Ready")
    assert "hunter2" not in str(status_of(it))


ASKED = [{"name": "spam", "rules": [{"action": "Remove", "atLeast": 0.9}]}]


def thresholds(it: World) -> Manifest | None:
    """What the console is handed of the policies."""
    found = [body for ref, body in it.cluster.live.items() if ref.kind == "ConfigMap"]
    one = next((body for body in found if body["metadata"]["name"] == "science-console"), None)
    return None if one is None else json.loads(one["data"]["policies.json"])


def test_the_console_is_handed_the_thresholds_of_the_status() -> None:
    it = world()
    it.run(asked(policies=ASKED))
    handed = thresholds(it)
    assert handed is not None
    assert handed["version"] == status_of(it)["policyVersion"]
    assert handed["policies"] == status_of(it)["policies"]
    (volume,) = [v for v in pod_of(made(policies=ASKED))["volumes"] if "configMap" in v]
    assert volume["configMap"] == {"name": "science-console", "optional": True}
    assert environment(made(policies=ASKED))["TEXTMOD_CONSOLE_POLICIES_FILE"].startswith("/etc/")
    assert "TEXTMOD_CONSOLE_POLICIES_FILE" not in environment(made())
    reasons = {"ground": "DECISION_GROUND_ILLEGAL_CONTENT"}
    it.run(asked(policies=[{**ASKED[0], "statementOfReasons": reasons}]))
    handed = thresholds(it)
    assert handed is not None
    assert handed["policies"][0]["statementOfReasons"] == reasons
    it.run(asked())
    assert thresholds(it) is None


def test_the_consoles_thresholds_go_with_it_while_policies_are_read_on() -> None:
    it = world()
    it.run(asked(policies=ASKED))
    it.cluster.pods_of = (pod(name="science-0", ready=True, policies="sha256:1"),)
    it.run({**DEPLOYMENT, "policies": ASKED})
    assert thresholds(it) is None


def test_a_database_takes_the_place_of_the_volume() -> None:
    it = world()
    it.cluster.status["Deployment"] = {**SERVING["Deployment"], "availableReplicas": 1}
    it.cluster.secrets["review-database"] = {"url": URL}
    it.run(asked())
    it.run(asked(DATABASE))
    kinds = {ref.kind for ref in it.cluster.live if ref.name == "science-console"}
    assert "StatefulSet" not in kinds
    assert "Deployment" in kinds


def test_a_console_waits_for_the_topics() -> None:
    it = world()
    it.kafka.fault = TopicsNotReady("KafkaUnreachable", "no broker answers")
    it.run(asked())
    assert it.told["ReviewReady"] == ("Unknown", "NotLookedAt")
    assert it.cluster.live == {}


def test_a_spec_that_is_refused_says_nothing_of_the_console() -> None:
    it = World()
    login = {"sasl": {"mechanism": "PLAIN", "secretRef": {"name": "x"}}}
    it.run(merged({**DEPLOYMENT, "review": {}}, {"kafka": login}))
    assert it.told["ReviewReady"] == ("Unknown", "NotAccepted")
