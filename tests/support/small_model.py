"""A small real artifact, trained by the command that users have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from textmod_model import artifact

BENCHMARK = 1234.5
"""Messages/s that the artifact claims."""


def train(folder: Path, *options: str) -> Path:
    """Train on 120 invented comments, a third of them rude; return the artifact's folder.

    `options` are further ones of `textmod-model train`.
    """
    rows = ["text,label"]
    rows += [
        f"{'stupid idiot' if number % 3 == 0 else 'lovely paper'} {number},{int(number % 3 == 0)}"
        for number in range(120)
    ]
    (folder / "comments.csv").write_text("\n".join(rows))
    command = [sys.executable, "-m", "textmod_model", "train", folder / "comments.csv"]
    command += ["--out", folder / "artifact", *options]
    subprocess.run(command, check=True, capture_output=True)
    artifact.write_benchmark(folder / "artifact", BENCHMARK)
    return folder / "artifact"
