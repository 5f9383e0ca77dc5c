"""Client libraries of Perspective and OpenAI, each installed once in the cache folder.

Three of them install a module of the same name, so what they depend on is one environment, and each
of them is a folder beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from textmod_dev.paths import cache_dir

DEPENDENCIES = [
    "google-api-python-client==2.202.0",
    "httpx==0.28.1",
    "matplotlib",
    "openai==3.57.0",
    "pycountry==24.6.1",
    "requests==2.32.5",
]
PYTHON = {
    "perspective": "1.0.3",
    "perspective.py": "0.3.4",
    "perspectiveapi": "1.1.0",
    "PyPerspective": "1.0.4",
    "PySpective": "0.0.2",
    "begentle": "0.1.1",
}
NODE = {"perspective-api-client": "3.1.0", "googleapis-common": "8.0.3"}


class Clients:
    """Runs a program that uses one of the libraries."""

    def __init__(self) -> None:
        self._folder = cache_dir() / "dropin-clients"
        self._python = self._folder / "venv" / "bin" / "python"

    def install(self) -> None:
        """Install everything, unless it is there and of these versions."""
        stamp = self._folder / "versions.json"
        has_npm = shutil.which("npm") is not None
        wanted = json.dumps([sys.version, DEPENDENCIES, PYTHON, NODE if has_npm else {}])
        if stamp.exists() and stamp.read_text() == wanted:
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        _run(sys.executable, "-m", "venv", self._folder / "venv")
        pip = (self._python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        _run(*pip, "setuptools", "wheel", *DEPENDENCIES)
        for name, version in PYTHON.items():
            target = ("--no-deps", "--no-build-isolation", "--target", self._folder / name)
            _run(*pip, *target, f"{name}=={version}")
        if has_npm:
            packages = [f"{name}@{version}" for name, version in NODE.items()]
            quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--silent")
            _run("npm", "install", *quiet, "--prefix", self._folder / "npm", *packages)
        stamp.write_text(wanted)

    def python(self, client: str, program: str, **environment: str) -> object:
        """Run Python; returns what the program prints as JSON. `client`: a folder's, or "none"."""
        environment["PYTHONPATH"] = str(self._folder / client)
        return self._printed([self._python, "-c", program], environment)

    def node(self, program: str, **environment: str) -> object:
        """Run Node.js; returns what the program prints as JSON."""
        environment["NODE_PATH"] = str(self._folder / "npm" / "node_modules")
        return self._printed(["node", "-e", program], environment)

    def _printed(self, command: list[str | Path], environment: dict[str, str]) -> object:
        done = subprocess.run(
            command,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.strip().splitlines()[-1])


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)
