"""What the documents say of the repository must be so: links, runbooks, objects, commands, metrics.

Fenced `sh` blocks carry a mark, an HTML comment in the line before: `run` blocks are run by
tests/integration/test_documents.py on the local cluster; `e2e` blocks need more than that (kind,
Docker, a registry, an installed chart) and say what; of these the tools' flags are checked there.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pages import ROOT, Block, anchors, blocks, links, pages, prose
from prometheus_client import REGISTRY

from textmod_console import metrics as console_metrics
from textmod_model.metrics import Metrics
from textmod_model.settings import Settings
from textmod_operator import metrics as operator_metrics
from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions.states import NEEDS_A_PERSON, PASSING
from textmod_operator.errors import REASONS, Problem
from textmod_operator.scaling.law import Condition

DOCS = ROOT / "docs"
RUNBOOKS = DOCS / "runbooks"
OPERATOR = ROOT / "operator" / "textmod_operator"
EVERY_BLOCK = [block for page in pages() for block in blocks(page)]
SHELL = [block for block in EVERY_BLOCK if block.language == "sh"]


def named(items: list[Block]) -> list[object]:
    return [pytest.param(item, id=str(item)) for item in items]


# --- links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        target, _, fragment = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (
            fragment and path.suffix == ".md" and fragment not in anchors(path)
        ):
            broken.append(link)
    assert broken == []


def test_every_page_of_docs_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    pending = [ROOT / "README.md"]
    while pending:
        page = pending.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        pending += [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
    assert {page for page in pages() if page.is_relative_to(DOCS)} <= seen


DECISIONS = ROOT / "decisions"


@pytest.mark.parametrize(
    "page", sorted(DECISIONS.glob("2*.md")), ids=lambda page: str(page.relative_to(DECISIONS))
)
def test_a_decision_is_listed_under_its_title(page: Path) -> None:
    date = page.name[: len("2026-11-23")]
    title = page.read_text().partition("\n")[0].removeprefix("# ")
    title = title.removeprefix(f"{date}: ").removesuffix(f" ({date})")
    line = f"- {date}: [{title[0].upper()}{title[1:]}]({page.name})"
    assert (DECISIONS / "README.md").read_text().splitlines().count(line) == 1


# --- runbooks -------------------------------------------------------------------------------------


def kebab(words: str) -> str:
    """LagUnknown → lag-unknown, as the chart's runbook_url has it."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", words).lower()


def reasons() -> set[str]:
    """Every reason of a condition that is not True."""
    return {reason for named in REASONS.values() for reason in named}


def test_the_code_gives_no_reason_that_is_not_listed() -> None:
    problems = {problem.__name__ for problem in Problem.__subclasses__()}
    found: set[str] = set(get_args(Condition))
    for file in OPERATOR.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            said = [arg.value if isinstance(arg, ast.Constant) else None for arg in node.args[:2]]
            if node.func.id in problems:
                found |= {str(reason) for reason in said[:1] if reason is not None}
            if node.func.id == "ConditionState" and said[0] == "False":
                found |= {str(reason) for reason in said[1:] if reason is not None}
    good = {"Settled", "NotStalled"}  # what Reconciling and Stalled say when all is well
    assert found - good <= reasons()
    assert reasons() >= NEEDS_A_PERSON | PASSING


def alerts() -> set[str]:
    """Names of the chart's alerts."""
    files = (ROOT / "charts").rglob("alerts.yaml")
    return {rule["alert"] for file in files for rule in yaml.safe_load(file.read_text())}


def test_every_reason_and_alert_has_a_runbook_and_every_runbook_one() -> None:
    there = {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}
    assert there == {kebab(name) for name in reasons() | alerts()}


@pytest.mark.parametrize("name", sorted(reasons() | alerts()))
def test_a_runbook_is_titled_and_listed(name: str) -> None:
    page = RUNBOOKS / f"{kebab(name)}.md"
    assert page.read_text().startswith(f"# {name}\n")
    assert f"[{name}]({page.name})" in (RUNBOOKS / "README.md").read_text()


def test_every_reason_is_reached_on_a_real_cluster() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "integration").glob("*.py"))
    # Reached in tests/operator alone: a bug, and an image of another release.
    bugs = {"InternalError", "PoliciesInvalid"}
    assert {reason for reason in reasons() - bugs if f'"{reason}"' not in tests} == set()


def test_the_table_of_reasons_is_the_codes() -> None:
    table = (ROOT / "ARCHITECTURE.md").read_text().partition("## Conditions and their reasons")[2]
    rows = re.findall(
        r"^\| (?:Accepted|QualityKnown|\w+Ready) \| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE
    )
    assert set(", ".join(rows).split(", ")) == reasons()


# --- objects --------------------------------------------------------------------------------------


def moderations() -> list[object]:
    """Every whole TextModeration in a document or in examples/."""
    texts = [(str(block), block.text) for block in EVERY_BLOCK if block.language == "yaml"]
    texts += [(path.name, path.read_text()) for path in (ROOT / "examples").glob("*.yaml")]
    return [
        pytest.param(body, id=name)
        for name, text in texts
        for body in yaml.safe_load_all(text)
        if isinstance(body, dict) and body.get("kind") == "TextModeration"
    ]


@pytest.mark.parametrize("body", moderations())
def test_objects_are_valid(body: dict[str, object]) -> None:
    TextModeration.parse(body)
    assert set(body) == {"apiVersion", "kind", "metadata", "spec"}


# --- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", named(SHELL))
def test_shell_blocks_say_who_runs_them(block: Block) -> None:
    assert block.mark in ("run", "e2e")
    assert block.mark == "run" or block.why, "an e2e block says why it is not run here"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    spans = re.findall(r"`([^`]+)`", prose(page))
    code = "\n".join([*spans, *(block.text for block in blocks(page))])
    assert set(re.findall(r"^\s*make ([a-z][a-z0-9-]*)", code, re.MULTILINE)) <= targets


# --- references -----------------------------------------------------------------------------------


def test_the_metrics_page_names_every_metric() -> None:
    text = (DOCS / "metrics.md").read_text()
    assert console_metrics.LEADER is not None  # importing it registers its metrics
    families = [*Metrics().registry.collect(), *REGISTRY.collect()]
    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in families
        if family.name.startswith(("textmod", "kafka"))
    }
    assert "textmod_operator_leader" in names
    names |= {*operator_metrics.STREAM_GAUGES, *operator_metrics.QUALITY_GAUGES}
    names |= {operator_metrics.CONDITION, naming.METRIC}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
    named = set(re.findall(r"`((?:textmod|textmoderation|kafka)_[a-z_]+)`", text))
    assert named - names == set()


def test_the_stream_page_names_every_reason_of_a_dead_letter() -> None:
    text = (DOCS / "stream.md").read_text()
    package = ROOT / "model-server" / "textmod_model"
    source = "".join(
        path.read_text() for part in ("formats", "stream") for path in (package / part).glob("*.py")
    )
    found = set(re.findall(r'Refused(?:Error)?\(\s*"(\w+)"', source))
    assert len(found) > 10
    assert [reason for reason in sorted(found) if f"`{reason}`" not in text] == []


def test_the_contract_of_an_image_names_every_setting() -> None:
    text = (DOCS / "your-own-model.md").read_text()
    read = {str(field.validation_alias) for field in Settings.model_fields.values()}
    written = {value for name, value in vars(naming).items() if name.startswith("ENV_")}
    ports = {name for name in read if name.endswith("_SERVICE_PORT")}
    missing = [name for name in sorted((read | written) - ports) if f"`{name}`" not in text]
    assert missing == []


def test_the_pictures_of_the_packages_are_the_import_law() -> None:
    """Every contract of layers is drawn in ARCHITECTURE.md as it is enforced."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    law = [one for one in settings["contracts"] if one["type"] == "layers"]
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for contract in law:
        picture = "\n".join(["```", *contract["layers"], "```"])
        drawn = f"{contract['name']} (`{contract['containers'][0]}`):\n\n{picture}\n"
        assert drawn in text, contract["name"]
