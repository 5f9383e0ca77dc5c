"""The ConfigMap by which the console learns the thresholds in force, and where it finds it.

It is not the one that the model pods read: its figures change more often than the policies do, and
the console needs no permission to read either.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.state import Desired, Manifest

FOLDER: Final = "/etc/textmod/policies"
_VOLUME: Final = "policies"


def document(tm: TextModeration, status: Manifest) -> Manifest:
    """What the console reads.

    Args:
        status: `policyVersion` and `policies` as the object's status has them.
    """
    asked = {policy.name: policy.statement_of_reasons for policy in tm.spec.policies}
    policies = []
    for policy in status.get("policies") or ():
        known = {key: value for key, value in policy.items() if key != "actionsPerHour"}
        if (reasons := asked.get(policy["name"])) is not None:
            known["statementOfReasons"] = reasons.model_dump(by_alias=True, exclude_none=True)
        policies.append(known)
    return {"version": status.get("policyVersion"), "policies": policies}


def with_policies(tm: TextModeration, want: Desired, status: Manifest) -> Desired:
    """The same with the console's ConfigMap, after its ServiceAccount and before its workload.

    Args:
        status: as in `document`.
    """
    if not want.console or not tm.spec.policies:
        return want
    account, *others = want.console
    written = json.dumps(document(tm, status), sort_keys=True, indent=1) + "\n"
    config_map: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**account["metadata"]},
        "data": {naming.POLICIES_KEY: written},
    }
    return replace(want, console=(account, config_map, *others))


def volumes(tm: TextModeration) -> list[Manifest]:
    """The pod's volume; optional, since a console also serves without it."""
    if not tm.spec.policies:
        return []
    return [{"name": _VOLUME, "configMap": {"name": naming.console(tm), "optional": True}}]


def mounts(tm: TextModeration) -> list[dict[str, Any]]:
    """Where it is mounted: as a folder, since a file mounted by itself never changes."""
    if not tm.spec.policies:
        return []
    return [{"name": _VOLUME, "mountPath": FOLDER, "readOnly": True}]


def environment(tm: TextModeration) -> dict[str, str]:
    """The variable that names the file."""
    if not tm.spec.policies:
        return {}
    return {naming.CONSOLE_ENV_POLICIES_FILE: f"{FOLDER}/{naming.POLICIES_KEY}"}
