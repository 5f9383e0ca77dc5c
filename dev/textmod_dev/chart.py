"""What is made from the Helm chart: the table of its values, and install.yaml."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from textmod_dev.errors import LocalClusterError
from textmod_dev.manifests import Json
from textmod_dev.paths import repository_root

NAMESPACE = "textmoderation"
"""Where install.yaml puts the operator."""
RELEASE = "textmoderation-operator"

_BEGIN, _END = "<!-- values: made from values.yaml by `make generate` -->", "<!-- end of values -->"
_COMMENT = re.compile(r"^\s*# (?:-- )?(.*)$")
_KEY = re.compile(r"^( *)([A-Za-z]\w*):")
_INDENT = 2


@dataclass(frozen=True)
class Value:
    """One documented value: its dotted path, what it does, and its default as JSON."""

    path: str
    text: str
    default: str


def folder() -> Path:
    """The chart's."""
    return repository_root() / "charts" / "textmoderation-operator"


def rules(file: str) -> list[Json]:
    """The rules of a role, as the chart has them."""
    found: list[Json] = yaml.safe_load((folder() / "files" / file).read_text())
    return found


def documented(values: str) -> Iterator[Value]:
    """Every key of a values.yaml that a comment beginning with ``# --`` stands over."""
    tree = yaml.safe_load(values)
    path: list[str] = []
    comment: list[str] = []
    for line in values.splitlines():
        if (key := _KEY.match(line)) is not None:
            path = [*path[: len(key[1]) // _INDENT], key[2]]
            if comment:
                yield Value(".".join(path), " ".join(comment), _default(tree, path))
            comment = []
        elif (text := _COMMENT.match(line)) is not None and (comment or "# -- " in line):
            comment.append(text[1])
        else:
            comment = []


def _default(tree: object, path: list[str]) -> str:
    for key in path:
        tree = tree[key]  # type: ignore[index]  # the path was read from the same text
    return json.dumps(tree)


def values_table(values: str) -> str:
    """The documented values as a Markdown table."""
    rows = [f"| `{v.path}` | {v.text} | `{v.default}` |" for v in documented(values)]
    return "\n".join(["| value | what it does | default |", "|---|---|---|", *rows])


def with_table(readme: str, values: str) -> str:
    """A README whose part between the two marks is the table of `values`.

    Raises:
        LocalClusterError: the marks are not there.
    """
    before, begin, rest = readme.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise LocalClusterError(f"The chart's README.md needs the lines {_BEGIN} and {_END}.")
    return f"{before}{begin}\n\n{values_table(values)}\n\n{end}{after}"


def install_yaml(helm: Path) -> str:
    """The chart with its default values as one file for ``kubectl apply --server-side``."""
    rendered = subprocess.run(
        [helm, "template", RELEASE, folder(), "--namespace", NAMESPACE, "--no-hooks"],
        capture_output=True,
        text=True,
        check=False,
    )
    if rendered.returncode != 0:
        raise LocalClusterError(f"helm could not render the chart: {rendered.stderr.strip()}")
    # These two labels would say that a Helm release owns what it does not know.
    labels = re.compile(r"^ +(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE)
    return _HEADER + labels.sub("", rendered.stdout)


_HEADER = f"""\
# The TextModeration operator without Helm. Made from the chart; every choice is at its default.
#
#   kubectl apply --server-side -f install.yaml
---
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""
