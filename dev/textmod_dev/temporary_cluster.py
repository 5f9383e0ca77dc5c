"""The cluster of `make up`, for the length of a block of code."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from textmod_dev import supervisor
from textmod_dev.kubectl import Kubectl
from textmod_dev.model_image import trained_model, training_data
from textmod_dev.progress import Progress
from textmod_dev.supervisor import Running


@contextmanager
def temporary_cluster() -> Iterator[tuple[Kubectl, Running]]:
    """Start a cluster with the trained model, and stop it at the block's end or a signal."""
    progress = Progress()
    artifact = trained_model(training_data(None, progress), progress)
    with tempfile.TemporaryDirectory(prefix="textmod-bench-") as folder, supervisor.stoppable():
        state = Path(folder)
        running = supervisor.start_in_background(state, [f"--artifact={artifact}"], attached=True)
        try:
            yield Kubectl(Path(running.binaries) / "kubectl", Path(running.kubeconfig)), running
        finally:
            supervisor.stop(state)
