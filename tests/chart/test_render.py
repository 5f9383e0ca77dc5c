"""The chart as Helm renders it, with several sets of values. No cluster."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm import CHART, Helm, HelmError, of_kind, rendered

from textmod_operator import naming
from textmod_operator.settings import ConsoleSettings

pytestmark = pytest.mark.integration  # Helm is built from source, once

RULES = {file.name: yaml.safe_load(file.read_text()) for file in CHART.glob("files/*-rules.yaml")}
EVERYTHING = (
    "--set=serviceMonitor.enabled=true,podMonitor.enabled=true,prometheusRule.enabled=true",
    "--set=dashboards.enabled=true,networkPolicy.modelPods.enabled=true",
    "--set=watchNamespaces={reddit,forum},strimzi.enabled=true",
)
CERT_MANAGER = "--set=metricsApi.certificate.source=CertManager"


def test_lint(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART)


def test_both_helms_render_the_same(helm: Helm, helm4: Helm) -> None:
    assert rendered(helm, *EVERYTHING) == rendered(helm4, *EVERYTHING)


@pytest.mark.parametrize(
    "typo",
    [
        "replica=3",
        "console.webhookNetworks={example.com}",
        "image.repo=x",
        "crds.keeps=false",
        "metricsApi.certificate.issuer=x",
        "resources.request.cpu=1",
        "extraEnv[0].nam=X",
        "networkPolicy.metricsFrom[0].podSelectors.matchLabels.a=b",
        "logLevel=debug",
        "replicas=two",
        "image.digest=latest",
        "metricsApi.port=80",
        "dnsPolicy=None",
        "nameOverride=My Name",
        "fullnameOverride=1st",
        "metricsApi.certificate.certManager.issuerRef.kind=ClusterIssuer",
        "prometheusRule.alertLabels.on-call=b",
    ],
)
def test_a_typo_is_refused_by_its_name(helm: Helm, typo: str) -> None:
    name = re.split(r"[.\[\]=]+", typo)[-2]
    with pytest.raises(HelmError, match=name.rstrip("0123456789") or "extraEnv"):
        rendered(helm, f"--set={typo}")


# --- labels and network ---------------------------------------------------------------------------


class _Once(yaml.SafeLoader):
    """Refuses a mapping that has a key twice, as strict readers of YAML do."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"twice: {keys}"
        return super().construct_mapping(node, deep)


def test_a_label_that_is_given_wins_and_stands_there_once(helm: Helm) -> None:
    part_of = "app\\.kubernetes\\.io/part-of"
    text = helm(
        *("template", "textmoderation-operator", CHART, "--namespace=textmod", *EVERYTHING),
        *("--set-string", f"commonLabels.{part_of}=x,commonLabels.team=a"),
        *("--set-string", f"podLabels.{part_of}=y,serviceMonitor.labels.team=b"),
        *("--set-string", "commonLabels.app\\.kubernetes\\.io/instance=not-me"),
    )
    bodies = [body for body in yaml.load_all(text, _Once) if body]
    kinds = {body["kind"]: body for body in bodies}
    labels = kinds["Deployment"]["metadata"]["labels"]
    assert (labels["app.kubernetes.io/part-of"], labels["team"]) == ("x", "a")
    template = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert template["app.kubernetes.io/part-of"] == "y"
    selector = kinds["Deployment"]["spec"]["selector"]["matchLabels"]
    assert selector.items() <= template.items(), "what selects pods is not changed"
    assert kinds["ServiceMonitor"]["metadata"]["labels"]["team"] == "b"


@pytest.mark.parametrize(
    ("options", "network", "policy"),
    [
        ((), None, None),
        (("--set=hostNetwork=true",), True, "ClusterFirstWithHostNet"),
        (("--set=hostNetwork=true,dnsPolicy=Default",), True, "Default"),
        (("--set=dnsPolicy=ClusterFirst",), None, "ClusterFirst"),
    ],
)
def test_the_pods_can_run_in_the_nodes_network(
    helm: Helm, options: tuple[str, ...], network: bool | None, policy: str | None
) -> None:
    (deployment,) = of_kind(rendered(helm, *options), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert (pod.get("hostNetwork"), pod.get("dnsPolicy")) == (network, policy)


def test_a_network_policy_of_no_namespace_is_refused(helm4: Helm) -> None:
    with pytest.raises(HelmError, match="in each of watchNamespaces, and none is named"):
        rendered(helm4, "--set=networkPolicy.modelPods.enabled=true")


def test_names_of_digits_stay_text(helm4: Helm) -> None:
    options = (*EVERYTHING, "--set-string=watchNamespaces[0]=7,dashboards.namespace=8")
    text = helm4("template", "9", CHART, "--namespace=1", *options)
    objects = [body for body in yaml.safe_load_all(text) if body]
    namespaces = {body["metadata"].get("namespace", "") for body in objects}
    assert namespaces == {"", "kube-system", "1", "7", "8", "forum"}
    instances = {body["metadata"]["labels"]["app.kubernetes.io/instance"] for body in objects}
    assert instances == {"9"}


def test_a_parent_chart_can_switch_it_off(helm4: Helm) -> None:
    """Its condition is a value of this chart: `<name>.enabled`."""
    assert rendered(helm4, "--set=enabled=true")


def test_a_label_selector_that_is_given_is_not_narrowed(helm4: Helm) -> None:
    constraint = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    team = {"matchLabels": {"team": "moderation"}}
    constraints = json.dumps([constraint | {"labelSelector": team}, constraint])
    annotation = "podAnnotations.kubectl\\.kubernetes\\.io/default-container=sidecar"
    text = helm4(
        *("template", "textmoderation-operator", CHART, f"--set={annotation}"),
        f"--set-json=topologySpreadConstraints={constraints}",
    )
    bodies = [body for body in yaml.load_all(text, _Once) if body]
    (deployment,) = of_kind(bodies, "Deployment")
    given, own = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert given["labelSelector"] == team
    selector = deployment["spec"]["selector"]
    assert own == constraint | {"labelSelector": selector}


def test_the_notes_example_is_made_where_the_operator_watches(helm4: Helm) -> None:
    notes = helm4(  # Helm 3 asks a cluster even then
        *("install", "textmoderation-operator", CHART, "--namespace=textmod", "--dry-run=client"),
        "--set=watchNamespaces={forum,reddit},crds.keep=false",
    ).partition("NOTES:\n")[2]
    assert "kubectl apply --namespace forum -f -" in notes
    assert "kubectl wait --namespace forum --for" in notes
    assert "deletionPolicy Delete before it" in notes


# --- permissions ----------------------------------------------------------------------------------


def bound(objects: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """(kind and name, namespace) → rules, of every role that is bound to the operator."""
    roles = {
        (role["kind"], role["metadata"]["name"], role["metadata"].get("namespace", "")): role
        for role in of_kind(objects, "Role", "ClusterRole")
    }
    found = {}
    for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        if binding["metadata"]["name"] == naming.CONSOLE_CLUSTER_ROLE:
            assert "subjects" not in binding, "the operator keeps them"
            continue
        assert [(s["kind"], s["namespace"]) for s in binding["subjects"]] == [
            ("ServiceAccount", "textmod")
        ]
        ref, namespace = binding["roleRef"], binding["metadata"].get("namespace", "")
        role = roles.pop((ref["kind"], ref["name"], namespace), None)
        rules = role["rules"] if role else []
        found[f"{ref['kind']} {ref['name']}", namespace] = rules
    # What is bound to nobody are the parts of the cluster's own roles for people, and roles for
    # those who review and for their consoles.
    assert all("user" in name or name in REVIEW for _, name, _ in roles)
    return found


NAME = "textmoderation-operator"
GRANT = f"ClusterRole {NAME}-console-grant"
REVIEW = {f"textmoderation-{who}" for who in ("console", "reviewer", "lead", "auditor")}
READER = ("Role extension-apiserver-authentication-reader", "kube-system")


def test_the_operator_may_do_what_the_rule_files_say_and_no_more(helm4: Helm) -> None:
    assert bound(rendered(helm4)) == {
        (f"ClusterRole {NAME}", ""): RULES["cluster-role-rules.yaml"],
        (f"Role {NAME}-leader-election", "textmod"): RULES["lease-role-rules.yaml"],
        (f"Role {NAME}-certificate", "textmod"): RULES["certificate-role-rules.yaml"],
        (f"ClusterRole {NAME}-certificate", ""): RULES["certificate-cluster-role-rules.yaml"],
        (f"ClusterRole {NAME}-console-grant", ""): RULES["console-grant-rules.yaml"],
        READER: [],
    }


def test_with_namespaces_only_the_authority_is_written_outside_of_them(helm4: Helm) -> None:
    cluster_scoped = "customresourcedefinitions"
    rules = [r for r in RULES["cluster-role-rules.yaml"] if cluster_scoped not in r["resources"]]
    assert len(rules) == len(RULES["cluster-role-rules.yaml"]) - 1
    found = bound(rendered(helm4, "--set=watchNamespaces={reddit,forum}"))
    assert found[f"Role {NAME}", "reddit"] == found[f"Role {NAME}", "forum"] == rules
    cluster_wide = [name for name, namespace in found if namespace == ""]
    assert set(cluster_wide) == {f"ClusterRole {NAME}-certificate", GRANT}


def test_without_certificates_of_its_own_only_the_consoles_binding_is_cluster_wide(
    helm4: Helm,
) -> None:
    for option in (CERT_MANAGER, "--set=metricsApi.enabled=false"):
        found = bound(rendered(helm4, "--set=watchNamespaces={reddit}", option))
        assert [name for name, namespace in found if namespace == ""] == [GRANT]
        assert (f"Role {NAME}-certificate", "textmod") not in found


@pytest.mark.parametrize(
    ("options", "namespaces", "where"),
    [
        ((), (), [""]),
        (("--set=watchNamespaces={reddit}",), ("reddit",), ["reddit"]),
        (("--set=strimzi.namespaces={kafka,other}",), ("kafka", "other"), ["kafka", "other"]),
    ],
    ids=["everywhere", "where it watches", "where it is told"],
)
def test_kafka_topics_are_made_where_the_operator_may(
    helm4: Helm, options: tuple[str, ...], namespaces: tuple[str, ...], where: list[str]
) -> None:
    from textmod_operator.__main__ import _parser, _settings

    def strimzi(*more: str) -> tuple[list[str], tuple[str, ...] | None]:
        objects = rendered(helm4, *options, *more)
        roles = {
            at: rules for (name, at), rules in bound(objects).items() if name.endswith("-strimzi")
        }
        assert all(rules == RULES["strimzi-rules.yaml"] for rules in roles.values())
        settings = _settings(_parser().parse_args(arguments(objects)))
        return sorted(roles), settings.strimzi_namespaces

    assert strimzi("--set=strimzi.enabled=true") == (where, namespaces)
    assert strimzi() == ([], None)


def test_people_get_what_the_files_say(helm4: Helm) -> None:
    roles = {r["metadata"]["name"]: r for r in of_kind(rendered(helm4), "ClusterRole")}
    for who, to in (("view", {"view", "edit", "admin"}), ("edit", {"edit", "admin"})):
        role = roles[f"{NAME}-user-{who}"]
        prefix = "rbac.authorization.k8s.io/aggregate-to-"
        labels = role["metadata"]["labels"]
        assert {key.removeprefix(prefix) for key in labels if key.startswith(prefix)} == to
        assert role["rules"] == RULES[f"user-{who}-rules.yaml"]
    assert not [r for r in rendered(helm4, "--set=rbac.create=false") if "Role" in r["kind"]]


def test_who_reviews_gets_what_the_files_say(helm4: Helm) -> None:
    roles = {r["metadata"]["name"]: r["rules"] for r in of_kind(rendered(helm4), "ClusterRole")}
    assert roles[naming.CONSOLE_CLUSTER_ROLE] == RULES["console-rules.yaml"]
    may = {}
    for who in ("reviewer", "lead", "auditor"):
        rules = roles[f"textmoderation-{who}"]
        assert rules == RULES[f"user-{who}-rules.yaml"]
        assert {group for rule in rules for group in rule["apiGroups"]} == {"textmoderation.dev"}
        may[who] = {
            (resource.removeprefix("textmoderations/"), verb)
            for rule in rules
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
    assert may == {
        "reviewer": {("review", "get"), ("decisions", "create")},
        "lead": {("review", "get"), ("decisions", "create"), ("decisions", "get")},
        "auditor": {("decisions", "get"), ("audit", "get")},
    }


def test_consoles_get_the_charts_image_and_who_scrapes_them(helm4: Helm) -> None:
    from textmod_operator.__main__ import _parser, _settings

    def console(*options: str) -> ConsoleSettings:
        return _settings(_parser().parse_args(arguments(rendered(helm4, *options)))).console

    monitoring = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert console() == ConsoleSettings(
        f"textmoderation/console:{about['appVersion']}",
        "textmod",
        ({"namespaceSelector": monitoring},),
    )
    other = console("--set=console.image.repository=r/c,console.image.tag=v2")
    assert other.image == "r/c:v2"
    assert not console("--set=console.networkPolicy.enabled=false").network_policy
    networks = "--set=console.webhookNetworks={10.96.0.0/12,fd00::/8}"
    assert console(networks).webhook_networks == ("10.96.0.0/12", "fd00::/8")


def test_the_names_in_the_rules_are_those_in_the_code() -> None:
    for rule in RULES["console-grant-rules.yaml"]:
        assert rule["resourceNames"] == [naming.CONSOLE_CLUSTER_ROLE]
    (secret,) = RULES["certificate-role-rules.yaml"]
    (service,) = RULES["certificate-cluster-role-rules.yaml"]
    create, lease = RULES["lease-role-rules.yaml"]
    assert create["verbs"] == ["create"]
    assert lease["resourceNames"] == [naming.FIELD_MANAGER], "other Leases may lead the cluster"
    assert secret["resourceNames"] == [naming.CERTIFICATE_SECRET]
    assert service["resourceNames"] == [naming.METRICS_API_SERVICE]


# --- objects --------------------------------------------------------------------------------------


def test_the_crd_is_kept_unless_asked_otherwise(helm4: Helm) -> None:
    def crds(*options: str) -> list[dict[str, Any]]:
        return of_kind(rendered(helm4, *options), "CustomResourceDefinition")

    (crd,) = crds()
    source = yaml.safe_load((CHART / "files" / "textmoderations.yaml").read_text())
    assert crd["spec"] == source["spec"]
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in crds("--set=crds.keep=false")[0]["metadata"]
    assert crds("--set=crds.enabled=false") == []


@pytest.mark.parametrize("options", [(), EVERYTHING, (CERT_MANAGER,)], ids=["", "all", "tls"])
def test_every_pod_is_restricted(helm4: Helm, options: tuple[str, ...]) -> None:
    objects = rendered(helm4, *options)
    specs = [d["spec"]["template"]["spec"] for d in of_kind(objects, "Deployment")]
    specs += [pod["spec"] for pod in of_kind(objects, "Pod")]
    assert len(specs) == 2
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {m["mountPath"] for m in container["volumeMounts"]} >= {"/tmp"}


@pytest.mark.parametrize(
    ("options", "ids"),
    [((), {}), (("--set=podSecurityContext.runAsUser=1000660000",), {"runAsUser": 1000660000})],
    ids=["the chart's own", "given"],
)
def test_openshift_assigns_user_and_groups(
    helm: Helm, options: tuple[str, ...], ids: dict[str, int]
) -> None:
    objects = rendered(helm, "--api-versions=security.openshift.io/v1", *options)
    (deployment,), (pod,) = of_kind(objects, "Deployment"), of_kind(objects, "Pod")
    for spec in (deployment["spec"]["template"]["spec"], pod["spec"]):
        seccomp = {"type": "RuntimeDefault"}
        restricted = {"runAsNonRoot": True, "seccompProfile": seccomp}
        assert spec["securityContext"] == restricted | ids


def test_two_replicas_stay_apart_and_one_is_always_there(helm4: Helm) -> None:
    objects = rendered(helm4)
    (deployment,) = of_kind(objects, "Deployment")
    (budget,) = of_kind(objects, "PodDisruptionBudget")
    assert deployment["spec"]["replicas"] == 2
    assert budget["spec"]["maxUnavailable"] == 1
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert budget["spec"]["selector"]["matchLabels"] == selector
    (apart,) = deployment["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    assert apart["podAffinityTerm"]["labelSelector"]["matchLabels"] == selector
    assert of_kind(rendered(helm4, "--set=replicas=1"), "PodDisruptionBudget") == []


def test_no_service_reaches_the_test_pod(helm4: Helm) -> None:
    for name in ("", "true", 63 * "n"):
        objects = rendered(helm4, f"--set-string=nameOverride={name}")
        (service,) = of_kind(objects, "Service")
        (pod,) = of_kind(objects, "Pod")
        labels = pod["metadata"]["labels"]
        assert not service["spec"]["selector"].items() <= labels.items()
        assert max(map(len, labels.values())) <= 63


def arguments(objects: list[dict[str, Any]]) -> list[str]:
    (deployment,) = of_kind(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container["args"]


@pytest.mark.parametrize(
    "options",
    [(), (CERT_MANAGER,), ("--set=metricsApi.enabled=false",), EVERYTHING],
    ids=["default", "cert-manager", "no adapter", "all"],
)
def test_the_operator_understands_its_arguments(helm4: Helm, options: tuple[str, ...]) -> None:
    from textmod_operator.__main__ import _parser, _settings

    objects = rendered(helm4, *options)
    settings = _settings(_parser().parse_args(arguments(objects)))
    assert settings.lease_namespace == "textmod"
    (service,) = of_kind(objects, "Service")
    if settings.metrics_service is not None:
        name = service["metadata"]["name"]
        assert settings.metrics_service == (service["metadata"]["namespace"], name)
    for pod in of_kind(objects, "Pod"):
        _parser().parse_args(pod["spec"]["containers"][0]["args"])


def test_the_api_service_is_optional(helm4: Helm) -> None:
    (api,) = of_kind(rendered(helm4), "APIService")
    assert api["metadata"]["name"] == naming.METRICS_API_SERVICE
    assert "caBundle" not in api["spec"]
    assert "insecureSkipTLSVerify" not in api["spec"]
    for option in ("metricsApi.enabled=false", "metricsApi.apiService.create=false"):
        assert of_kind(rendered(helm4, f"--set={option}"), "APIService") == []


def test_the_operators_secret_is_left_empty_for_it(helm4: Helm) -> None:
    (secret,) = of_kind(rendered(helm4), "Secret")
    assert secret["metadata"]["name"] == naming.CERTIFICATE_SECRET
    assert "data" not in secret
    assert "stringData" not in secret


def test_cert_managers_certificate_is_the_one_that_is_mounted_and_trusted(helm4: Helm) -> None:
    objects = rendered(helm4, CERT_MANAGER)
    certificates = {c["metadata"]["name"]: c["spec"] for c in of_kind(objects, "Certificate")}
    (api,) = of_kind(objects, "APIService")
    namespace, _, name = api["metadata"]["annotations"]["cert-manager.io/inject-ca-from"].partition(
        "/"
    )
    assert namespace == "textmod"
    (service,) = of_kind(objects, "Service")
    assert certificates[name]["dnsNames"] == [f"{service['metadata']['name']}.textmod.svc"]
    (deployment,) = of_kind(objects, "Deployment")
    volumes = {v["name"]: v for v in deployment["spec"]["template"]["spec"]["volumes"]}
    assert volumes["metrics-tls"]["secret"]["secretName"] == certificates[name]["secretName"]
    issuers = {issuer["metadata"]["name"] for issuer in of_kind(objects, "Issuer")}
    assert {c["issuerRef"]["name"] for c in certificates.values()} == issuers

    own = rendered(
        helm4, CERT_MANAGER, "--set=metricsApi.certificate.certManager.issuerRef.name=ours"
    )
    assert of_kind(own, "Issuer") == []
    assert [c["spec"]["issuerRef"]["name"] for c in of_kind(own, "Certificate")] == ["ours"]


def test_the_monitors_find_what_they_look_for(helm4: Helm) -> None:
    objects = rendered(helm4, *EVERYTHING)
    (monitor,), (service,) = of_kind(objects, "ServiceMonitor"), of_kind(objects, "Service")
    selector = monitor["spec"]["selector"]["matchLabels"]
    assert selector.items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["honorLabels"] is True
    monitors = of_kind(objects, "PodMonitor")
    labels = []
    for pods in monitors:
        assert pods["spec"]["namespaceSelector"] == {"matchNames": ["reddit", "forum"]}
        (label,) = pods["spec"]["selector"]["matchExpressions"]
        labels.append(label["key"])
    assert labels == [naming.NAME_LABEL, naming.CONSOLE_LABEL]


def test_every_rendered_alert_has_its_runbook(helm4: Helm) -> None:
    objects = rendered(
        helm4,
        *EVERYTHING,
        "--set-json=prometheusRule.deadLetterRatio=0.2,prometheusRule.certificateDays=3",
        "--set=prometheusRule.alertLabels.team=moderation",
        "--set=prometheusRule.runbookBaseUrl=https://example.org/runbooks/",
    )
    (rule,) = of_kind(objects, "PrometheusRule")
    (group,) = rule["spec"]["groups"]
    by_name = {alert["alert"]: alert for alert in group["rules"]}
    assert len(by_name) == len(yaml.safe_load((CHART / "files" / "alerts.yaml").read_text()))
    for name, alert in by_name.items():
        file = re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
        assert alert["annotations"]["runbook_url"] == f"https://example.org/runbooks/{file}.md"
        assert alert["labels"]["team"] == "moderation"
        assert alert["labels"]["severity"] in {"warning", "critical"}
    assert "> 0.2" in by_name["TextModerationDeadLettersGrowing"]["expr"]
    assert "< 3 * 86400" in by_name["TextModerationCertificateExpiring"]["expr"]


def test_every_dashboard_reaches_its_config_map_unchanged(helm4: Helm) -> None:
    maps = of_kind(rendered(helm4, "--set=dashboards.enabled=true"), "ConfigMap")
    shipped = {name: json.loads(text) for body in maps for name, text in body["data"].items()}
    files = list(Path(CHART, "dashboards").glob("*.json"))
    assert shipped == {f"textmoderation-{f.name}": json.loads(f.read_text()) for f in files}
    assert {body["metadata"]["labels"]["grafana_dashboard"] for body in maps} == {"1"}


def test_the_network_policies_let_in_what_is_needed(helm4: Helm) -> None:
    objects = rendered(
        helm4,
        *EVERYTHING,
        "--set=networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring",
    )
    policies = {
        (p["metadata"]["namespace"], p["metadata"]["name"]): p["spec"]
        for p in of_kind(objects, "NetworkPolicy")
    }
    assert {namespace for namespace, _ in policies} == {"textmod", "reddit", "forum"}
    own = policies["textmod", NAME]
    api, health = own["ingress"]
    assert ("from" in api, "from" in health) == (False, True)
    assert [rule["ports"][0]["port"] for rule in (api, health)] == [6443, 8080]
    assert own["policyTypes"] == ["Ingress"]
    ports = {p["port"] for p in policies["reddit", f"{NAME}-model-pods"]["ingress"][0]["ports"]}
    assert ports == {naming.HTTP_PORT, naming.GRPC_PORT, naming.METRICS_PORT}
    assert of_kind(rendered(helm4, "--set=networkPolicy.enabled=false"), "NetworkPolicy") == []
