"""The project's images, built with `Dockerfile.operator`, `.model` and `.console`.

Where no registry can be reached the base they start from is made with debootstrap. What pip needs
to reach its index on this machine goes into an image that only the build stages start from.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from textmod_dev.errors import LocalClusterError
from textmod_dev.kind.engine import Engine, build_arguments
from textmod_dev.paths import repository_root
from textmod_dev.progress import Progress

PUBLISHED_BASE = "python:3.11-slim-bookworm"
SUITE = "bookworm"  # its Python is 3.11
OPERATOR = "textmoderation/operator"
MODEL = "textmoderation/nlp-model"
CONSOLE = "textmoderation/console"
BUILD_SECONDS = 1800
PACKAGES = ("ca-certificates", "python3")
SOURCE_DATE_EPOCH = "1767225600"  # the Dockerfiles' own
# Files below these are rewritten at every installation, with the time of day in them.
VOLATILE = ("var/log", "var/cache/apt", "var/cache/ldconfig", "var/lib/apt/lists", "tmp", "run")
# What debootstrap copies from this machine, and what is no file of an image.
LEFT_OUT = ("etc/resolv.conf", "etc/hostname", "etc/apt/sources.list", "dev/*", "proc/*", "sys/*")
# Settings of pip that say how to reach an index; the others are this machine's business.
PIP_SETTINGS = (
    "index-url",
    "extra-index-url",
    "trusted-host",
    "proxy",
    "timeout",
    "default-timeout",
)


@dataclass(frozen=True)
class Base:
    """The two images that the Dockerfiles' stages start from."""

    image: str
    build: str

    def arguments(self) -> dict[str, str]:
        """The build arguments that name them."""
        return {"BASE_IMAGE": self.image, "BUILD_IMAGE": self.build}


def version() -> str:
    """Of the project, and so of its images."""
    return importlib.metadata.version("textmoderation")


def base(engine: Engine, progress: Progress) -> Base:
    """The published base if a registry can be reached, else one made from Debian's packages.

    Raises:
        LocalClusterError: neither can be had.
    """
    if engine.pull(PUBLISHED_BASE):
        image, extra = PUBLISHED_BASE, ""
    else:
        image = _debootstrapped(engine, progress)
        extra = (
            "COPY sources.list /etc/apt/\n"
            # A mirror that is a frozen snapshot has a Release file past its date.
            "RUN apt-get -qq -o Acquire::Check-Valid-Until=false update"
            " && apt-get -qq install -y --no-install-recommends python3-venv >/dev/null\n"
        )
    return Base(image, _build_image(engine, image, extra))


def build_operator(engine: Engine, base: Base, progress: Progress, *, fresh: bool = False) -> str:
    """Builds the operator's image; returns its name."""
    name = f"{OPERATOR}:{version()}"
    progress.step(f"Building {name}")
    _build(engine, "Dockerfile.operator", name, base.arguments(), fresh=fresh)
    return name


def build_console(engine: Engine, base: Base, progress: Progress, *, fresh: bool = False) -> str:
    """Builds the console's image; returns its name."""
    name = f"{CONSOLE}:{version()}"
    progress.step(f"Building {name}")
    _build(engine, "Dockerfile.console", name, base.arguments(), fresh=fresh)
    return name


def build_model(
    engine: Engine,
    base: Base,
    progress: Progress,
    *,
    model: str,
    tag: str | None = None,
    options: dict[str, str] | None = None,
    fresh: bool = False,
) -> str:
    """Builds the model's image; returns its name.

    Args:
        model: ``sample``, or the path of a CSV or of an artifact's folder.
        tag: instead of the project's version.
        options: build arguments beside these, such as RECIPE and MODEL_VERSION.
        fresh: with no layer from a build before.
    """
    name = f"{MODEL}:{tag or version()}"
    progress.step(f"Building {name} with the model {model}")
    arguments = base.arguments() | {"MODEL": _staged(model), "KIND": _kind(model)} | (options or {})
    _build(engine, "Dockerfile.model", name, arguments, fresh=fresh)
    return name


def layers(engine: Engine, image: str) -> list[str]:
    """The digests of an image's layers, uncompressed, from the base's up."""
    return list(engine.inspect(image)["RootFS"]["Layers"])


def _kind(model: str) -> str:
    """Return the kind of an artifact, which decides what the image needs."""
    manifest = Path(model) / "manifest.json"
    if not manifest.is_file():
        return "pipeline"
    try:
        return str(json.loads(manifest.read_bytes()).get("kind", "pipeline"))
    except (ValueError, AttributeError):  # the build says what is wrong with it
        return "pipeline"


def _staged(model: str) -> str:
    """The path of a model inside the build context, copied there by its content's digest."""
    if model == "sample":
        return model
    source, root = Path(model).resolve(), repository_root()
    if not source.exists():
        raise LocalClusterError(
            f"{model} does not exist: give `sample`, a CSV of labelled comments or the folder of "
            "an artifact."
        )
    files = sorted(source.iterdir()) if source.is_dir() else [source]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    folder = root / "build" / "images" / digest
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)
    staged = folder if source.is_dir() else folder / source.name
    return str(staged.relative_to(root)) + ("/" if source.is_dir() else "")


def _build(
    engine: Engine, dockerfile: str, name: str, arguments: dict[str, str], *, fresh: bool
) -> None:
    arguments = arguments | {"VERSION": version(), "REVISION": _revision()}
    # The host's network, because an index may be on this machine or behind its own resolver.
    command = ["build", "--quiet", "--network=host", f"--file={dockerfile}", f"--tag={name}"]
    if fresh:
        command.append("--no-cache")
    engine.run(*command, *build_arguments(arguments), str(repository_root()), timeout=BUILD_SECONDS)


def _revision() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=repository_root(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.strip() or "unknown"


def _debootstrapped(engine: Engine, progress: Progress) -> str:
    """A small Debian with Python, imported once under a name that tells what is in it."""
    mirror = debian_mirror()
    recipe = f"{SUITE} {PACKAGES} {mirror} {VOLATILE} {SOURCE_DATE_EPOCH}"
    name = f"textmod-dev/base:{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if engine.has(name):
        return name
    progress.step(f"Making a base image of Debian {SUITE} with debootstrap (once, a minute)")
    with tempfile.TemporaryDirectory(prefix="textmod-base-") as scratch:
        root = Path(scratch, "root")
        debootstrap(SUITE, root, PACKAGES)
        import_image(engine, name, root)
    return name


def debootstrap(suite: str, root: Path, packages: Iterable[str]) -> None:
    """Installs a minimal Debian with `packages` into the new folder `root`.

    Raises:
        LocalClusterError: debootstrap is missing or failed, or this is not root.
    """
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise LocalClusterError(
            "No image registry can be reached, and making a base image instead takes root and "
            "debootstrap: run as root after apt-get install debootstrap."
        )
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}",
         suite, str(root), debian_mirror()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if line.strip()] or ["no reason given"]
        raise LocalClusterError(f"debootstrap could not install {suite}: {lines[-1]}")
    for folder in VOLATILE:
        for file in (root / folder).rglob("*"):
            if not file.is_dir() or file.is_symlink():
                file.unlink()


def import_image(engine: Engine, name: str, root: Path, *changes: str) -> None:
    """Makes an image of one layer from a folder: sorted, owned by root, with no time after ours.

    Args:
        changes: lines of a Dockerfile, such as ``USER 1``, for what docker import can set.
    """
    archive = [
        "tar", f"--directory={root}", "--create", "--sort=name", "--numeric-owner",
        "--clamp-mtime", f"--mtime=@{SOURCE_DATE_EPOCH}",
        *(f"--exclude=./{path}" for path in LEFT_OUT), ".",
    ]  # fmt: skip
    options = [f"--change={change}" for change in changes]
    with subprocess.Popen(archive, stdout=subprocess.PIPE) as tar:
        done = subprocess.run(
            ["docker", "import", *options, "-", name],
            env=engine.environment, stdin=tar.stdout, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode != 0 or tar.returncode != 0:
        raise LocalClusterError(f"docker import of {name} failed: {done.stderr.strip()}")


def debian_mirror() -> str:
    """The Debian mirror that this machine's own apt uses.

    Raises:
        LocalClusterError: apt names none.
    """
    sources = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for source in filter(Path.is_file, sources):
        pattern = r"^(?:URIs:|deb)\s+(?:\[[^\]]*\]\s+)?(\S+/debian/?)(?:\s|$)"
        if found := re.search(pattern, source.read_text(), re.MULTILINE):
            return found[1]
    raise LocalClusterError("No Debian mirror was found in /etc/apt: this takes a Debian machine.")


def _build_image(engine: Engine, image: str, extra: str) -> str:
    """The base with what the build stages need beside it, or the base itself if that is nothing."""
    name = f"textmod-dev/build:{image.partition(':')[2]}"
    with tempfile.TemporaryDirectory(prefix="textmod-build-") as scratch:
        settings, certificate = _pip_settings()
        copies = ""
        if certificate is not None:
            shutil.copyfile(certificate, Path(scratch, "index.pem"))
            settings["cert"] = "/etc/ssl/index.pem"
            copies += "COPY index.pem /etc/ssl/\n"
        if settings:
            lines = [f"{name} = {value}\n" for name, value in sorted(settings.items())]
            Path(scratch, "pip.conf").write_text("[global]\n" + "".join(lines))
            copies += "COPY pip.conf /etc/\n"
        if not extra and not copies:
            return image
        if extra:
            Path(scratch, "sources.list").write_text(f"deb {debian_mirror()} {SUITE} main\n")
        Path(scratch, "Dockerfile").write_text(f"FROM {image}\n{extra}{copies}")
        engine.run(
            "build", "--quiet", "--network=host", f"--tag={name}", scratch, timeout=BUILD_SECONDS
        )
    return name


def _pip_settings() -> tuple[dict[str, str], Path | None]:
    """How pip reaches its index on this machine: settings, and the file of a certificate."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    settings: dict[str, str] = {}
    certificate = None
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        setting, value = key.rpartition(".")[2], value.strip("'\"")
        if setting == "cert":
            certificate = Path(value)
        elif setting in PIP_SETTINGS:
            settings[setting] = value
    return settings, certificate
