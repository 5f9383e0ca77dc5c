"""What is put up for the kind cluster comes down again, and images say what is in them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from textmod_dev.build import KIND_TOOLS, kubernetes_version
from textmod_dev.errors import LocalClusterError
from textmod_dev.kind import container_images, engine
from textmod_dev.kind.guardian import Task, clean_up
from textmod_dev.processes import wait_until
from textmod_dev.progress import Progress

ROOT = Path(__file__).parents[2]
# Starts the guardian as the engine does, says that it waits, and waits to be killed.
PARENT = """
import subprocess, sys, time
guardian = subprocess.Popen(
    [sys.executable, "-m", "textmod_dev.kind.guardian", sys.argv[1]],
    stdin=subprocess.PIPE, start_new_session=True,
)
print(guardian.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def daemon():
    """A process in a session of its own, as dockerd is."""
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_the_task_survives_the_file(tmp_path):
    task = Task(docker_host="unix:///x", clusters=["a"], dockerd=7, sysctls={"/f": "0"})
    task.write(tmp_path / "task.json")
    assert Task.read(tmp_path / "task.json") == task


def test_the_daemon_ends_with_a_parent_that_is_killed(tmp_path, daemon):
    forwarding = tmp_path / "ip_forward"
    forwarding.write_text("1")
    file = tmp_path / "run" / "task.json"
    file.parent.mkdir()
    Task(dockerd=daemon.pid, sysctls={str(forwarding): "0"}).write(file)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(file)], stdout=subprocess.PIPE, text=True
    )
    guardian = int(parent.stdout.readline())
    assert daemon.poll() is None
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: daemon.poll() is not None, "the daemon ended", timeout=20)
    assert daemon.returncode == -signal.SIGTERM
    wait_until(lambda: not Path(f"/proc/{guardian}").exists(), "the guardian ended", timeout=20)
    assert forwarding.read_text() == "0"
    assert not file.parent.exists()


def test_an_engine_that_was_there_is_left_alone(monkeypatch, daemon):
    asked = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: asked.append(command))
    clean_up(Task(docker_host=None, dockerd=None, iptables={"x": "y"}))
    assert asked == []
    assert daemon.poll() is None


def test_no_engine_and_not_root_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(engine.NoEngineError, match="only root can start one"):
        engine.Engine(Progress(quiet=True)).__enter__()


def test_no_dockerd_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(engine.NoEngineError, match=r"dockerd.*apt-get install docker\.io"):
        engine.Engine(Progress(quiet=True)).__enter__()


def test_rules_of_a_table_that_nobody_has_are_restored_as_empty(monkeypatch):
    saved = "*filter\n:INPUT DROP [0:0]\nCOMMIT\n"
    done = subprocess.CompletedProcess([], 0, stdout=saved)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    restored = engine._rules()["iptables-restore"]
    assert restored.startswith(saved)
    assert restored.count("*filter") == 1
    assert "*nat\n:PREROUTING ACCEPT" in restored


def test_a_model_that_is_not_there():
    with pytest.raises(LocalClusterError, match=r"nowhere\.csv does not exist.*sample"):
        container_images._staged("nowhere.csv")


def test_a_model_is_staged_by_its_content(monkeypatch, tmp_path):
    monkeypatch.setattr(container_images, "repository_root", lambda: tmp_path)
    data = tmp_path / "elsewhere" / "comments.csv"
    data.parent.mkdir()
    data.write_text("text,label\n")
    first = container_images._staged(str(data))
    assert (tmp_path / first).read_text() == "text,label\n"
    assert container_images._staged(str(data)) == first
    data.write_text("text,label\nx,1\n")
    assert container_images._staged(str(data)) != first
    assert container_images._staged(str(data.parent)).endswith("/")


@pytest.mark.parametrize("name", ["Dockerfile.operator", "Dockerfile.model", "Dockerfile.console"])
def test_an_image_is_what_kubernetes_asks_for(name):
    text = (ROOT / name).read_text()
    final = text[text.rindex("\nFROM ") :]
    assert "ARG BASE_IMAGE=python:3.11-slim-bookworm" in text
    assert f"ARG SOURCE_DATE_EPOCH={container_images.SOURCE_DATE_EPOCH}" in text
    assert "--require-hashes" in text
    assert "HEALTHCHECK" not in text
    assert "USER 65532:65532" in final
    assert "RUN" not in final  # nothing of a build is in it
    assert re.search(r'ENTRYPOINT \["textmod-(operator|model|console)"\]', final)


def test_every_tool_of_the_cluster_is_pinned():
    for name in KIND_TOOLS:
        module = ROOT / "dev" / "kind" / name
        assert (module / "go.mod").is_file()
        assert (module / "go.sum").is_file() or (module / "main.go").is_file()


def test_coredns_is_the_one_that_kubeadm_asks_for():
    """kubeadm's own constant is in the module that is pinned beside it; here the pair is held."""
    pinned = (ROOT / "dev" / "kind" / "coredns" / "go.mod").read_text()
    assert kubernetes_version().startswith("v1.36.")
    assert "github.com/coredns/coredns v1.14.2" in pinned
