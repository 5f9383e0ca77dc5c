from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from textmod_operator.api.v1alpha1 import ROOT_RULES
from textmod_operator.crd import custom_resource_definition
from textmod_operator.reference import markdown

CRD_FILE = Path(__file__).parents[2] / "crds" / "textmoderations.yaml"
REFERENCE = Path(__file__).parents[2] / "docs" / "api.md"


def schema() -> dict[str, Any]:
    (version,) = custom_resource_definition()["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


def nodes(node: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = [(path, node)]
    for name, part in node.get("properties", {}).items():
        found += nodes(part, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(node.get(name), dict):
            found += nodes(node[name], f"{path}[]")
    return found


def test_the_file_in_crds_is_what_the_models_say() -> None:
    assert yaml.safe_load(CRD_FILE.read_text()) == custom_resource_definition(), (
        "crds/textmoderations.yaml is out of date: run `make generate`"
    )


def test_the_reference_in_docs_is_what_the_models_say() -> None:
    assert REFERENCE.read_text() == markdown(), "docs/api.md is out of date: run `make generate`"


def test_the_reference_names_every_field_and_every_rule() -> None:
    text = markdown()
    fields = {path.rpartition(".")[2].removesuffix("[]") for path, _ in nodes(schema())} - {""}
    assert [name for name in sorted(fields - ENVELOPE) if f"| `{name}`" not in text] == []
    assert all(f"- {rule.message}.\n" in text for rule in ROOT_RULES)


ENVELOPE = {"apiVersion", "kind", "metadata", "spec", "status"}


@pytest.mark.parametrize("dialect", ["$ref", "anyOf", "title", "const", "$defs"])
def test_the_schema_is_structural(dialect: str) -> None:
    assert [path for path, node in nodes(schema()) if dialect in node] == []


def test_maps_have_no_properties_of_their_own() -> None:
    both = [p for p, n in nodes(schema()) if "properties" in n and "additionalProperties" in n]
    assert both == []


def test_every_field_has_a_description() -> None:
    missing = [
        path
        for path, node in nodes(schema())
        if path and not path.endswith("[]") and path != ".metadata" and "description" not in node
    ]
    assert missing == []


def test_a_default_is_told_in_the_description_too() -> None:
    silent = [
        path
        for path, node in nodes(schema()["properties"]["spec"], ".spec")
        if not isinstance(node.get("default", {}), dict) and "Default" not in node["description"]
    ]
    assert silent == []


def test_rules_over_several_fields_reach_the_schema() -> None:
    sentences = {
        rule["message"]
        for _, node in nodes(schema())
        for rule in node.get("x-kubernetes-validations", ())
    }
    assert {rule.message for rule in ROOT_RULES} < sentences
    assert len(sentences) >= 15


def test_scale_has_the_selector_that_an_hpa_needs() -> None:
    (version,) = custom_resource_definition()["spec"]["versions"]
    assert version["subresources"]["scale"] == {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
