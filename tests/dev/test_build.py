"""What is missing is said in a sentence; what is there is not built again."""

from __future__ import annotations

import shutil
import types

import pytest

from textmod_dev import build
from textmod_dev.errors import LocalClusterError
from textmod_dev.progress import Progress

QUIET = Progress(quiet=True)
ALL = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")


@pytest.fixture(autouse=True)
def empty(monkeypatch, tmp_path):
    """An empty cache on a large disk, and no program on the path."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=1 << 40))
    monkeypatch.setenv("TEXTMOD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("KUBEBUILDER_ASSETS", "KAFKA_HOME", "JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)


def program(folder, name, script="exit 0"):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_no_go():
    with pytest.raises(LocalClusterError, match=r"No go command.*install Go"):
        build.control_plane_binaries(QUIET)


def test_assets_are_taken_when_complete(monkeypatch, tmp_path):
    assets = tmp_path / "assets"
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    for tool in ALL[:-1]:
        program(assets, tool)
    with pytest.raises(LocalClusterError, match="No go command"):  # it does not mix versions
        build.control_plane_binaries(QUIET)
    program(assets, ALL[-1])
    assert build.control_plane_binaries(QUIET) == assets


def test_so_is_the_path(tmp_path):
    for tool in ALL:
        program(tmp_path / "bin", tool)
    assert build.control_plane_binaries(QUIET) == tmp_path / "bin"


def test_no_disk(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=1))
    with pytest.raises(LocalClusterError, match=r"0\.0 GiB free.*TEXTMOD_CACHE"):
        build.control_plane_binaries(QUIET)


def test_a_failed_build_leaves_nothing_that_looks_finished(tmp_path):
    program(tmp_path / "bin", "go", "echo 'the network is down' >&2; exit 1")
    with pytest.raises(LocalClusterError, match="the network is down"):
        build.control_plane_binaries(QUIET)
    left = [p for p in (tmp_path / "cache" / "kubernetes").iterdir() if p.suffix != ".lock"]
    assert left == []


def test_no_java():
    with pytest.raises(LocalClusterError, match=r"No java command.*install a JDK 17"):
        build.kafka_jars(QUIET)


def test_an_old_java(tmp_path):
    program(tmp_path / "bin", "java", """echo 'openjdk version "11.0.2" 2019' >&2""")
    with pytest.raises(LocalClusterError, match=r"Java 11.*needs 17"):
        build.kafka_jars(QUIET)


def test_no_maven(tmp_path):
    program(tmp_path / "bin", "java", """echo 'openjdk version "17.0.1" 2021' >&2""")
    with pytest.raises(LocalClusterError, match=r"No mvn command.*install Maven"):
        build.kafka_jars(QUIET)


def test_a_kafka_home(monkeypatch, tmp_path):
    program(tmp_path / "bin", "java", """echo 'openjdk version "21" 2023' >&2""")
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with pytest.raises(LocalClusterError, match="KAFKA_HOME"):
        build.kafka_jars(QUIET)
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.1.0.jar").touch()
    assert build.kafka_jars(QUIET) == tmp_path / "libs"
