"""The Helm commands of the documents: Helm knows their flags, and the chart their values."""

from __future__ import annotations

import itertools
import re
import shlex

import pytest
from helm import CHART, Helm
from pages import blocks, pages

pytestmark = pytest.mark.integration


def commands() -> list[object]:
    found = []
    for page in pages():
        for block in blocks(page):
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True) if line.startswith("helm ") else []
                if words:
                    found.append(pytest.param(words[1:], id=f"{block}: {words[1]}"))
    return found


@pytest.mark.parametrize("words", commands())
def test_helm_knows_the_flags(words: list[str], helm: Helm) -> None:
    said = helm(words[0], "--help")
    flags = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert [flag for flag in sorted(flags) if not re.search(rf"{flag}[=, ]", said)] == []


@pytest.mark.parametrize("words", commands())
def test_the_chart_has_the_values(words: list[str], helm4: Helm) -> None:
    sets = [word for flag, word in itertools.pairwise(words) if flag == "--set"]
    if "charts/textmoderation-operator" in words:
        helm4("template", "release", CHART, *(f"--set={value}" for value in sets))
