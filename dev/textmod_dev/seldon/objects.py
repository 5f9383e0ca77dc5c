"""What a SeldonDeployment becomes. Pure: one dictionary in, dictionaries out.

Covers what the controller of Seldon Core 1.17 does with models in containers: graphs of one MODEL
unit per container, with and without the service orchestrator. Explainers, prepackaged servers,
routers, Istio and Ambassador are left out.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

API_VERSION = "machinelearning.seldon.io/v1"
ENGINE = "seldon-container-engine"
ENGINE_IMAGE = "seldonio/seldon-core-executor:1.17.1"
ENGINE_PORTS = {"http": 8000, "grpc": 5001}
UNIT_PORTS = {"http": 9000, "grpc": 9500}
METRICS_PORT = 6000
MANAGED_BY = {"app.kubernetes.io/managed-by": "seldon-core"}
PODINFO = "seldon-podinfo"
# The controller's own defaults as its chart sets them.
USER = 8888
GRACE_SECONDS = 20


class RejectedError(Exception):
    """Seldon's webhook or controller would refuse the object; the message says why."""


@dataclass
class Wanted:
    """Everything that one SeldonDeployment asks for."""

    deployments: list[Json] = field(default_factory=list)
    services: list[Json] = field(default_factory=list)


def wanted(sdep: Json) -> Wanted:
    """The Deployments and Services of a SeldonDeployment, owned by it.

    Raises:
        RejectedError: it names no container for a unit of its graph.
    """
    result = Wanted()
    for predictor in sdep["spec"]["predictors"]:
        _add_predictor(sdep, predictor, result)
    owner = {
        "apiVersion": API_VERSION,
        "kind": "SeldonDeployment",
        "name": sdep["metadata"]["name"],
        "uid": sdep["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    for item in [*result.deployments, *result.services]:
        item["metadata"]["namespace"] = sdep["metadata"]["namespace"]
        item["metadata"]["ownerReferences"] = [owner]
    return result


def shortened(name: str) -> str:
    """Names over 63 characters become a hash, as Seldon's do."""
    if len(name) <= 63:
        return name
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return f"seldon-{digest}"


def deployment_name(sdep: Json, predictor: Json, index: int) -> str:
    """``<sdep>-<predictor>-<index>-<container names joined by ->``."""
    component = predictor["componentSpecs"][index]
    if given := component.get("metadata", {}).get("name"):
        return str(given)
    names = [container["name"] for container in component["spec"]["containers"]]
    return shortened("-".join([sdep["metadata"]["name"], predictor["name"], str(index), *names]))


def _add_predictor(sdep: Json, predictor: Json, result: Wanted) -> None:
    annotations = predictor.get("annotations", {})
    engine = annotations.get("seldon.io/no-engine", "").lower() != "true"
    asked = {unit["name"]: unit for unit in units(predictor["graph"])}
    services = shortened(f"{sdep['metadata']['name']}-{predictor['name']}")
    found: dict[str, Json] = {}
    for index, component in enumerate(predictor.get("componentSpecs", ())):
        if not component.get("spec", {}).get("containers"):
            continue
        deployment = _deployment(sdep, predictor, index)
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            if (unit := asked.get(container["name"])) is None:
                continue  # a helper container: left as it is
            found[unit["name"]] = deployment
            name = shortened(f"{services}-{container['name']}")
            svc = f"seldon-app-svc-{container['name']}"
            _label(deployment, {svc: name}, select=True)
            kinds = {"seldon.io/model": "true"} if unit.get("type") == "MODEL" else {}
            _label(deployment, kinds | MANAGED_BY)
            _complete_container(sdep, predictor, unit, container)
            labels = {svc: name, "seldon-app": services} | kinds
            service = _service(sdep, name, labels, {svc: name}, UNIT_PORTS)
            service["metadata"]["annotations"] = dict(annotations)
            result.services.append(service)
            if not engine:
                _label(deployment, {"seldon-app": services}, select=True)
        result.deployments.append(deployment)
    if missing := sorted(asked.keys() - found.keys()):
        raise RejectedError(f"no container in componentSpecs is named like graph unit {missing[0]}")
    if engine:
        _add_engine(sdep, predictor, found[predictor["graph"]["name"]], services)
    ports = ENGINE_PORTS if engine else UNIT_PORTS
    labels = {"seldon-app": services} | ({} if engine else {"seldon.io/model": "true"})
    service = _service(sdep, services, labels, {"seldon-app": services}, ports)
    service["metadata"]["annotations"] = dict(annotations)
    result.services.append(service)


def units(graph: Json) -> list[Json]:
    """The units of a graph, itself first."""
    return [graph] + [unit for child in graph.get("children", ()) for unit in units(child)]


def _deployment(sdep: Json, predictor: Json, index: int) -> Json:
    component = copy.deepcopy(predictor["componentSpecs"][index])
    name = deployment_name(sdep, predictor, index)
    seldon_id = shortened(sdep["metadata"]["name"])
    metadata = component.get("metadata", {})
    extra = {**predictor.get("labels", {}), **metadata.get("labels", {})}
    own = {"app": name, "fluentd": "true", "version": predictor["name"]}
    labels = {"seldon-deployment-id": seldon_id, **own} | extra
    annotations = {
        **sdep["spec"].get("annotations", {}),
        **predictor.get("annotations", {}),
        **metadata.get("annotations", {}),
    }
    scrape = {"prometheus.io/path": "/prometheus", "prometheus.io/scrape": "true"}
    pod = component["spec"]
    pod.setdefault("securityContext", {"runAsUser": USER})
    pod.setdefault("terminationGracePeriodSeconds", GRACE_SECONDS)
    field_ref = {"fieldRef": {"fieldPath": "metadata.annotations"}, "path": "annotations"}
    pod["volumes"] = [
        *pod.get("volumes", ()),
        {"name": PODINFO, "downwardAPI": {"items": [field_ref]}},
    ]
    spec: Json = {
        "selector": {"matchLabels": {"seldon-deployment-id": seldon_id}},
        # The controller means 10 % and, by its way of saying it, gets 0.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": dict(labels), "annotations": scrape | annotations},
            "spec": pod,
        },
    }
    for source in (component, predictor, sdep["spec"]):
        if source.get("replicas") is not None:
            spec["replicas"] = source["replicas"]
            break
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": dict(labels), "annotations": dict(annotations)},
        "spec": spec,
    }


def _label(deployment: Json, labels: dict[str, str], *, select: bool = False) -> None:
    deployment["metadata"]["labels"].update(labels)
    deployment["spec"]["template"]["metadata"]["labels"].update(labels)
    if select:
        deployment["spec"]["selector"]["matchLabels"].update(labels)


def _complete_container(sdep: Json, predictor: Json, unit: Json, container: Json) -> None:
    """Adds the ports, probes, hook and environment that the model's container does not bring."""
    ports = container.setdefault("ports", [])
    for name, port in {**UNIT_PORTS, "metrics": METRICS_PORT}.items():
        if not any(existing.get("name") == name for existing in ports):
            ports.append({"name": name, "containerPort": port, "protocol": "TCP"})
    grpc = sdep["spec"].get("transport") == "grpc"
    main_port = UNIT_PORTS["grpc" if grpc else "http"]
    timing = {"periodSeconds": 5, "successThreshold": 1, "failureThreshold": 3, "timeoutSeconds": 1}
    check = {"tcpSocket": {"port": main_port}, **timing}
    container.setdefault("livenessProbe", {**check, "initialDelaySeconds": 60})
    container.setdefault("readinessProbe", {**check, "initialDelaySeconds": 20})
    sleep = {"exec": {"command": ["/bin/sh", "-c", "/bin/sleep 10"]}}
    container.setdefault("lifecycle", {"preStop": sleep})

    metrics = next(port for port in ports if port.get("name") == "metrics")
    environment = {
        "PREDICTIVE_UNIT_SERVICE_PORT": str(main_port),
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(UNIT_PORTS["http"]),
        "MLSERVER_HTTP_PORT": str(UNIT_PORTS["http"]),
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(UNIT_PORTS["grpc"]),
        "MLSERVER_GRPC_PORT": str(UNIT_PORTS["grpc"]),
        "PREDICTIVE_UNIT_ID": container["name"],
        "MLSERVER_MODEL_NAME": container["name"],
        "PREDICTIVE_UNIT_IMAGE": container["image"],
        "PREDICTOR_ID": predictor["name"],
        "PREDICTOR_LABELS": json.dumps(predictor.get("labels", {}), sort_keys=True),
        "SELDON_DEPLOYMENT_ID": sdep["metadata"]["name"],
        "SELDON_EXECUTOR_ENABLED": "true",
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(metrics["containerPort"]),
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
        "MLSERVER_METRICS_PORT": str(metrics["containerPort"]),
        "MLSERVER_METRICS_ENDPOINT": "/prometheus",
    }
    if parameters := unit.get("parameters"):
        environment["PREDICTIVE_UNIT_PARAMETERS"] = json.dumps(parameters)
    env = container.setdefault("env", [])
    if any(e["name"].startswith("PREDICTIVE_UNIT_") and "SERVICE_PORT" in e["name"] for e in env):
        env.clear()  # a bug of the controller's: one such variable erases them all
    given = {entry["name"] for entry in env}
    env += [{"name": k, "value": v} for k, v in environment.items() if k not in given]


def _add_engine(sdep: Json, predictor: Json, deployment: Json, services: str) -> None:
    """The service orchestrator beside the model: Seldon's executor."""
    _label(deployment, {"seldon-app": services}, select=True)
    deployment["metadata"]["labels"]["seldon-deployment-contains-svcorch"] = "true"
    # Neither replicas nor traffic may differ in here, or every scaling would be a rollout.
    graph = {**predictor, "replicas": 0, "traffic": 0}
    orchestrator = predictor.get("svcOrchSpec", {})
    probe = {"initialDelaySeconds": 20, "periodSeconds": 5, "timeoutSeconds": 60}
    port = ENGINE_PORTS["http"]
    arguments = {
        "sdep": sdep["metadata"]["name"],
        "namespace": sdep["metadata"]["namespace"],
        "predictor": predictor["name"],
        "http_port": str(port),
        "grpc_port": str(ENGINE_PORTS["grpc"]),
        "protocol": sdep["spec"].get("protocol", "seldon"),
        "prometheus_path": "/prometheus",
        "server_type": sdep["spec"].get("serverType", "rpc"),
        "transport": sdep["spec"].get("transport", "rest"),
        "log_work_buffer_size": "10000",
        "log_write_timeout_ms": "2000",
    }
    container = {
        "name": ENGINE,
        "image": ENGINE_IMAGE,
        "args": [
            *(part for name, value in arguments.items() for part in (f"--{name}", value)),
            "--full_health_checks=false",
        ],
        "env": [
            {
                "name": "ENGINE_PREDICTOR",
                "value": base64.b64encode(json.dumps(graph, sort_keys=True).encode()).decode(),
            },
            {"name": "REQUEST_LOGGER_DEFAULT_ENDPOINT", "value": "http://default-broker"},
            *orchestrator.get("env", ()),
        ],
        # The controller names port 8000 twice, "metrics" too, which server-side apply refuses.
        "ports": [
            {"name": name, "containerPort": number, "protocol": "TCP"}
            for name, number in ENGINE_PORTS.items()
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": port}, **probe},
        "livenessProbe": {"httpGet": {"path": "/live", "port": port}, **probe},
        "volumeMounts": [{"name": PODINFO, "mountPath": "/etc/podinfo"}],
        "resources": orchestrator.get("resources")
        or {
            "requests": {"cpu": "500m", "memory": "512Mi"},
            "limits": {"cpu": "500m", "memory": "512Mi"},
        },
        "securityContext": {"runAsUser": USER, "allowPrivilegeEscalation": False},
    }
    deployment["spec"]["template"]["spec"]["containers"].append(container)


def _service(
    sdep: Json, name: str, labels: dict[str, str], selector: dict[str, str], ports: dict[str, int]
) -> Json:
    seldon_id = {"seldon-deployment-id": shortened(sdep["metadata"]["name"])}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels | seldon_id | MANAGED_BY},
        "spec": {
            "type": "ClusterIP",
            "selector": selector,
            "ports": [
                {"name": kind, "port": port, "targetPort": port, "protocol": "TCP"}
                for kind, port in ports.items()
            ],
        },
    }


def status(sdep: Json, deployments: list[Json], wanted_names: list[str]) -> Json:
    """state, description, replicas and deploymentStatus, from the Deployments as they are.

    A Deployment is named there from its first pod on, as the controller writes only figures that
    changed.
    """
    known = sdep.get("status", {}).get("deploymentStatus", {})
    by_name = {deployment["metadata"]["name"]: deployment for deployment in deployments}
    figures: Json = {}
    state, description = "Available", ""
    for name in wanted_names:
        seen = by_name.get(name, {}).get("status", {})
        replicas, available = seen.get("replicas", 0), seen.get("availableReplicas", 0)
        if name in known or replicas or available:
            figures[name] = {"replicas": replicas, "availableReplicas": available}
        conditions = {c["type"]: c for c in seen.get("conditions", ())}
        if seen.get("readyReplicas", 0) and not seen.get("unavailableReplicas", 0):
            continue
        progressing = conditions.get("Progressing", {})
        available = conditions.get("Available", {}).get("status") == "True"
        if progressing.get("status") == "False" and not available:
            state = "Failed"
            description = "Deployment is no longer progressing and not available."
        elif state != "Failed":
            state = "Creating"
    first = wanted_names[0] if wanted_names else ""
    return {
        "state": state,
        "description": description,
        "replicas": figures.get(first, {}).get("replicas", 0),
        "deploymentStatus": figures,
        "address": {"url": _address(sdep)},
    }


def _address(sdep: Json) -> str:
    predictor = sdep["spec"]["predictors"][0]
    engine = predictor.get("annotations", {}).get("seldon.io/no-engine", "").lower() != "true"
    port = (ENGINE_PORTS if engine else UNIT_PORTS)["http"]
    host = shortened(f"{sdep['metadata']['name']}-{predictor['name']}")
    namespace = sdep["metadata"]["namespace"]
    return f"http://{host}.{namespace}.svc.cluster.local:{port}/api/v1.0/predictions"
