"""The ConfigMap by which the console gets the thresholds in force.

It is mounted like that of the model pods (`policies.mounts`) and separate from it, because its
figures change more often than the policies do.
"""

from __future__ import annotations

import json
from dataclasses import replace

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.policies import FOLDER
from textmod_operator.state import Desired, Manifest


def document(tm: TextModeration, status: Manifest) -> Manifest:
    """Return the content of the file that the console reads.

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
    """Add the console's ConfigMap, after its ServiceAccount and before its workload.

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


def environment(tm: TextModeration) -> dict[str, str]:
    """The variable that names the file."""
    if not tm.spec.policies:
        return {}
    return {naming.CONSOLE_ENV_POLICIES_FILE: f"{FOLDER}/{naming.POLICIES_KEY}"}
