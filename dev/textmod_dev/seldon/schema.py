"""The pod's schema in Seldon's CRD: Kubernetes' own as of 1.24, of which Seldon Core 1.17 is made.

Seldon's CRD is structural: the API server knows every field of it, and answers a server-side apply
of any other with 500 "field not declared in schema". Pure: the running API server's OpenAPI
document in, a schema out, without the fields that came after 1.24.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any, Final

Json = dict[str, Any]

POD_SPEC: Final = "io.k8s.api.core.v1.PodSpec"
SINCE_1_25: Final[Mapping[str, Collection[str]]] = {
    "Container": {"resizePolicy", "restartPolicy", "restartPolicyRules"},
    "EnvVarSource": {"fileKeyRef"},
    "EphemeralContainer": {"resizePolicy", "restartPolicy", "restartPolicyRules"},
    "Lifecycle": {"stopSignal"},
    "LifecycleHandler": {"sleep"},
    "PersistentVolumeClaimSpec": {"volumeAttributesClassName"},
    "PodAffinityTerm": {"matchLabelKeys", "mismatchLabelKeys"},
    "PodSecurityContext": {"appArmorProfile", "seLinuxChangePolicy", "supplementalGroupsPolicy"},
    "PodSpec": {
        "hostUsers",
        "hostnameOverride",
        "resourceClaims",
        "resources",
        "schedulingGates",
        "schedulingGroup",
        "workloadRef",
    },
    "ResourceRequirements": {"claims"},
    "SecurityContext": {"appArmorProfile"},
    "TopologySpreadConstraint": {"matchLabelKeys", "nodeAffinityPolicy", "nodeTaintsPolicy"},
    "Volume": {"image"},
    "VolumeMount": {"recursiveReadOnly"},
    "VolumeProjection": {"clusterTrustBundle", "podCertificate"},
}
"""Type of the core API → fields that it did not have in 1.24."""
_KEPT: Final = ("type", "format", "required", "enum")
_EITHER: Final = frozenset(
    {
        "io.k8s.apimachinery.pkg.api.resource.Quantity",
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    }
)


def with_pod_schema(crd: Json, openapi: Json) -> Json:
    """The CRD with the pod's schema where Seldon has it: componentSpecs[].spec of a predictor.

    Args:
        crd: with one version.
        openapi: the API server's document of the core API, `/openapi/v3/api/v1`.
    """
    made = copy.deepcopy(crd)
    (version,) = made["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    component = spec["properties"]["predictors"]["items"]["properties"]["componentSpecs"]["items"]
    component["properties"]["spec"] = structural(openapi, POD_SPEC)
    return made


def structural(openapi: Json, name: str) -> Json:
    """A type of the document as a structural schema, with everything that it refers to inside."""
    if name in _EITHER:
        return {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
        }
    found = openapi["components"]["schemas"][name]
    newer = SINCE_1_25.get(name.rsplit(".", 1)[-1], ())
    return _schema(openapi, found, newer)


def _schema(openapi: Json, given: Json, newer: Collection[str] = ()) -> Json:
    if reference := _reference(given):
        return structural(openapi, reference.rsplit("/", 1)[-1])
    made: Json = {key: given[key] for key in _KEPT if key in given}
    if "properties" in given:
        made["properties"] = {
            key: _schema(openapi, value)
            for key, value in given["properties"].items()
            if key not in newer
        }
    for part in ("items", "additionalProperties"):
        if isinstance(given.get(part), dict):
            made[part] = _schema(openapi, given[part])
    return made


def _reference(given: Json) -> str | None:
    """Where a schema is only a name, perhaps with a default beside it."""
    for one in (given, *given.get("allOf", ())):
        if "$ref" in one:
            return str(one["$ref"])
    return None
