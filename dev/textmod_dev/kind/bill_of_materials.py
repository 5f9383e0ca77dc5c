"""Bills of materials (CycloneDX, JSON) of the images and the chart, written by syft.

An image's names every Debian package, every Python package and the Python itself; the chart's names
its files with their SHA-256.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from textmod_dev.build import syft
from textmod_dev.errors import LocalClusterError
from textmod_dev.kind.container_images import version
from textmod_dev.kind.engine import Engine
from textmod_dev.paths import repository_root
from textmod_dev.progress import Progress

CHART = "charts/textmoderation-operator"


def of_image(engine: Engine, image: str, folder: Path, progress: Progress) -> Path:
    """Writes the bill of an image that the engine holds; returns the file.

    Raises:
        LocalClusterError: syft cannot be built, or fails.
    """
    target = folder / f"{image.partition(':')[0].rpartition('/')[2]}.cdx.json"
    _syft(progress, f"docker:{image}", target, environment=engine.environment)
    return target


def of_chart(folder: Path, progress: Progress) -> Path:
    """Writes the chart's bill; returns the file.

    Raises:
        LocalClusterError: as `of_image`.
    """
    target = folder / "chart.cdx.json"
    every_file = {
        "SYFT_FILE_METADATA_SELECTION": "all",
        "SYFT_FILE_METADATA_DIGESTS": "sha256",
    }
    _syft(
        progress, f"dir:{repository_root() / CHART}", target,
        "--override-default-catalogers=file", "--source-name=textmoderation-operator",
        f"--source-version={version()}", environment=os.environ | every_file,
    )  # fmt: skip
    return target


def _syft(
    progress: Progress, source: str, target: Path, *options: str, environment: dict[str, str]
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    offline = {"SYFT_CHECK_FOR_APP_UPDATE": "false"}
    done = subprocess.run(
        [syft(progress), "scan", source, *options, f"--output=cyclonedx-json={target}"],
        env=environment | offline, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise LocalClusterError(f"syft could not read {source}: {lines[-1].strip()}")
