"""kubectl as a function."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from textmod_dev.errors import LocalClusterError


class Kubectl:
    """``kubectl("get", "pods")`` returns what it printed.

    Args:
        program: the binary, of the server's own version.
        kubeconfig: whose user it acts as.
    """

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self._program = program
        self._kubeconfig = kubeconfig

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs it.

        Raises:
            LocalClusterError: it failed; the message is kubectl's own.
        """
        done = subprocess.run(
            [self._program, *arguments],
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise LocalClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def environment(self) -> Mapping[str, str]:
        """Environment in which any client finds the cluster, and `kubectl` is this one."""
        path = os.environ.get("PATH", "")
        return {
            **os.environ,
            "KUBECONFIG": str(self._kubeconfig),
            # Discovery is cached by host and port, which two clusters may have one after the other.
            "KUBECACHEDIR": str(self._kubeconfig.parent / "kubectl-cache"),
            "PATH": f"{self._program.parent}{os.pathsep}{path}",
        }
