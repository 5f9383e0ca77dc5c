"""The ConfigMap by which the model pods get their policies, and where they find it."""

from __future__ import annotations

from typing import Any, Final

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.container import variable
from textmod_operator.state import Manifest, Ref

FOLDER: Final = "/etc/textmod/policies"
_VOLUME: Final = "policies"


def config_map_ref(tm: TextModeration) -> Ref:
    """Which ConfigMap holds the policies of `tm`."""
    return Ref("v1", "ConfigMap", tm.metadata.namespace, naming.policies_config_map(tm))


def config_map(tm: TextModeration, document: str, decided: str) -> Manifest:
    """The ConfigMap.

    Args:
        document: the solved form, as the model server reads it.
        decided: what the operator remembers of each threshold.
    """
    ref = config_map_ref(tm)
    return {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "metadata": {
            "name": ref.name,
            "namespace": ref.namespace,
            "labels": naming.labels(tm),
            "annotations": {naming.DECIDED_ANNOTATION: decided},
        },
        "data": {naming.POLICIES_KEY: document},
    }


def volumes(tm: TextModeration, config_map: str) -> list[Manifest]:
    """The volume of a model pod or a console, of the ConfigMap that it reads: none without
    policies.

    It is optional: where thresholds are computed from the model's own scores, a model pod has to
    run before the ConfigMap exists, and waits for it. A console also serves without it.
    """
    if not tm.spec.policies:
        return []
    return [{"name": _VOLUME, "configMap": {"name": config_map, "optional": True}}]


def mounts(tm: TextModeration) -> list[dict[str, Any]]:
    """Where it is mounted: as a folder, since a file mounted by itself never changes."""
    if not tm.spec.policies:
        return []
    return [{"name": _VOLUME, "mountPath": FOLDER, "readOnly": True}]


def environment(tm: TextModeration) -> list[Manifest]:
    """The variable that names the file."""
    if not tm.spec.policies:
        return []
    return [variable(naming.ENV_POLICIES_FILE, f"{FOLDER}/{naming.POLICIES_KEY}")]
