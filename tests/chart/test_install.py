"""The chart on a real API server: validated, installed, upgraded, rolled back, uninstalled.

The operator's pods run for real, as processes and as the chart's ServiceAccount, so that what the
chart allows is all that they can do. Two things stand in for a node: a client certificate for the
ServiceAccount's token, and an ExternalName for kube-proxy.
"""

from __future__ import annotations

import base64
import functools
import json
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import yaml
from helm import CHART, Helm, HelmError, of_kind, rendered

from textmod_dev import chart
from textmod_dev.control_plane import AutoscalerTimes
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.model_image import add_image, trained_model, training_data
from textmod_dev.processes import wait_until
from textmod_dev.progress import Progress
from textmod_operator import naming
from textmod_operator.__main__ import main as operator_command
from textmod_operator.errors import ClusterError
from textmod_operator.kube.cluster import Cluster, connect
from textmod_operator.serving.certificates import OwnCertificate

pytestmark = pytest.mark.integration

RELEASE = "textmoderation-operator"
OPERATOR = f"system:serviceaccount:{chart.NAMESPACE}:{RELEASE}"
ACCOUNT = "chart-operator"
CRD = "textmoderations.textmoderation.dev"
# 443 stands for the Service's way from its port to the pods'.
IMAGE = """
import sys
from textmod_operator.__main__ import main
sys.exit(main([a.replace("--metrics-port=6443", "--metrics-port=443") for a in sys.argv[1:]]))
"""
ADDRESS = [
    {
        "name": "TEXTMOD_OPERATOR_METRICS_ADDRESS",
        "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}},
    }
]
ON_PROCESSES = f"--set-json=extraEnv={json.dumps(ADDRESS)}"
"""Pods share the machine's ports, so each listens on its own address."""
NOT_HERE = ("monitoring.coreos.com/v1", "cert-manager.io/v1")
"""Kinds of others, whose CRDs this cluster has not."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster without our CRD, whose node has our images."""
    state = tmp_path_factory.mktemp("chart")
    times = AutoscalerTimes(
        sync=2, downscale_stabilization=5, cpu_initialization=5, initial_readiness_delay=2
    )
    with LocalCluster(
        state, seldon=False, restart_backoff=1, times=times, progress=Progress()
    ) as running:
        plane = running.control_plane
        account = plane.client_authority.issue(
            ACCOUNT,
            OPERATOR,
            organizations=["system:serviceaccounts", f"system:serviceaccounts:{chart.NAMESPACE}"],
        )
        kubeconfig = plane.write_kubeconfig(ACCOUNT, account)
        running.images.set(
            "textmoderation/operator:0.1.0",
            [sys.executable, "-c", IMAGE],
            {"TEXTMOD_OPERATOR_KUBECONFIG": str(kubeconfig)},
            use_args=True,
        )
        running.kubectl("delete", "crd", CRD)
        yield running


@pytest.fixture(scope="module")
def namespace(cluster: LocalCluster) -> str:
    """The operator's namespace, where only restricted pods may run."""
    cluster.kubectl("create", "namespace", chart.NAMESPACE)
    label = "pod-security.kubernetes.io/enforce=restricted"
    cluster.kubectl("label", "namespace", chart.NAMESPACE, label)
    wait_until(
        lambda: cluster.control_plane.service_account_ready(chart.NAMESPACE),
        "the namespace took pods",
    )
    return chart.NAMESPACE


@pytest.fixture
def installed_helm(helm: Helm, cluster: LocalCluster) -> Helm:
    """Helm on this cluster, in the operator's namespace."""
    environment = cluster.kubectl.environment()
    return functools.partial(helm, f"--namespace={chart.NAMESPACE}", env=environment)


def get(cluster: LocalCluster, *what: str) -> dict[str, Any]:
    return json.loads(cluster.kubectl("--namespace", chart.NAMESPACE, "get", *what, "-o", "json"))


def route(cluster: LocalCluster, address: str) -> None:
    """Lets the API server reach the metrics API at a pod's address."""
    to_it = {"type": "ExternalName", "externalName": address, "clusterIP": None, "clusterIPs": None}
    cluster.kubectl(
        *("--namespace", chart.NAMESPACE, "patch", "service", RELEASE, "--type=merge"),
        *("-p", json.dumps({"spec": to_it})),
    )


def addresses(cluster: LocalCluster) -> list[str]:
    """Of the operator's pods."""
    listed = get(cluster, "pods", "-l", f"app.kubernetes.io/name={RELEASE}")["items"]
    alive = [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]
    return [pod["status"]["podIP"] for pod in alive]


def figures(address: str) -> str:
    """A replica's /metrics."""
    return httpx.get(f"http://{address}:8080/metrics", timeout=5).text


def figure(address: str, metric: str) -> str:
    """A figure without labels."""
    lines = figures(address).splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith(f"{metric} "))
    return value


def served_certificate(address: str, authorities: str) -> bytes:
    """What a replica serves, verified as the API server does."""
    context = ssl.create_default_context(cadata=authorities)
    with (
        socket.create_connection((address, 443), timeout=5) as connection,
        context.wrap_socket(
            connection, server_hostname=f"{RELEASE}.{chart.NAMESPACE}.svc"
        ) as secured,
    ):
        certificate = secured.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


# --- the API server judges what is rendered -------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--set=watchNamespaces={default,kube-public},networkPolicy.modelPods.enabled=true"],
        ["--set=metricsApi.enabled=false,rbac.aggregateToUserRoles=false,replicas=1"],
        ["--set=dashboards.enabled=true,metricsApi.certificate.source=CertManager"],
        [f"--values={CHART}/ci/every-value.yaml"],
    ],
    ids=["default", "namespaces", "small", "dashboards", "every value"],
)
def test_the_api_server_accepts_what_is_rendered(
    cluster: LocalCluster, namespace: str, helm4: Helm, options: list[str]
) -> None:
    objects = [
        body
        for body in rendered(helm4, *options, namespace=namespace)
        if body["apiVersion"] not in NOT_HERE
    ]
    # A Deployment's pods are only warned about: its template is tried as the pod it makes.
    for deployment in of_kind(objects, "Deployment"):
        template = deployment["spec"]["template"]
        metadata = {**template["metadata"], "name": "tried", "namespace": namespace}
        spec = {**template["spec"], "serviceAccountName": "default"}
        objects.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    for pod in of_kind(objects, "Pod"):
        pod["spec"]["serviceAccountName"] = "default"  # the chart's own is not there in a dry run
    told = cluster.kubectl(
        *("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"),
        stdin=yaml.safe_dump_all(objects),
    )
    assert told.count("serverside-applied") == len(objects)


def test_install_yaml_is_accepted_whole(cluster: LocalCluster, namespace: str, helm4: Helm) -> None:
    text = chart.install_yaml(helm4.args[0])  # type: ignore[attr-defined]
    assert "helm.sh/chart" not in text
    assert "managed-by: Helm" not in text
    told = cluster.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text)
    bodies = [body for body in yaml.safe_load_all(text) if body]
    assert told.count("serverside-applied") == len(bodies)
    assert len(of_kind(bodies, "CustomResourceDefinition", "Deployment", "APIService")) == 3


def test_the_doctor_says_what_is_missing(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert operator_command(["doctor", f"--kubeconfig={cluster.kubeconfig}"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told] == ["FAILED", "FAILED"]
    assert "install the CRD" in told[0]
    assert "install the APIService" in told[1]


def test_without_its_secret_the_operator_says_which(cluster: LocalCluster) -> None:
    source = OwnCertificate(Cluster(connect(str(cluster.kubeconfig)), "test"), "default", RELEASE)
    with pytest.raises(ClusterError, match=f"default/{naming.CERTIFICATE_SECRET} is not there"):
        source.look(datetime.now(UTC))


# --- a release's life -----------------------------------------------------------------------------


def test_a_release_from_install_to_uninstall(
    cluster: LocalCluster, namespace: str, installed_helm: Helm
) -> None:
    """The CRD that it leaves is taken back by the release that is installed next."""
    helm = installed_helm
    options = (ON_PROCESSES, "--wait", "--timeout=60s")
    helm("install", RELEASE, CHART, *options)
    assert get(cluster, "deployment", RELEASE)["status"]["readyReplicas"] == 2

    bundle = authority(cluster)
    replicas = addresses(cluster)
    assert len({served_certificate(address, bundle) for address in replicas}) == 1
    route(cluster, replicas[0])
    wait_for_metrics_api(cluster)
    assert "Phase:          Succeeded" in helm("test", RELEASE)

    renew_certificate(cluster)
    before, bundle = bundle, authority(cluster)
    assert bundle != before
    assert bundle.endswith(before), "the old authority is trusted until it ends"
    for address in replicas:
        served_certificate(address, bundle)  # whichever it serves by now

    as_operator(cluster).grant_console("default", "kept-console")
    cluster.kubectl("apply", "-f", "-", stdin=moderation("default", "kept", "nowhere:9092"))
    helm("upgrade", RELEASE, CHART, *options, "--set=workers=2")
    assert "--workers=2" in containers(cluster)[0]["args"]
    assert authority(cluster) == bundle, "an upgrade must leave the certificate alone"
    assert consoles(cluster) == ["default/kept-console"], "and who may ask about tokens"
    helm("rollback", RELEASE, "1", "--wait", "--timeout=60s")
    assert "--workers=4" in containers(cluster)[0]["args"]
    assert authority(cluster) == bundle
    assert consoles(cluster) == ["default/kept-console"]

    helm("uninstall", RELEASE, "--wait")
    wait_until(
        lambda: left(cluster) == [f"customresourcedefinition.apiextensions.k8s.io/{CRD}"],
        "nothing but the CRD was left",
    )
    assert cluster.kubectl("get", "tm", "-n", "default", "-o", "name").split() == [
        "textmoderation.textmoderation.dev/kept"
    ]
    move_to_another_release(cluster, helm)
    assert cluster.kubectl("get", "tm", "kept", "-n", "default", "-o", "name")
    cluster.kubectl("delete", "tm", "kept", "-n", "default")


def move_to_another_release(cluster: LocalCluster, helm: Helm) -> None:
    """As the chart's README says it: the CRD that was kept is taken over; and back again."""
    elsewhere = ("moved", CHART, "--namespace=moved", "--create-namespace", ON_PROCESSES)
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        helm("install", *elsewhere)
    helm("install", *elsewhere, "--take-ownership")
    owner = "jsonpath={.metadata.annotations.meta\\.helm\\.sh/release-name}"
    assert cluster.kubectl("get", "crd", CRD, "-o", owner) == "moved"
    helm("uninstall", "moved", "--namespace=moved", "--wait")
    # By Helm again: annotated by kubectl, Helm 4's server-side apply would find a conflict.
    helm("install", RELEASE, CHART, ON_PROCESSES, "--take-ownership")
    helm("uninstall", RELEASE, "--wait")


def left(cluster: LocalCluster) -> list[str]:
    """What carries the release's label, of every kind that the chart or its parts are of."""
    kinds = (
        "all,roles,clusterroles,rolebindings,clusterrolebindings,serviceaccounts,secrets,"
        "configmaps,poddisruptionbudgets,networkpolicies,apiservices,crds"
    )
    label = f"app.kubernetes.io/instance={RELEASE}"
    return cluster.kubectl("get", kinds, "-A", "-l", label, "-o", "name").split()


def renew_certificate(cluster: LocalCluster) -> None:
    """Breaks the certificate, and has it made anew with what the chart allows the operator."""
    broken = json.dumps({"data": {"tls.crt": base64.b64encode(b"broken").decode()}})
    cluster.kubectl(
        *("--namespace", chart.NAMESPACE, "patch", "secret", naming.CERTIFICATE_SECRET),
        *("--type=merge", "-p", broken),
    )
    OwnCertificate(as_operator(cluster), chart.NAMESPACE, RELEASE).look(datetime.now(UTC))


def as_operator(cluster: LocalCluster) -> Cluster:
    """The door to the cluster with what the chart allows the operator."""
    kubeconfig = cluster.kubeconfig.parent / f"{ACCOUNT}.kubeconfig"
    return Cluster(connect(str(kubeconfig)), "test")


def consoles(cluster: LocalCluster) -> list[str]:
    """The ServiceAccounts that may ask whose token something is."""
    binding = get(cluster, "clusterrolebinding", naming.CONSOLE_CLUSTER_ROLE)
    return [f"{one['namespace']}/{one['name']}" for one in binding.get("subjects", ())]


def authority(cluster: LocalCluster) -> str:
    """The caBundle that the operator wrote."""
    spec = get(cluster, "apiservice", naming.METRICS_API_SERVICE)["spec"]
    return base64.b64decode(spec["caBundle"]).decode()


def containers(cluster: LocalCluster) -> list[dict[str, Any]]:
    return get(cluster, "deployment", RELEASE)["spec"]["template"]["spec"]["containers"]


def wait_for_metrics_api(cluster: LocalCluster) -> None:
    wait_until(
        lambda: cluster.control_plane.api_available(naming.METRICS_API_SERVICE),
        "the API server verified and reached the metrics API",
    )


def moderation(namespace: str, name: str, servers: str) -> str:
    return json.dumps(
        {
            "apiVersion": "textmoderation.dev/v1alpha1",
            "kind": "TextModeration",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "kafka": {"bootstrapServers": servers},
                "model": {"image": "textmoderation/nlp-model:0.1.0"},
                "serving": {"platform": "Deployment"},
                "topics": {"input": {"partitions": 2}, "output": {"partitions": 2}},
            },
        }
    )


# --- the operator with the chart's permissions alone ----------------------------------------------


def test_roles_in_one_namespace_are_enough_and_every_replica_answers_the_hpa(
    cluster: LocalCluster, namespace: str, helm4: Helm, wait: Callable[..., None]
) -> None:
    add_image(cluster.images, trained_model(training_data(None, Progress()), Progress()))
    helm = functools.partial(helm4, f"--namespace={namespace}", env=cluster.kubectl.environment())
    cluster.kubectl("create", "namespace", "reddit")
    helm(
        *("install", RELEASE, CHART, ON_PROCESSES, "--wait", "--timeout=60s"),
        "--set=watchNamespaces={reddit}",
    )
    replicas = addresses(cluster)
    route(cluster, replicas[0])
    wait_for_metrics_api(cluster)

    cluster.kubectl(
        "apply", "-f", "-", stdin=moderation("reddit", "science", cluster.bootstrap_servers)
    )
    cluster.kubectl("wait", "-n", "reddit", "--for=condition=Ready", "tm/science", "--timeout=60s")

    path = (
        f"/apis/external.metrics.k8s.io/v1beta1/namespaces/reddit/{naming.METRIC}"
        f"?labelSelector={naming.NAME_LABEL}%3Dscience"
    )
    leading = [figure(address, "textmod_operator_leader") for address in replicas]
    assert sorted(leading) == ["0.0", "1.0"]
    ready = 'textmoderation_condition{name="science",namespace="reddit",type="Ready"} 1.0'
    told = [ready in figures(address) for address in replicas]
    assert told == [value == "1.0" for value in leading]
    for address in replicas:
        route(cluster, address)
        wait(lambda: answers(cluster, path) == ["1"], f"replica {address} answered")

    # There is no volume here: the console's pod is what waits, and everything else is made.
    cluster.kubectl(
        *("patch", "-n", "reddit", "tm", "science", "--type=merge"),
        *("-p", json.dumps({"spec": {"review": {}}})),
    )
    reason = "jsonpath={.status.conditions[?(@.type=='ReviewReady')].reason}"
    wait(
        lambda: (
            cluster.kubectl("get", "-n", "reddit", "tm", "science", "-o", reason) == "Unschedulable"
        ),
        "the console was made",
    )
    assert consoles(cluster) == ["reddit/science-console"]

    helm("uninstall", RELEASE, "--wait")
    cluster.kubectl("delete", "namespace", "reddit", "--wait=false")


def answers(cluster: LocalCluster, path: str) -> list[str]:
    body = json.loads(cluster.kubectl("get", "--raw", path))
    return [item["value"] for item in body["items"]]


@pytest.fixture
def wait() -> Callable[..., None]:
    """Waits for a condition in which a refusal of the API server counts as not yet."""
    from textmod_dev.errors import LocalClusterError

    def until(condition: Callable[[], bool], what: str) -> None:
        def met() -> bool:
            try:
                return condition()
            except LocalClusterError:
                return False

        wait_until(met, what)

    return until
