"""Writes a pod's volumes into its own folder and says which mount path is which folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from textmod_dev.process_node.atomic_files import replace_files
from textmod_dev.process_node.environment import Lookup, PodView, field_value, resource_value
from textmod_dev.process_node.errors import NotYet

Json = dict[str, Any]
CLAIM = "PersistentVolumeClaim"
VOLUMES = "volumes"
"""Below the pod's folder."""


def write_volumes(view: PodView, folder: Path) -> dict[str, Path]:
    """Volume name → its folder (or file, for a hostPath to one).

    Secrets, ConfigMaps, projections of them and the downward API are written again, all files of a
    volume at once and only if one changed; an emptyDir stays as it is, so that it outlives a
    container's restart.

    Raises:
        NotYet: something that a volume names is not there, or the volume's type is not supported.
    """
    folders = {}
    for volume in view.pod["spec"].get("volumes", ()):
        name, target = volume["name"], folder / volume["name"]
        if "hostPath" in volume:
            folders[name] = Path(volume["hostPath"]["path"])
            continue
        if "persistentVolumeClaim" in volume:
            folders[name] = _claimed(volume["persistentVolumeClaim"]["claimName"], view.lookup)
            continue
        target.mkdir(parents=True, exist_ok=True)
        folders[name] = target
        if "emptyDir" in volume:
            continue
        sources = volume["projected"].get("sources", []) if "projected" in volume else [volume]
        files = {
            path: content.encode(errors="surrogateescape")
            for source in sources
            for path, content in _files(source, name, view)
        }
        replace_files(target, files)
    return folders


def _claimed(claim: str, lookup: Lookup) -> Path:
    """The folder of the volume that a claim is bound to."""
    found = lookup(CLAIM, claim)
    if found is None:
        raise NotYet(f'persistentvolumeclaim "{claim}" is not bound to a volume of this node')
    folder = Path(found["path"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def mounts(container: Json, folders: Mapping[str, Path]) -> dict[str, Path]:
    """Mount path → local path, for one container."""
    return {
        mount["mountPath"]: folders[mount["name"]] / mount.get("subPath", "")
        for mount in container.get("volumeMounts", ())
    }


def _files(source: Json, volume: str, view: PodView) -> Iterator[tuple[str, str]]:
    if "secret" in source:
        # A Secret's volume and a projection of one name it differently.
        secret = source["secret"]
        yield from _entries(
            "Secret", secret.get("secretName") or secret["name"], secret, view.lookup
        )
    elif "configMap" in source:
        config = source["configMap"]
        yield from _entries("ConfigMap", config["name"], config, view.lookup)
    elif "downwardAPI" in source:
        for item in source["downwardAPI"].get("items", ()):
            if "fieldRef" in item:
                yield item["path"], field_value(item["fieldRef"]["fieldPath"], view)
            else:
                containers = view.pod["spec"]["containers"]
                yield item["path"], resource_value(item["resourceFieldRef"], containers, {})
    elif "serviceAccountToken" in source:
        return  # no pod here talks to the API server by its own token
    else:
        kinds = ", ".join(sorted(source.keys() - {"name"}))
        raise NotYet(f'volume "{volume}": the process node does not support {kinds}')


def _entries(kind: str, name: str, source: Json, lookup: Lookup) -> Iterator[tuple[str, str]]:
    data = lookup(kind, name)
    if data is None:
        if source.get("optional"):
            return
        raise NotYet(f'{kind.lower()} "{name}" not found')
    if "items" not in source:
        yield from data.items()
        return
    for item in source["items"]:
        if item["key"] in data:
            yield item["path"], data[item["key"]]
        elif not source.get("optional"):
            raise NotYet(f'{kind.lower()} "{name}" has no key {item["key"]}')


def references(pod: Json) -> set[tuple[str, str]]:
    """(kind, name) of each Secret, ConfigMap and claim in the pod's volumes and environment."""
    found: set[tuple[str, str]] = set()
    for volume in pod["spec"].get("volumes", ()):
        if "persistentVolumeClaim" in volume:
            found.add((CLAIM, volume["persistentVolumeClaim"]["claimName"]))
        sources = volume["projected"].get("sources", []) if "projected" in volume else [volume]
        for source in sources:
            if "secret" in source:
                secret = source["secret"]
                found.add(("Secret", secret.get("secretName") or secret["name"]))
            if "configMap" in source:
                found.add(("ConfigMap", source["configMap"]["name"]))
    spec = pod["spec"]
    for container in [*spec.get("initContainers", ()), *spec["containers"]]:
        named = [*container.get("envFrom", ())]
        named += [entry["valueFrom"] for entry in container.get("env", ()) if "valueFrom" in entry]
        for source in named:
            for field, kind in (
                ("secretRef", "Secret"),
                ("secretKeyRef", "Secret"),
                ("configMapRef", "ConfigMap"),
                ("configMapKeyRef", "ConfigMap"),
            ):
                if field in source:
                    found.add((kind, source[field]["name"]))
    return found
