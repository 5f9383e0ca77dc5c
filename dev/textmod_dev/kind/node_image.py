"""The image of the kind cluster's node: kind's own, or one made of Go modules and Debian packages.

Debian trixie, whose systemd still runs on cgroup v1, with containerd, runc and the CNI plugins of
sid, because Kubernetes 1.36 needs containerd 2; the pinned Kubernetes; and the control plane's
images, each a binary in a folder, which containerd imports at the node's first start. The files
that make a node of them are in ``dev/kind/node``.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from textmod_dev.build import kind_tool, kubernetes_version, node_binaries
from textmod_dev.errors import LocalClusterError
from textmod_dev.kind.container_images import debian_mirror, debootstrap, import_image
from textmod_dev.kind.engine import Engine
from textmod_dev.paths import repository_root
from textmod_dev.progress import Progress

PUBLISHED = "kindest/node:v1.37.0"  # the default of the pinned kind
METRICS_SERVER = "registry.k8s.io/metrics-server/metrics-server:v0.9.0"
SUITE = "trixie"
PACKAGES = (
    "systemd", "systemd-sysv", "iptables", "nftables", "iproute2", "conntrack", "ethtool", "socat",
    "kmod", "procps", "mount", "ca-certificates", "libseccomp2", "hostname",
)  # fmt: skip
FROM_SID = ("containerd", "runc", "containernetworking-plugins")
PLACES = {
    "@POD_CIDR@": "10.244.0.0/24",  # the first node's part of kind's default podSubnet
    "@SERVICE_CIDR@": "10.96.0.0/16",  # kind's default serviceSubnet
}
# Units that have no business in a container; several would reach through to the host.
MASKED = (
    "systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service", "systemd-sysctl.service", "systemd-modules-load.service",
    "systemd-binfmt.service", "systemd-remount-fs.service", "systemd-logind.service",
    "systemd-random-seed.service", "systemd-firstboot.service", "systemd-hwdb-update.service",
    "systemd-network-generator.service", "systemd-pstore.service", "getty.target",
    "console-getty.service", "systemd-ask-password-console.path", "systemd-ask-password-wall.path",
    "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount",
    "proc-sys-fs-binfmt_misc.automount", "proc-sys-fs-binfmt_misc.mount", "apt-daily.timer",
    "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer", "e2scrub_all.timer",
)  # fmt: skip
WANTED_BY = {
    "containerd.service": "multi-user.target.wants",
    # By containerd rather than the target, which would wait for the import of the images: kind
    # gives the line "Reached target Multi-User System" thirty seconds.
    "kubelet.service": "containerd.service.wants",
}
CONTROL_PLANE_IMAGES = (
    "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kube-proxy",
)  # fmt: skip
PATH = "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def node_image(engine: Engine, progress: Progress) -> str:
    """The name of a node image that the engine holds.

    Raises:
        LocalClusterError: it can neither be pulled nor made.
    """
    if engine.pull(PUBLISHED):
        return PUBLISHED
    name = f"textmod-dev/node:{kubernetes_version()}-{_digest()}"
    if engine.has(name):
        return name
    binaries = _binaries(progress)
    progress.step("Making the node image (once, two minutes)")
    with tempfile.TemporaryDirectory(prefix="textmod-node-") as scratch:
        root = Path(scratch, "root")
        _install_debian(root)
        names = _image_names(binaries["kubeadm"])
        images = Path(scratch, "all.tar")
        _control_plane_images(engine, binaries, names, root, images)
        _lay_out(root, binaries, names["pause"], images)
        import_image(engine, f"{name}-root", root)
    # `docker import` cannot set the signal at which systemd stops.
    engine.run("build", "--quiet", f"--tag={name}", "-", stdin=f"""\
FROM {name}-root
ENV container=docker PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/node-entrypoint"]
""")  # fmt: skip
    return name


def _digest() -> str:
    """Of all that goes into the image."""
    root = repository_root() / "dev"
    files = [
        Path(__file__),
        *(path for path in sorted((root / "kind").rglob("*")) if path.is_file()),
        root / "kubernetes" / "go.sum",
    ]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _binaries(progress: Progress) -> dict[str, Path]:
    found = {path.name: path for folder in node_binaries(progress) for path in folder.iterdir()}
    return found | {
        name: kind_tool(name, progress) for name in ("coredns", "metrics-server", "pause")
    }


def _install_debian(root: Path) -> None:
    debootstrap(SUITE, root, PACKAGES)
    sources = root / "etc/apt/sources.list.d/sid.list"
    sources.write_text(f"deb {debian_mirror()} sid main\n")
    preferences = root / "etc/apt/preferences.d/sid"
    preferences.write_text("Package: *\nPin: release n=sid\nPin-Priority: 50\n")
    no_services = root / "usr/sbin/policy-rc.d"
    no_services.write_text("#!/bin/sh\nexit 101\n")
    no_services.chmod(0o755)
    # A mirror that is a frozen snapshot has a Release file past its date, signed all the same.
    _in_root(root, "apt-get", "-qq", "-o", "Acquire::Check-Valid-Until=false", "update")
    packages = [f"{name}/sid" for name in FROM_SID]
    _in_root(root, "apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages)
    _in_root(root, "apt-get", "-qq", "clean")
    no_services.unlink()
    for folder in ("var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / folder, ignore_errors=True)


def _in_root(root: Path, *command: str) -> None:
    done = subprocess.run(
        ["chroot", str(root), "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise LocalClusterError(f"{' '.join(command)} in the node's file system: {lines[-1]}")


def _image_names(kubeadm: Path) -> dict[str, str]:
    """Short name -> the image that kubeadm will ask for, from kubeadm itself."""
    listed = subprocess.run(
        [kubeadm, "config", "images", "list", f"--kubernetes-version={kubernetes_version()}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode != 0:
        raise LocalClusterError(f"kubeadm cannot list its images: {listed.stderr.strip()}")
    found = re.findall(r"^(\S+/([a-z-]+):\S+)$", listed.stdout, re.MULTILINE)
    return {short: image for image, short in found}


def _control_plane_images(
    engine: Engine, binaries: dict[str, Path], names: dict[str, str], root: Path, archive: Path
) -> None:
    """Makes each image in the engine and saves all of them, for the node to import."""
    folder = archive.parent / "images"
    for name in CONTROL_PLANE_IMAGES:
        for part in ("tmp", "etc", "run"):
            (folder / name / part).mkdir(parents=True)
        _copy(binaries[name], folder / name / "usr/local/bin" / name)
    _add_iptables(root, folder / "kube-proxy")
    for name in CONTROL_PLANE_IMAGES:
        import_image(engine, names[name], folder / name, PATH)
    for name, image, changes in (
        ("coredns", names["coredns"], ()),
        ("pause", names["pause"], ("USER 65535:65535",)),
        ("metrics-server", METRICS_SERVER, ("USER 65534:65534",)),
    ):
        (folder / name / "tmp").mkdir(parents=True)
        (folder / name / "tmp").chmod(0o1777)
        _copy(binaries[name], folder / name / name)
        import_image(engine, image, folder / name, f'ENTRYPOINT ["/{name}"]', *changes)
    engine.run("save", f"--output={archive}", *names.values(), METRICS_SERVER)


def _add_iptables(root: Path, image: Path) -> None:
    """What kube-proxy drives, with its plugins and all the libraries that these need."""
    plugins = "usr/lib/x86_64-linux-gnu/xtables"
    shutil.copytree(root / plugins, image / plugins)
    tools = ["usr/sbin/xtables-nft-multi", "usr/sbin/nft"]
    for tool in tools:
        _copy(root / tool, image / tool)
    # The plugins are loaded at run time and have needs of their own: xt_statistic wants libm.
    loaded = [*tools, *(f"{plugins}/{plugin.name}" for plugin in (root / plugins).glob("*.so"))]
    for library in _libraries(root, loaded):
        _copy(root / library, image / library)
    for command in ("iptables", "ip6tables"):
        for suffix in ("", "-save", "-restore"):
            (image / "usr/sbin" / f"{command}{suffix}").symlink_to("xtables-nft-multi")
    for file in ("etc/protocols", "etc/services"):
        if (root / file).exists():
            _copy(root / file, image / file)


def _libraries(root: Path, files: Iterable[str]) -> list[str]:
    listed = subprocess.run(
        ["chroot", str(root), "ldd", *(f"/{file}" for file in files)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.findall(r"(?:=> |^\t)(/[^ :]+) \(", listed.stdout, re.MULTILINE)
    return sorted({path.removeprefix("/") for path in found})


def _lay_out(root: Path, binaries: dict[str, Path], pause: str, images: Path) -> None:
    """Makes the Debian in `root` a node."""
    for name in ("kubeadm", "kubelet", "kubectl"):
        _copy(binaries[name], root / "usr/bin" / name)
    sources = repository_root() / "dev" / "kind" / "node"
    for source in (path for path in sorted(sources.rglob("*")) if path.is_file()):
        text = source.read_text()
        for place, value in (PLACES | {"@PAUSE_IMAGE@": pause}).items():
            text = text.replace(place, value)
        target = root / source.relative_to(sources)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(source.stat().st_mode & 0o777)
    (root / "kind/images").mkdir()
    shutil.move(images, root / "kind/images/all.tar")
    (root / "kind/version").write_text(f"{kubernetes_version()}\n")  # kind reads one line
    for folder in ("etc/containerd/certs.d", "etc/kubernetes/manifests", "var/lib/kubelet"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    units = root / "etc/systemd/system"
    for unit in MASKED:
        _link(units / unit, "/dev/null")
    _link(units / "default.target", "/lib/systemd/system/multi-user.target")
    for unit, wants in WANTED_BY.items():
        ours = (units / unit).exists()
        place = "/etc/systemd/system" if ours else "/lib/systemd/system"
        (units / wants).mkdir(exist_ok=True)
        _link(units / wants / unit, f"{place}/{unit}")
    (root / "etc/machine-id").write_text("")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _link(link: Path, target: str) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)
