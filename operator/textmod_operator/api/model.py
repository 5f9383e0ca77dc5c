"""`spec.model`: the packaged model and its pods."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from textmod_operator.api.fields import UNIQUE_NAMES, FreeForm, ImageName, ObjectName
from textmod_operator.api.quantity import Quantity
from textmod_operator.api.rules import Rule, Strict, part


class Parameter(Strict):
    """One parameter of the model."""

    name: str = Field(min_length=1, max_length=253, description="Name of the parameter.")
    value: str = Field(max_length=4096, description="Its value, as a string.")
    type: Literal["INT", "FLOAT", "DOUBLE", "STRING", "BOOL"] = Field(
        default="STRING", description="Type that the value is read as. Default: STRING."
    )


class Resources(Strict):
    """Compute resources of one container."""

    requests: dict[str, Quantity] = Field(
        default_factory=dict,
        description="What is set aside for the container, by resource, such as cpu: 500m. Default: "
        "none, where resources is given.",
        json_schema_extra={"maxProperties": 16},
    )
    limits: dict[str, Quantity] = Field(
        default_factory=dict,
        description="What the container can use at most, by resource, such as memory: 512Mi. "
        "Default: none, where resources is given.",
        json_schema_extra={"maxProperties": 16},
    )


class EnvVar(Strict):
    name: str = Field(min_length=1, max_length=253, description="Name of the variable.")
    value: str | None = Field(
        default=None, max_length=32768, description="Its value. Default: empty."
    )
    value_from: FreeForm | None = Field(
        default=None, description="Where the value is read from, as in a Pod. Default: nowhere."
    )


class LocalObjectReference(Strict):
    name: ObjectName = Field(description="Name of an object in the same namespace.")


def _once(entries: list[Any]) -> bool:
    return len({entry.name for entry in entries}) == len(entries)


RESERVED_ENV_PREFIXES = ("TEXTMOD_", "PREDICTIVE_UNIT_")
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"


class Model(Strict):
    """The packaged model and its pods."""

    rules = (
        Rule(
            "!has(self.env) || self.env.all(e, !e.name.startsWith('TEXTMOD_') && "
            "!e.name.startsWith('PREDICTIVE_UNIT_'))",
            "model.env must not set TEXTMOD_* or PREDICTIVE_UNIT_*: the operator and Seldon set "
            "those from the rest of the spec",
            lambda model: all(
                not entry.name.startswith(RESERVED_ENV_PREFIXES) for entry in model.env
            ),
        ),
        Rule(
            None,  # the list's type says it to the API server
            "model.env and model.imagePullSecrets must name every entry once",
            lambda model: _once(model.env) and _once(model.image_pull_secrets),
        ),
        Rule(
            "!has(self.priorityClassName) || !self.priorityClassName.startsWith('system-')",
            "model.priorityClassName must not begin with system-: the pods would take the nodes "
            "from everything else, which is for the cluster's own components",
            lambda model: not (model.priority_class_name or "").startswith("system-"),
        ),
        Rule(
            f"!has(self.podAnnotations) || self.podAnnotations.all(key, "
            f"!key.startsWith('{APP_ARMOR}') || self.podAnnotations[key] != 'unconfined')",
            "model.podAnnotations must not switch AppArmor off (unconfined): model pods are "
            "restricted in the sense of Pod Security",
            lambda model: (
                not any(
                    key.startswith(APP_ARMOR) and value == "unconfined"
                    for key, value in model.pod_annotations.items()
                )
            ),
        ),
    )

    image: ImageName = Field(
        description="The packaged model's image, such as textmoderation/nlp-model:0.1.0.",
    )
    digest: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        max_length=71,
        description="Digest of the model artifact inside the image; an image that holds another "
        "never serves. Default: any.",
    )
    parameters: list[Parameter] = Field(
        default_factory=list,
        max_length=64,
        description="Parameters handed to the model, as in Seldon's graph. The project's own image "
        "knows one, threshold, which model.threshold overrides. Default: none.",
    )
    threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Score from which a text counts as flagged, from 0 to 1. Default: the "
        "artifact's own operating point.",
    )
    resources: Resources = part(
        Resources(requests={"cpu": "500m", "memory": "256Mi"}, limits={"memory": "512Mi"}),
        "Requests and limits of the model container, as in a Pod. Default: requests "
        "of 500m CPU and 256Mi memory, a limit of 512Mi memory.",
    )
    env: list[EnvVar] = Field(
        default_factory=list,
        max_length=64,
        description="More environment variables of the model container, as in a Pod. Default: "
        "none.",
        json_schema_extra=UNIQUE_NAMES,
    )
    image_pull_secrets: list[LocalObjectReference] = Field(
        default_factory=list,
        max_length=16,
        description="Secrets to pull the image with, as in a Pod. Default: none.",
        json_schema_extra=UNIQUE_NAMES,
    )
    service_account_name: ObjectName | None = Field(
        default=None,
        description="ServiceAccount of the pods, as in a Pod: the one whose AWS role logs in to "
        "Amazon MSK, for instance. The pods get no token for the Kubernetes API. Default: the "
        "namespace's own, default.",
    )
    priority_class_name: ObjectName | None = Field(
        default=None,
        description="PriorityClass of the pods, as in a Pod. Default: the cluster's default, which "
        "is priority 0 where no PriorityClass is marked as it.",
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict,
        description="Labels that a node must have, as in a Pod. Default: any node.",
        json_schema_extra={"maxProperties": 64},
    )
    tolerations: list[FreeForm] = Field(
        default_factory=list,
        max_length=64,
        description="Taints that the pods tolerate, as in a Pod. Default: none.",
    )
    affinity: FreeForm = Field(
        default_factory=dict, description="Affinity of the pods, as in a Pod. Default: none."
    )
    pod_annotations: dict[str, str] = Field(
        default_factory=dict,
        description="More annotations of the pods. Default: none.",
        json_schema_extra={"maxProperties": 64},
    )
