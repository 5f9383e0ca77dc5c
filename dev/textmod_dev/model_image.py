"""Trains the model of the demo and names the image that serves it.

The artifact is cached by the digest of its training data, of the model server's code and of what
trains it, so a second start trains nothing, and a changed comment causes a new training.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from textmod_dev.errors import LocalClusterError
from textmod_dev.images import ImageTable
from textmod_dev.paths import cache_dir, repository_root
from textmod_dev.progress import Progress

IMAGE = "textmoderation/nlp-model:0.1.0"
QUICK = ("--recipe", "seed", "--no-report")
"""The small recipe, without the report's comparison of algorithms: seconds instead of minutes."""
REAL_COMMENTS = Path("..") / "shared" / "data" / "reddit_science_comments.csv"


def training_data(given: Path | None, progress: Progress) -> Path:
    """The CSV to train on and to send: `given`, else the real comments, else the made sample.

    Raises:
        LocalClusterError: `given` is not a file.
    """
    if given is not None:
        if not given.is_file():
            raise LocalClusterError(f"{given} is not a file: give the path of a CSV of comments.")
        return given.resolve()
    real = repository_root() / REAL_COMMENTS
    if real.is_file():
        return real.resolve()
    sample = cache_dir() / "sample" / f"{_code_digest()}.csv"
    if not sample.is_file():
        progress.step("Making a sample of comments, because the real ones are not here")
        sample.parent.mkdir(parents=True, exist_ok=True)
        partial = sample.with_suffix(f".{os.getpid()}")
        _model_command("sample", "--out", str(partial))
        partial.rename(sample)
    return sample


def text_column(data: Path) -> str:
    """The column that holds the comments in a file that `training_data` returned."""
    with data.open(encoding="cp1252", errors="replace") as file:
        header = file.readline()
    return "BODY" if "BODY" in header else "text"


def trained_model(data: Path, progress: Progress) -> Path:
    """The folder of an artifact trained on `data`, from the cache or trained now.

    Raises:
        LocalClusterError: training failed; the message ends with its own last line.
    """
    content = hashlib.sha256(data.read_bytes()).hexdigest()
    key = hashlib.sha256(f"{content} {_code_digest()}".encode()).hexdigest()[:16]
    target = cache_dir() / "models" / key
    if target.is_dir():
        return target
    progress.step(f"Training a model on {data.name} (once)")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        _model_command("train", str(data), "--out", f"{scratch}/artifact", *QUICK)
        try:
            Path(scratch, "artifact").rename(target)
        except OSError:
            if not target.is_dir():  # else another process trained the same model meanwhile
                raise
    return target


def add_image(images: ImageTable, artifact: Path, name: str = IMAGE) -> None:
    """Lets pods run the model server on this artifact under an image's name."""
    images.set(
        name,
        [sys.executable, "-m", "textmod_model", "serve"],
        # One process is one consumer is one core, as in the image itself.
        {"TEXTMOD_ARTIFACT": str(artifact), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )


def _code_digest() -> str:
    """Of the model server's sources and of the libraries that decide what a model becomes."""
    sources = repository_root() / "model-server" / "textmod_model"
    digest = hashlib.sha256()
    for file in sorted(sources.rglob("*.py")):
        digest.update(file.read_bytes())
    for library in ("numpy", "scikit-learn", "skops", "spacy"):
        digest.update(importlib.metadata.version(library).encode())
    return digest.hexdigest()[:16]


def _model_command(*arguments: str) -> None:
    # A process of its own: the local cluster and the model server never import each other.
    done = subprocess.run(
        [sys.executable, "-m", "textmod_model", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise LocalClusterError(f"textmod-model {arguments[0]} failed: {lines[-1]}")
