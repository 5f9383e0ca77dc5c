"""Every threat of docs/threat-model.md has tests that show what stands against it."""

from __future__ import annotations

import re

import yaml
from pages import ROOT

THREATS: dict[str, str | list[str]] = yaml.safe_load(
    (ROOT / "tests" / "docs" / "threats.yaml").read_text()
)


def test_every_threat_names_its_tests() -> None:
    boundaries = (ROOT / "docs" / "threat-model.md").read_text().partition("## Boundaries")[2]
    threats = re.findall(r"^\| [STRIDE, ]+ \| (.+?) \| .+ \|$", boundaries, re.MULTILINE)
    assert len(threats) == len(set(threats)) > 40
    assert set(threats) == set(THREATS)


def test_every_test_that_a_threat_names_exists() -> None:
    missing = []
    for threat, shown in THREATS.items():
        if isinstance(shown, str):
            assert shown.endswith("."), f"{threat}: a sentence says whose it is"
            continue
        assert shown, threat
        for name in shown:
            file, _, test = name.partition("::")
            path = ROOT / "tests" / file
            if not (
                path.is_file()
                and re.search(rf"^(async )?def {test}\(", path.read_text(), re.MULTILINE)
            ):
                missing.append(name)
    assert missing == []


def test_the_tables_are_whole() -> None:
    """A blank line between rows would end a table, and show the rest as text."""
    text = (ROOT / "docs" / "threat-model.md").read_text()
    assert re.findall(r"^\|.*\n\n\|.*", text, re.MULTILINE) == []
