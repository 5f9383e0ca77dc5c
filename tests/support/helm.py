"""Helm as a function, and the chart as it renders it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

from textmod_dev import chart

CHART = chart.folder()


class Helm(Protocol):
    """``helm("lint", CHART)`` returns what it printed, or raises HelmError."""

    def __call__(self, *arguments: object, env: Mapping[str, str] | None = None) -> str: ...


def run_helm(program: Path, *arguments: object, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        [program, *map(str, arguments)], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise HelmError(f"helm {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.stdout


class HelmError(AssertionError):
    """Helm's own words."""


def rendered(helm: Helm, *options: str, namespace: str = "textmod") -> list[dict[str, Any]]:
    """The objects of the chart as release `textmoderation-operator`."""
    release = "textmoderation-operator"
    text = helm("template", release, CHART, f"--namespace={namespace}", *options)
    return [body for body in yaml.safe_load_all(text) if body]


def of_kind(objects: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [body for body in objects if body["kind"] in kinds]
