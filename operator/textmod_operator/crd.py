"""The CustomResourceDefinition, rendered from the API models. Pure.

Kubernetes wants structural schemas: no `$ref`, no `anyOf` with null, no `title`, and
`additionalProperties` only for maps. Unknown fields are left to the API server's own field
validation, which refuses them for kubectl and every client that asks for Strict.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from textmod_operator.api import v1alpha1 as api
from textmod_operator.api.quantity import PATTERN
from textmod_operator.api.rules import Rule, Strict
from textmod_operator.api.status import Status

Schema = dict[str, Any]

PRINTER_COLUMNS: tuple[Schema, ...] = (
    {
        "name": "Ready",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
    },
    {"name": "Replicas", "type": "integer", "jsonPath": ".status.replicas"},
    {
        "name": "Lag",
        "type": "integer",
        "jsonPath": ".status.lag.messages",
        "description": "Unread messages of the input.",
    },
    {
        "name": "Behind",
        "type": "integer",
        "jsonPath": ".status.lag.secondsBehind",
        "description": "Age of the oldest unread message, in seconds.",
    },
    {
        "name": "Rate",
        "type": "number",
        "jsonPath": ".status.rates.inPerSecond",
        "description": "Messages per second that arrive.",
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {
        "name": "Reason",
        "type": "string",
        "priority": 1,
        "jsonPath": '.status.conditions[?(@.type=="Ready")].reason',
    },
    {
        "name": "Input",
        "type": "string",
        "priority": 1,
        "jsonPath": '.status.topics[?(@.role=="input")].name',
    },
    {
        "name": "Output",
        "type": "string",
        "priority": 1,
        "jsonPath": '.status.topics[?(@.role=="output")].name',
    },
    {"name": "Image", "type": "string", "priority": 1, "jsonPath": ".spec.model.image"},
    {"name": "Platform", "type": "string", "priority": 1, "jsonPath": ".spec.serving.platform"},
)


def custom_resource_definition() -> Schema:
    """The CRD of TextModeration, as the plain object that `kubectl apply` takes."""
    # Parts that are used twice are copied: YAML would write them as anchors and aliases.
    whole: Schema = json.loads(json.dumps(_definition()))
    return whole


def _definition() -> Schema:
    schema = {
        "type": "object",
        "description": (api.TextModeration.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the API."},
            "kind": {"type": "string", "description": "TextModeration."},
            "metadata": {"type": "object"},
            "spec": _structural(api.Spec),
            "status": _structural(Status),
        },
        "x-kubernetes-validations": _validations(api.ROOT_RULES),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{api.PLURAL}.{api.GROUP}"},
        "spec": {
            "group": api.GROUP,
            "names": {
                "kind": api.KIND,
                "listKind": f"{api.KIND}List",
                "plural": api.PLURAL,
                "singular": api.SINGULAR,
                "shortNames": [api.SHORT_NAME],
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": api.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": [dict(column) for column in PRINTER_COLUMNS],
                }
            ],
        },
    }


def _structural(model: type[BaseModel]) -> Schema:
    document = model.model_json_schema(by_alias=True, ref_template="{model}")
    models = {part.__name__: part for part in _models_below(model)}
    schema = _inline(document, document.get("$defs", {}), models)
    rules = getattr(model, "rules", ())
    validations = _validations(rules)
    return schema | ({"x-kubernetes-validations": validations} if validations else {})


def _inline(node: Schema, definitions: Schema, models: dict[str, type[Strict]]) -> Schema:
    """One schema node with its references put in place and pydantic's dialect taken out."""
    if "$ref" in node:
        name = node["$ref"]
        referred = _inline(definitions[name], definitions, models)
        if validations := _validations(models[name].rules):
            referred["x-kubernetes-validations"] = validations
        own = {key: node[key] for key in ("description", "default", "nullable") if key in node}
        return referred | own
    if any(part.get("x-quantity") for part in (node, *node.get("anyOf", ()))):
        return _quantity(node)
    if node.get("x-preserve"):
        kept = {key: node[key] for key in ("description",) if key in node}
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True} | kept
    if "anyOf" in node:
        return _inline(_optional(node), definitions, models)
    schema = {
        key: value
        for key, value in node.items()
        if key not in ("title", "$defs", "additionalProperties", "properties", "items", "const")
        and not (key == "default" and value in (None, [], {}) and "properties" not in node)
    }
    if "const" in node:
        schema["enum"] = [node["const"]]
    if "properties" in node:
        schema["properties"] = {
            name: _inline(part, definitions, models) for name, part in node["properties"].items()
        }
    elif isinstance(extra := node.get("additionalProperties"), dict):
        schema["additionalProperties"] = _inline(extra, definitions, models)
    if "items" in node:
        schema["items"] = _inline(node["items"], definitions, models)
    return schema


def _optional(node: Schema) -> Schema:
    """What a field that may be left out has when it is there."""
    (branch,) = (part for part in node["anyOf"] if part.get("type") != "null")
    own: Schema = {key: node[key] for key in ("description", "nullable") if key in node}
    preserve = {"x-preserve": True} if branch.get("x-preserve") else {}
    return {**branch, **preserve, **own}


def _quantity(node: Schema) -> Schema:
    """A string, a whole number or a fraction, as in a Pod; objects and lists are refused.

    A structural schema has no type for that, and int-or-string knows no fractions. A limit on
    strings, numbers, objects or lists only applies to values of that kind.
    """
    kept = {key: node[key] for key in ("description", "nullable") if key in node}
    return {
        "x-kubernetes-preserve-unknown-fields": True,
        "pattern": PATTERN,
        "minimum": 0,
        "minProperties": 1,
        "maxProperties": 0,
        "minItems": 1,
        "maxItems": 0,
    } | kept


def _models_below(model: type[BaseModel]) -> set[type[Strict]]:
    """Every model that a field of `model` leads to."""
    found: set[type[Strict]] = set()
    pending: list[Any] = [field.annotation for field in model.model_fields.values()]
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, Strict):
            if annotation not in found:
                found.add(annotation)
                pending.extend(field.annotation for field in annotation.model_fields.values())
        else:
            pending.extend(getattr(annotation, "__args__", ()))
    return found


def _validations(rules: tuple[Rule, ...]) -> list[Schema]:
    return [{"rule": rule.cel, "message": rule.message} for rule in rules if rule.cel is not None]
