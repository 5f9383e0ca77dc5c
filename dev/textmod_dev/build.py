"""Finds or builds what the clusters run, and the Helms that the chart is tested with.

All are pinned in this repository (``dev/kubernetes``, ``dev/kind``, ``dev/helm``, ``dev/keda`` by
go.sum, ``dev/kafka/pom.xml``, ``dev/schema-registry/pom.xml``) and built once into the cache, in a
folder named after the hash of those pins. A folder appears there only when it is complete, by a
rename, so an interrupted build leaves nothing that looks finished.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from textmod_dev.errors import LocalClusterError
from textmod_dev.paths import cache_dir, repository_root
from textmod_dev.progress import Progress

GIB = 1024**3

# Command name -> Go package. One set, one version: a controller manager must not be newer than its
# API server, so the tools are always taken from one place together.
CONTROL_PLANE = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}

# What a node of the kind cluster needs beside them, from the same module.
NODE = {
    "kubeadm": "k8s.io/kubernetes/cmd/kubeadm",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
}

# What the kind cluster is made with: command name, which is its module's folder below dev/kind too,
# -> Go package.
KIND_TOOLS = {
    "kind": "sigs.k8s.io/kind",
    "coredns": "github.com/coredns/coredns",
    "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
    "pause": ".",
    "runc-bounded": ".",
}


def control_plane_binaries(progress: Progress) -> Path:
    """The folder that holds etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl.

    ``$KUBEBUILDER_ASSETS`` or PATH when one of them holds all five, else the pinned ones, built
    now if the cache does not have them (about six minutes on two cores, once).

    Raises:
        LocalClusterError: Go is missing or too old, the disk is too full, or the build failed.
    """
    if (found := _complete_set()) is not None:
        return found
    return _kubernetes("kubernetes", CONTROL_PLANE, progress)


def node_binaries(progress: Progress) -> tuple[Path, Path]:
    """Two folders: the pinned control plane, and kubeadm, kubelet, kube-proxy of the same version.

    Raises:
        LocalClusterError: as `control_plane_binaries`.
    """
    return (
        _kubernetes("kubernetes", CONTROL_PLANE, progress),
        _kubernetes("kubernetes-node", NODE, progress),
    )


def kubernetes_version() -> str:
    """The pinned version, such as ``v1.36.3``."""
    return "v" + ".".join(_required(repository_root() / "dev" / "kubernetes", "k8s.io/kubernetes"))


def kind_tool(name: str, progress: Progress) -> Path:
    """One of `KIND_TOOLS`, built now if the cache does not have it.

    Raises:
        LocalClusterError: as `control_plane_binaries`.
    """
    sources = repository_root() / "dev" / "kind" / name
    pins = sorted(path for path in sources.iterdir() if path.suffix in {".mod", ".sum", ".go"})
    target = cache_dir() / "kind" / f"{name}-{_digest(*pins)}"
    with _built_once(target, free_gib=2) as scratch:
        if scratch is not None:
            progress.step(f"Building {name} from source (once)")
            _go_build([KIND_TOOLS[name]], {}, sources, scratch, progress, instead="go without kind")
    return target / name


def helm(major: Literal[3, 4], progress: Progress) -> Path:
    """The pinned Helm of that major version, built now if the cache does not have it (about three
    minutes on two cores, once).

    Raises:
        LocalClusterError: Go is missing or too old, the disk is too full, or the build failed.
    """
    sources = repository_root() / "dev" / "helm" / f"v{major}"
    target = cache_dir() / "helm" / _digest(sources / "go.mod", sources / "go.sum")
    with _built_once(target, free_gib=2) as scratch:
        if scratch is not None:
            _build_helm(sources, f"helm.sh/helm/v{major}", scratch, progress)
    return target / "helm"


def syft(progress: Progress) -> Path:
    """The pinned syft, which writes bills of materials, built now if the cache does not have it.

    Raises:
        LocalClusterError: as `control_plane_binaries`.
    """
    sources = repository_root() / "dev" / "syft"
    target = cache_dir() / "syft" / _digest(sources / "go.mod", sources / "go.sum")
    with _built_once(target, free_gib=4) as scratch:
        if scratch is not None:
            progress.step("Building syft from source (once, some minutes)")
            package = "github.com/anchore/syft/cmd/syft"
            version = ".".join(_required(sources, "github.com/anchore/syft"))
            stamp = {"main.version": version}
            _go_build([package], stamp, sources, scratch, progress, instead="go without")
    return target / "syft"


def keda_folder() -> Path:
    """Where the pinned KEDA is once `keda` has built it; absent before."""
    sources = repository_root() / "dev" / "keda"
    return cache_dir() / "keda" / _digest(sources / "go.mod", sources / "go.sum")


def keda(progress: Progress) -> Path:
    """The folder of the pinned KEDA (operator, adapter, webhooks; its manifests in ``config``),
    built now if the cache does not have it (about ten minutes on two cores, once).

    Raises:
        LocalClusterError: as `control_plane_binaries`.
    """
    sources = repository_root() / "dev" / "keda"
    target = keda_folder()
    with _built_once(target, free_gib=6) as scratch:
        if scratch is not None:
            module = "github.com/kedacore/keda/v2"
            version = ".".join(_required(sources, module))
            progress.step(f"Building KEDA {version} from source (once, about ten minutes)")
            packages = [f"{module}/cmd/{name}" for name in ("operator", "adapter", "webhooks")]
            stamp = {f"{module}/version.Version": version}
            _go_build(packages, stamp, sources, scratch, progress, instead="go without")
            shutil.copytree(_module_folder(sources, module) / "config", scratch / "config")
    return target


def kafka_jars(progress: Progress) -> Path:
    """The folder of the broker's jars: ``$KAFKA_HOME/libs``, else the pinned ones from Maven.

    Raises:
        LocalClusterError: Java or Maven is missing, or the download failed.
    """
    java()
    if home := os.environ.get("KAFKA_HOME"):
        libs = Path(home) / "libs"
        if not list(libs.glob("kafka_2.13-4.*.jar")):
            raise LocalClusterError(
                f"KAFKA_HOME is {home}, but {libs} holds no kafka_2.13-4.*.jar: "
                "point it at a Kafka 4 or unset it."
            )
        return libs
    pom = repository_root() / "dev" / "kafka" / "pom.xml"
    target = cache_dir() / "kafka" / _digest(pom)
    with _built_once(target, free_gib=1) as scratch:
        if scratch is not None:
            instead = "set KAFKA_HOME to an unpacked Kafka 4"
            _copy_jars(pom, "the Kafka broker", instead, scratch, progress)
    return target


def schema_registry_folder(progress: Progress) -> Path:
    """The folder of the pinned schema registry (Apicurio), fetched now if the cache has none.

    Raises:
        LocalClusterError: Java or Maven is missing, or the download failed.
    """
    java()
    pom = repository_root() / "dev" / "schema-registry" / "pom.xml"
    target = cache_dir() / "schema-registry" / _digest(pom)
    with _built_once(target, free_gib=1) as scratch:
        if scratch is not None:
            _copy_jars(pom, "the schema registry", "go without", scratch, progress)
            for archive in scratch.glob("*.tar.gz"):
                with tarfile.open(archive) as file:
                    file.extractall(scratch, filter="data")
                archive.unlink()
    return target


def java() -> str:
    """The Java command, at least 17 (what a Kafka 4 broker needs).

    Raises:
        LocalClusterError: no Java, or an older one.
    """
    home = os.environ.get("JAVA_HOME")
    command = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if command is None:
        raise LocalClusterError(
            "No java command was found: install a JDK 17 or newer (and Maven) for the Kafka broker."
        )
    banner = subprocess.run([command, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', banner.stderr)
    if version is None or int(version[1]) < 17:
        raise LocalClusterError(
            f"{command} is Java {version[1] if version else 'of an unknown version'}: "
            "the Kafka broker needs 17 or newer."
        )
    return command


def _complete_set() -> Path | None:
    folders = [os.environ.get("KUBEBUILDER_ASSETS", "")]
    folders += os.environ.get("PATH", "").split(os.pathsep)
    for folder in filter(None, folders):
        if all(shutil.which(tool, path=folder) for tool in CONTROL_PLANE):
            return Path(folder)
    return None


def _kubernetes(cache: str, commands: Mapping[str, str], progress: Progress) -> Path:
    sources = repository_root() / "dev" / "kubernetes"
    target = cache_dir() / cache / _digest(sources / "go.mod", sources / "go.sum")
    with _built_once(target, free_gib=6) as scratch:
        if scratch is not None:
            _build_kubernetes(sources, commands, scratch, progress)
    return target


def _build_kubernetes(
    sources: Path, commands: Mapping[str, str], target: Path, progress: Progress
) -> None:
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    # Without it the binaries call themselves v0.0.0-master, which kubeadm refuses.
    stamp = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    progress.step(f"Building {', '.join(commands)} {version} from source (once, a few minutes)")
    _go_build(
        list(commands.values()),
        {f"k8s.io/component-base/version.{key}": value for key, value in stamp.items()},
        sources,
        target,
        progress,
        instead=f"set KUBEBUILDER_ASSETS to a folder with {', '.join(CONTROL_PLANE)}",
    )
    if "etcd" in commands:  # Go names a binary after its package's folder
        (target / "server").rename(target / "etcd")


def _build_helm(sources: Path, module: str, target: Path, progress: Progress) -> None:
    version = ".".join(_required(sources, module))
    progress.step(f"Building Helm {version} from source (once, a few minutes)")
    stamp = {f"{module}/internal/version.version": f"v{version}"}
    if module == "helm.sh/helm/v3":
        # What `helm template` takes for the cluster when it sees none; Helm 4 asks its own build.
        _, minor, _ = _required(sources, "k8s.io/client-go")
        stamp |= {
            f"{module}/pkg/{package}.k8sVersion{part}": value
            for package in ("chartutil", "lint/rules")
            for part, value in (("Major", "1"), ("Minor", minor))
        }
    _go_build([f"{module}/cmd/helm"], stamp, sources, target, progress, instead="go without")


def _required(sources: Path, module: str) -> tuple[str, str, str]:
    """Major, minor and patch version of a module that go.mod requires."""
    pattern = rf"{re.escape(module)} v(\d+)\.(\d+)\.(\S+)"
    found = re.search(pattern, (sources / "go.mod").read_text())
    if found is None:
        raise LocalClusterError(f"{sources / 'go.mod'} names no version of {module}.")
    return found[1], found[2], found[3]


def _go_build(
    packages: list[str],
    stamp: Mapping[str, str],
    sources: Path,
    target: Path,
    progress: Progress,
    *,
    instead: str,
) -> None:
    """Builds commands of pinned modules into a folder.

    Args:
        stamp: variables that the linker sets: import path and name → value.
        instead: what else a person without Go can do.
    """
    go = shutil.which("go")
    if go is None:
        raise LocalClusterError(f"No go command was found: install Go 1.26 or newer, or {instead}.")
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    listing = subprocess.run(
        [go, "list", "-deps", *packages],
        cwd=sources, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listing.returncode != 0:
        raise LocalClusterError(f"Go could not load {packages[0]}: {_last_line(listing.stderr)}")
    total = listing.stdout.count("\n")
    flags = " ".join(f"-X {name}={value}" for name, value in stamp.items())
    command = [go, "build", "-v", "-trimpath", "-ldflags", f"-s -w {flags}", "-o", f"{target}/"]
    _follow([*command, *packages], progress, total, cwd=sources, env=environment)


def _module_folder(sources: Path, module: str) -> Path:
    """Where Go keeps the unpacked files of a module that go.mod requires."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", module]
    return Path(subprocess.check_output(command, cwd=sources, text=True).strip())


def _copy_jars(pom: Path, what: str, instead: str, target: Path, progress: Progress) -> None:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise LocalClusterError(f"No mvn command was found: install Maven, or {instead}.")
    progress.step(f"Fetching {what} with Maven (once)")
    fetched = subprocess.run(
        [mvn, "--batch-mode", "--quiet", "--file", str(pom), "dependency:copy-dependencies",
         "-DincludeScope=runtime", f"-DoutputDirectory={target}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if fetched.returncode != 0:
        errors = [line for line in fetched.stdout.splitlines() if "ERROR" in line]
        reason = errors[0] if errors else "it gave no reason"
        raise LocalClusterError(f"Maven could not fetch {what}: {reason}")


def _follow(
    argv: list[str], progress: Progress, total: int, *, cwd: Path, env: dict[str, str]
) -> None:
    """Runs a Go build whose -v output names each compiled package, counting them."""
    lines: list[str] = []
    with subprocess.Popen(
        argv, cwd=cwd, env=env, text=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        assert process.stderr is not None  # noqa: S101 - asked for with PIPE just above
        try:
            with progress.counting("compiling packages", total) as advance:
                for line in process.stderr:
                    lines.append(line.rstrip())
                    advance()
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise LocalClusterError(f"A build from source failed: {_last_line(chr(10).join(lines))}")


@contextmanager
def _built_once(target: Path, *, free_gib: int) -> Iterator[Path | None]:
    """Gives a scratch folder that becomes `target` at the end, or None when it is there already.

    A lock makes a second process wait for the first one's build instead of doing its own.
    """
    if target.is_dir():
        yield None
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            yield None
            return
        free = shutil.disk_usage(target.parent).free
        if free < free_gib * GIB:
            raise LocalClusterError(
                f"{target.parent} has {free / GIB:.1f} GiB free and the build needs {free_gib}: "
                "free some, or set TEXTMOD_CACHE to a folder on a larger disk."
            )
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            content = Path(scratch) / "content"
            content.mkdir()
            yield content
            content.rename(target)


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"
