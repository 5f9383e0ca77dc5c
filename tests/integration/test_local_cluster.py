"""A cluster leaves nothing behind, however it ends, and two never share a folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from textmod_dev import supervisor
from textmod_dev.guardian import marked
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.local_cluster import identity_file
from textmod_dev.processes import wait_until

pytestmark = pytest.mark.integration

BARE = ["--no-seldon", "--no-operator"]


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "textmod_dev", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def test_up_kubectl_and_down(tmp_path):
    folder = f"--state-dir={tmp_path}"
    assert command("status", folder).returncode == 1
    started = command("up", folder, *BARE)
    assert started.returncode == 0, started.stderr
    try:
        identity = identity_file(tmp_path).read_text()
        assert f"export KUBECONFIG={tmp_path}" in started.stdout
        nodes = command("kubectl", folder, "get", "nodes", "-o", "json")
        assert json.loads(nodes.stdout)["items"][0]["metadata"]["name"] == "local"
        second = command("run", folder, *BARE)
        assert second.returncode == 1
        assert "already runs" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        assert command("down", folder).stdout == "The cluster has stopped.\n"
    assert marked(identity) == []
    assert command("down", folder).stdout == "No cluster was running.\n"
    assert command("kubectl", folder, "get", "nodes").returncode == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_end_of_the_supervisor_ends_everything(tmp_path, number):
    running = supervisor.start_in_background(tmp_path, BARE)
    identity = identity_file(tmp_path).read_text()
    assert len(marked(identity)) >= 6
    os.kill(running.pid, number)
    wait_until(lambda: marked(identity) == [], "everything had ended", timeout=60)
    assert supervisor.running(tmp_path) is None
    name = f"textmod-{identity[:12]}"
    groups = Path("/sys/fs/cgroup")
    wait_until(lambda: not [*groups.glob(name), *groups.glob(f"*/{name}")], "its cgroups were gone")


def test_an_attached_cluster_ends_with_who_asked_for_it(tmp_path):
    program = (
        "import sys, time, pathlib\n"
        "from textmod_dev import supervisor\n"
        f"supervisor.start_in_background(pathlib.Path(sys.argv[1]), {BARE!r}, attached=True)\n"
        "print('up', flush=True)\n"
        "time.sleep(300)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout.readline() == "up\n"
        identity = identity_file(tmp_path).read_text()
        owner.kill()
    wait_until(lambda: marked(identity) == [], "everything had ended", timeout=60)


def test_several_brokers_and_the_loss_of_one(tmp_path):
    from confluent_kafka.admin import AdminClient, NewTopic

    with KafkaBroker(tmp_path, brokers=3) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
        admin.create_topics([NewTopic("copied", 3, 3)])["copied"].result(20)
        kafka.stop_broker(0, kill=True)

        def led_by_the_others():
            topic = admin.list_topics("copied", timeout=10).topics["copied"]
            return {p.leader for p in topic.partitions.values()} <= {1, 2}

        wait_until(led_by_the_others, "the other brokers led all partitions", timeout=60)
        kafka.start_broker(0)
        kafka.wait()
