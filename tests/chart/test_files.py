"""What can be told from the chart's files alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from textmod_dev import chart

CHART = chart.folder()
ROOT = CHART.parents[1]
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def test_the_charts_crd_is_the_generated_one() -> None:
    generated = (ROOT / "crds" / "textmoderations.yaml").read_text()
    assert (CHART / "files" / "textmoderations.yaml").read_text() == generated, "run make generate"


def test_the_readmes_table_is_that_of_the_values() -> None:
    readme = (CHART / "README.md").read_text()
    values = (CHART / "values.yaml").read_text()
    assert chart.with_table(readme, values) == readme, "run make generate"


def leaves(tree: Any, path: str = "") -> set[str]:
    if not isinstance(tree, dict) or not tree:
        return {path}
    return {leaf for key, part in tree.items() for leaf in leaves(part, f"{path}.{key}".strip("."))}


def test_every_value_is_told_of() -> None:
    told = {value.path for value in chart.documented((CHART / "values.yaml").read_text())}
    silent = [
        leaf for leaf in leaves(VALUES) if not any(f"{leaf}.".startswith(f"{t}.") for t in told)
    ]
    assert silent == []


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        return SCHEMA["definitions"][node["$ref"].removeprefix("#/definitions/")]
    return node


def open_objects(node: dict[str, Any], path: str = "") -> list[str]:
    """Where the schema lets in names that it does not know."""
    node = resolved(node)
    found = []
    if node.get("type") == "object":
        extra = node.get("additionalProperties", True)
        found += [path] if extra is True else []
        if isinstance(extra, dict):
            found += open_objects(extra, f"{path}.*")
    for name, part in node.get("properties", {}).items():
        found += open_objects(part, f"{path}.{name}")
    if "items" in node:
        found += open_objects(node["items"], f"{path}[]")
    return found


def test_the_schema_lets_no_unknown_name_in() -> None:
    # What Helm gives to every subchart, and what only the API server can judge.
    affinities = [
        f".affinity.{kind}" for kind in ("nodeAffinity", "podAffinity", "podAntiAffinity")
    ]
    assert open_objects(SCHEMA) == [*affinities, ".global"]


def test_the_schema_knows_every_value() -> None:
    def unknown(tree: dict[str, Any], node: dict[str, Any], path: str) -> list[str]:
        properties = resolved(node).get("properties")
        if properties is None:
            return []
        found = [f"{path}.{key}" for key in tree if key not in properties]
        for key, part in tree.items():
            if isinstance(part, dict) and key in properties:
                found += unknown(part, properties[key], f"{path}.{key}")
        return found

    assert unknown(VALUES, SCHEMA, "") == []
    # `enabled` is for the condition of a parent chart.
    assert set(SCHEMA["properties"]) - set(VALUES) == {"global", "enabled"}


def test_the_versions_are_the_projects() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert {about["version"], about["appVersion"]} == {version[1]}
    assert (
        f"{VALUES['image']['repository']}:{version[1]}"
        in about["annotations"]["artifacthub.io/images"]
    )
    (example,) = yaml.safe_load(about["annotations"]["artifacthub.io/crdsExamples"])
    from textmod_operator.api.v1alpha1 import TextModeration

    TextModeration.parse(example)


def test_the_notes_example_is_accepted() -> None:
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    from textmod_operator.api.v1alpha1 import TextModeration

    example = notes.partition("<<'END'\n")[2].partition("  END\n")[0]
    TextModeration.parse(yaml.safe_load(example))


def kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def test_every_alert_has_a_runbook() -> None:
    runbooks = ROOT / "docs" / "runbooks"
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    missing = [a["alert"] for a in alerts if not (runbooks / f"{kebab(a['alert'])}.md").exists()]
    assert missing == []


@pytest.mark.parametrize(
    "file", sorted((CHART / "dashboards").glob("*.json")), ids=lambda f: f.name
)
def test_a_dashboard_is_whole(file: Path) -> None:
    board = json.loads(file.read_text())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert board["uid"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    variables = {variable["name"] for variable in board["templating"]["list"]}
    for panel in panels:
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            used = set(re.findall(r"\$(?!__)(\w+)", target["expr"]))
            assert used <= variables, panel["title"]
