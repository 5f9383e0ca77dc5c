"""What a container's environment and arguments come to. Pure: objects in, strings out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textmod_dev.process_node.errors import ContainerConfigError
from textmod_dev.process_node.quantities import divided

Json = dict[str, Any]

# Reads a Secret or ConfigMap ("Secret" | "ConfigMap", name) as text; None when it does not exist.
Lookup = Callable[[str, str], Mapping[str, str] | None]

HOST_IP = "127.0.0.1"

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


@dataclass(frozen=True)
class PodView:
    """A pod as its containers come to see it: its object, its address, what it refers to."""

    pod: Json
    ip: str
    lookup: Lookup


def container_environment(view: PodView, container: Json) -> dict[str, str]:
    """``envFrom``, then ``env`` over it, with ``$(VAR)`` expanded from what came before.

    Raises:
        ContainerConfigError: a Secret, ConfigMap or key is missing and not optional.
    """
    result: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        result |= _env_from(source, view.lookup)
    for entry in container.get("env", ()):
        if "valueFrom" in entry:
            value = _value_from(entry["valueFrom"], view, container)
            if value is None:
                continue
        else:
            value = expand(entry.get("value", ""), result)
        result[entry["name"]] = value
    return result


def expand(text: str, variables: Mapping[str, str]) -> str:
    """``$(NAME)`` → its value; unknown names stay as they are and ``$$`` is one dollar."""

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)


def rewrite_paths(text: str, mounts: Mapping[str, Path]) -> str:
    """Replaces mount paths by the folders that stand in for them, the longest first.

    Only whole path prefixes count: with a mount at ``/etc/kafka``, ``/etc/kafka/ca.crt`` and
    ``file:///etc/kafka/ca.crt`` change, ``/etc/kafkaesque`` and ``/opt/etc/kafka`` do not.
    """
    if not mounts:
        return text
    longest_first = sorted(mounts, key=len, reverse=True)
    paths = "|".join(re.escape(path.rstrip("/")) for path in longest_first)
    pattern = rf"(?<![\w.-])(?<![\w.-]/)({paths})(?![\w.-])"
    by_path = {path.rstrip("/"): str(local) for path, local in mounts.items()}
    return re.sub(pattern, lambda match: by_path[match[1]], text)


def field_value(path: str, view: PodView) -> str:
    """A downward API field, such as ``metadata.labels['app']`` or ``status.podIP``.

    Raises:
        ContainerConfigError: there is no such field.
    """
    metadata, spec = view.pod["metadata"], view.pod["spec"]
    if match := re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path):
        return str(metadata.get(match[1], {}).get(match[2], ""))
    if path in {"metadata.labels", "metadata.annotations"}:
        entries = metadata.get(path.removeprefix("metadata."), {})
        return "\n".join(f'{key}="{value}"' for key, value in sorted(entries.items()))
    fields = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": view.ip,
        "status.podIPs": view.ip,
        "status.hostIP": HOST_IP,
        "status.hostIPs": HOST_IP,
    }
    if path not in fields:
        raise ContainerConfigError(f"the downward API has no field {path}")
    return str(fields[path])


def resource_value(reference: Json, containers: Iterable[Json], default: Json) -> str:
    """A ``resourceFieldRef``, such as ``limits.cpu``; without a limit it is 0, not the node's."""
    name = reference.get("containerName")
    container = next((c for c in containers if c["name"] == name), default)
    kind, resource = reference["resource"].split(".", 1)
    quantity = container.get("resources", {}).get(kind, {}).get(resource, "0")
    return divided(quantity, reference.get("divisor", "1"))


def _env_from(source: Json, lookup: Lookup) -> dict[str, str]:
    kind, reference = (
        ("Secret", source["secretRef"])
        if "secretRef" in source
        else ("ConfigMap", source["configMapRef"])
    )
    data = lookup(kind, reference["name"])
    if data is None:
        if reference.get("optional"):
            return {}
        raise ContainerConfigError(f'{kind.lower()} "{reference["name"]}" not found')
    return {source.get("prefix", "") + key: value for key, value in data.items()}


def _value_from(source: Json, view: PodView, container: Json) -> str | None:
    if "fieldRef" in source:
        return field_value(source["fieldRef"]["fieldPath"], view)
    if "resourceFieldRef" in source:
        containers = view.pod["spec"]["containers"]
        return resource_value(source["resourceFieldRef"], containers, container)
    for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if field in source:
            reference = source[field]
            data = view.lookup(kind, reference["name"])
            if data is not None and reference["key"] in data:
                return data[reference["key"]]
            if reference.get("optional"):
                return None
            missing = "not found" if data is None else f"has no key {reference['key']}"
            raise ContainerConfigError(f'{kind.lower()} "{reference["name"]}" {missing}')
    raise ContainerConfigError(f"the process node does not know valueFrom {sorted(source)}")
