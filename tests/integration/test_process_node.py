"""The process node behaves as a kubelet does, under the real controllers."""

from __future__ import annotations

import json
import sys
import threading

import psutil
import pytest

from textmod_dev.errors import LocalClusterError

pytestmark = pytest.mark.integration

WEB = [sys.executable, "-u", "-m", "http.server", "9000", "--bind", "$(POD_IP)"]


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


@pytest.fixture(scope="module", autouse=True)
def images(cluster):
    """Small programs in place of images; the table is the cluster's own."""
    table = cluster.images
    table.set("test/web:1", WEB)
    table.set("test/sleep:1", python("import time; time.sleep(600)"))
    table.set(
        "test/crash:1",
        python(
            "import os, sys; print('working'); print('about to fail', file=sys.stderr);"
            "open(os.environ['TEXTMOD_TERMINATION_LOG'], 'w').write(os.environ.get('LAST', ''));"
            "sys.exit(3)"
        ),
    )
    table.set("test/env:1", python("import json, os; print(json.dumps(dict(os.environ)))"))
    table.set("test/shell:1", ["/bin/sh"], use_command=True)
    table.set(
        "test/slow-stop:1",
        python(
            "import signal, time\n"
            "signal.signal(signal.SIGTERM, lambda *_: print('asked to stop'))\n"
            "print('ready')\n"
            "while True: time.sleep(1)"
        ),
    )
    table.set("test/burn:1", python("while True: pass"))


@pytest.fixture
def get(kubectl):
    """``get("pod", "x")`` is the object."""
    return lambda *arguments: json.loads(kubectl("get", *arguments, "-o", "json"))


@pytest.fixture
def run(kubectl):
    """Makes a pod of one container; `container` and `spec` are merged into it."""

    def make(name, image, container=None, **spec):
        kubectl("apply", "-f", "-", stdin=json.dumps(pod(name, image, container, **spec)))

    return make


def pod(name, image, container=None, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": {"note": "hello"}},
        "spec": {
            "terminationGracePeriodSeconds": 3,
            "automountServiceAccountToken": False,
            "containers": [{"name": "main", "image": image, **(container or {})}],
            **spec,
        },
    }


def container_of(pod):
    """The first container's status; one without a state while the node has not reported any."""
    return pod["status"].get("containerStatuses", [{"state": {}}])[0]


def condition(thing, kind):
    return next(c["status"] for c in thing["status"]["conditions"] if c["type"] == kind)


def test_the_node_is_ready_and_schedulable(get):
    node = get("node", "local")
    assert condition(node, "Ready") == "True"
    assert node["status"]["allocatable"]["pods"] == "250"
    assert not [t for t in node["spec"].get("taints", ()) if t["effect"] == "NoSchedule"]


def test_a_deployment_rolls_out_and_answers_at_addresses_of_its_own(kubectl, get):
    kubectl("create", "deployment", "web", "--image=test/web:1", "--replicas=3")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    pods = get("pods")["items"]
    addresses = {each["status"]["podIP"] for each in pods}
    assert len(addresses) == 3  # and each listens on port 9000
    assert all(address.startswith("127.") for address in addresses)
    for each in pods:
        assert f"http://{each['status']['podIP']}:9000/" in kubectl(
            "logs", each["metadata"]["name"]
        )


def test_a_new_image_rolls_and_the_old_pods_go(cluster, kubectl, get, wait_for):
    cluster.images.set("test/web:2", WEB)
    kubectl("create", "deployment", "web", "--image=test/web:1", "--replicas=2")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("set", "image", "deployment/web", "*=test/web:2")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")

    def only_the_new():
        return {p["spec"]["containers"][0]["image"] for p in get("pods")["items"]} == {"test/web:2"}

    wait_for(only_the_new, 15, "the old pods were gone")


def test_scaling_up_and_down(kubectl, get, wait_for):
    kubectl("create", "deployment", "web", "--image=test/sleep:1")
    for replicas in (5, 1):
        kubectl("scale", "deployment/web", f"--replicas={replicas}")
        wait_for(
            lambda wanted=replicas: len(get("pods")["items"]) == wanted,
            20,
            f"there were {replicas} pods",
        )


def test_readiness_follows_the_probe(kubectl, get, run, wait_for, tmp_path):
    flag = tmp_path / "ready"
    probe = {"exec": {"command": ["/usr/bin/test", "-e", str(flag)]}, "periodSeconds": 1}
    run("probed", "test/sleep:1", {"readinessProbe": {**probe, "failureThreshold": 1}})
    wait_for(lambda: "running" in container_of(get("pod", "probed"))["state"], 15, "it ran")
    assert condition(get("pod", "probed"), "Ready") == "False"
    flag.touch()
    kubectl("wait", "--for=condition=Ready", "pod/probed", "--timeout=10s")
    flag.unlink()
    kubectl("wait", "--for=condition=Ready=false", "pod/probed", "--timeout=10s")
    assert container_of(get("pod", "probed"))["restartCount"] == 0


@pytest.mark.parametrize(
    "action",
    [
        {"httpGet": {"path": "/", "port": "http"}},
        {"tcpSocket": {"port": 9000}},
    ],
    ids=["http", "tcp"],
)
def test_probes_over_the_network(kubectl, run, action):
    ports = [{"name": "http", "containerPort": 9000}]
    run("web", "test/web:1", {"ports": ports, "readinessProbe": {**action, "periodSeconds": 1}})
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=15s")


def test_a_failed_liveness_probe_restarts_the_container(get, run, wait_for):
    probe = {"httpGet": {"path": "/missing", "port": 9000}, "periodSeconds": 1}
    run("sick", "test/web:1", {"livenessProbe": {**probe, "failureThreshold": 2}})
    wait_for(lambda: container_of(get("pod", "sick"))["restartCount"] >= 1, 20, "it restarted")
    ended = container_of(get("pod", "sick"))["lastState"]["terminated"]
    assert ended["exitCode"] == 143  # 128 + SIGTERM


def test_a_startup_probe_holds_the_others_back(get, run, wait_for, tmp_path):
    flag = tmp_path / "started"
    never = {"exec": {"command": ["/bin/false"]}, "periodSeconds": 1, "failureThreshold": 1}
    startup = {"exec": {"command": ["/usr/bin/test", "-e", str(flag)]}, "periodSeconds": 1}
    run(
        "starting",
        "test/sleep:1",
        {"startupProbe": {**startup, "failureThreshold": 60}, "livenessProbe": never},
    )
    wait_for(lambda: "running" in container_of(get("pod", "starting"))["state"], 15, "it ran")
    assert container_of(get("pod", "starting"))["restartCount"] == 0
    assert container_of(get("pod", "starting"))["started"] is False
    flag.touch()
    wait_for(
        lambda: container_of(get("pod", "starting"))["restartCount"] >= 1,
        15,
        "the liveness probe spoke once the startup probe had succeeded",
    )


def test_a_crash_loop_backs_off_and_says_why(kubectl, get, run, wait_for):
    run("crash", "test/crash:1", {"env": [{"name": "LAST", "value": "the disk is full"}]})

    def backing_off():
        waiting = container_of(get("pod", "crash"))["state"].get("waiting", {})
        return waiting.get("reason") == "CrashLoopBackOff"

    wait_for(backing_off, 20, "it backed off")
    ended = container_of(get("pod", "crash"))["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert ended["message"] == "the disk is full"
    assert "working" in kubectl("logs", "crash", "--previous")


def test_without_a_message_the_end_of_the_log_is_one(get, run, wait_for):
    run(
        "crash",
        "test/crash:1",
        {"terminationMessagePolicy": "FallbackToLogsOnError"},
        restartPolicy="Never",
    )
    wait_for(lambda: get("pod", "crash")["status"]["phase"] == "Failed", 15, "it failed")
    assert container_of(get("pod", "crash"))["state"]["terminated"]["message"].endswith(
        "about to fail"
    )


def test_a_pod_that_ends_well_has_succeeded(get, run, wait_for):
    run("job", "test/env:1", restartPolicy="Never")
    wait_for(lambda: get("pod", "job")["status"]["phase"] == "Succeeded", 15, "it succeeded")


def test_init_containers_come_first(get, run, wait_for, tmp_path):
    trace = tmp_path / "trace"
    step = {"image": "test/shell:1"}
    run(
        "ordered",
        "test/shell:1",
        {"command": ["/bin/sh", "-c", f"echo main >> {trace}"]},
        initContainers=[
            {"name": "one", "command": ["/bin/sh", "-c", f"echo one >> {trace}"], **step},
            {"name": "two", "command": ["/bin/sh", "-c", f"echo two >> {trace}"], **step},
        ],
        restartPolicy="Never",
    )
    wait_for(lambda: get("pod", "ordered")["status"]["phase"] == "Succeeded", 15, "it succeeded")
    assert trace.read_text().split() == ["one", "two", "main"]


def test_an_unknown_image_waits_and_starts_once_it_is_known(cluster, kubectl, get, run, wait_for):
    run("late", "test/late:1")

    def waiting():
        state = container_of(get("pod", "late"))["state"].get("waiting", {})
        # What there is instead is named: on this cluster nothing is pulled.
        return state.get("reason") == "ImagePullBackOff" and "; it has: " in state["message"]

    wait_for(waiting, 15, "it waited for its image")
    cluster.images.set("test/late:1", WEB)
    kubectl("wait", "--for=condition=Ready", "pod/late", "--timeout=15s")


def test_the_environment_is_the_pods(kubectl, get, run, wait_for):
    kubectl("create", "secret", "generic", "login", "--from-literal=password=hunter2")
    kubectl("create", "configmap", "settings", "--from-literal=COLOUR=blue")

    def field(path):
        return {"valueFrom": {"fieldRef": {"fieldPath": path}}}

    run(
        "env",
        "test/env:1",
        {
            "envFrom": [{"configMapRef": {"name": "settings"}}],
            "env": [
                {"name": "HOST", "value": "kafka"},
                {"name": "URL", "value": "$(HOST):9092"},
                {"name": "KEPT", "value": "$(NOBODY) $$(HOST)"},
                {
                    "name": "PASSWORD",
                    "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}},
                },
                {"name": "NAME", **field("metadata.name")},
                {"name": "IP", **field("status.podIP")},
                {"name": "APP", **field("metadata.labels['app']")},
                {"name": "CERTIFICATE", "value": "/etc/login/password"},
            ],
            "volumeMounts": [{"name": "login", "mountPath": "/etc/login"}],
        },
        volumes=[{"name": "login", "secret": {"secretName": "login"}}],
        restartPolicy="Never",
    )
    wait_for(lambda: get("pod", "env")["status"]["phase"] == "Succeeded", 15, "it succeeded")
    env = json.loads(kubectl("logs", "env"))
    seen = {name: env[name] for name in ("COLOUR", "URL", "KEPT", "PASSWORD", "NAME", "APP")}
    assert seen == {
        "COLOUR": "blue",
        "URL": "kafka:9092",
        "KEPT": "$(NOBODY) $(HOST)",
        "PASSWORD": "hunter2",
        "NAME": "env",
        "APP": "env",
    }
    assert env["IP"] == env["POD_IP"] == env["TEXTMOD_BIND_ADDRESS"]
    assert env["IP"] == get("pod", "env")["status"]["podIP"]
    assert env["CERTIFICATE"].endswith("/volumes/login/password")


def test_a_missing_secret_holds_the_container_until_it_comes(kubectl, get, run, wait_for):
    reference = {"secretKeyRef": {"name": "absent", "key": "k"}}
    run("needy", "test/web:1", {"env": [{"name": "X", "valueFrom": reference}]})

    def waiting():
        state = container_of(get("pod", "needy"))["state"].get("waiting", {})
        return state.get("reason") == "CreateContainerConfigError" and "absent" in state["message"]

    wait_for(waiting, 15, "it waited for the Secret")
    kubectl("create", "secret", "generic", "absent", "--from-literal=k=v")
    kubectl("wait", "--for=condition=Ready", "pod/needy", "--timeout=15s")


def test_deletion_asks_first_and_kills_after_the_grace(kubectl, run, wait_for, cluster):
    run("stubborn", "test/slow-stop:1")
    wait_for(lambda: "ready" in _logs(kubectl, "stubborn"), 15, "it ran")
    lines = []
    following = threading.Thread(
        target=lambda: lines.append(_logs(kubectl, "stubborn", "--follow")), daemon=True
    )
    following.start()
    kubectl("delete", "pod", "stubborn", "--timeout=20s")
    following.join(10)
    assert "asked to stop" in lines[0]


def test_a_pre_stop_hook_runs_before_the_signal(kubectl, run, wait_for, tmp_path):
    trace = tmp_path / "trace"
    hook = {"exec": {"command": ["/bin/sh", "-c", f"echo hook >> {trace}"]}}
    code = f"trap 'echo signal >> {trace}; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    run(
        "hooked",
        "test/shell:1",
        {"command": ["/bin/sh", "-c", code], "lifecycle": {"preStop": hook}},
    )
    wait_for(lambda: "up" in _logs(kubectl, "hooked"), 15, "it ran")
    kubectl("delete", "pod", "hooked", "--timeout=20s")
    assert trace.read_text().split() == ["hook", "signal"]


def test_logs_tail_and_limit(kubectl, get, run, wait_for):
    run(
        "chatty",
        "test/shell:1",
        {"command": ["/bin/sh", "-c", "seq 1 50000"]},
        restartPolicy="Never",
    )
    wait_for(lambda: get("pod", "chatty")["status"]["phase"] == "Succeeded", 15, "it succeeded")
    assert kubectl("logs", "chatty", "--tail=3").split() == ["49998", "49999", "50000"]
    assert kubectl("logs", "chatty", "--limit-bytes=4") == "1\n2\n"
    assert len(kubectl("logs", "chatty").split()) == 50000
    with pytest.raises(LocalClusterError, match="keeps no times of lines"):
        kubectl("logs", "chatty", "--timestamps")


def _logs(kubectl, name, *options):
    try:
        return kubectl("logs", name, *options)
    except LocalClusterError:  # not started yet
        return ""


def test_cpu_is_measured_and_limited(kubectl, run, wait_for):
    run("burn", "test/burn:1", {"resources": {"limits": {"cpu": "200m"}}})

    def measured():
        try:
            line = kubectl("top", "pod", "burn", "--no-headers")
        except LocalClusterError:  # no figure before two samples
            return False
        millicores = int(line.split()[1].removesuffix("m"))
        assert 120 <= millicores <= 260, line
        return True

    wait_for(measured, 40, "its CPU was about a fifth of a core")
    assert "local" in kubectl("top", "nodes")


def test_an_hpa_scales_on_cpu(kubectl, get, wait_for):
    kubectl("create", "deployment", "burn", "--image=test/burn:1")
    kubectl("set", "resources", "deployment/burn", "--limits=cpu=100m", "--requests=cpu=50m")
    kubectl("autoscale", "deployment", "burn", "--cpu=50%", "--min=1", "--max=3")
    wait_for(
        lambda: get("deployment", "burn")["spec"]["replicas"] == 3,
        90,
        "the HPA saw 200 % of 50 % asked for and scaled up",
    )


def test_a_pods_processes_end_with_it(cluster, kubectl, run, wait_for, tmp_path):
    pids = tmp_path / "pids"
    code = f"sleep 300 & echo $! > {pids}; wait"
    run("family", "test/shell:1", {"command": ["/bin/sh", "-c", code]})
    wait_for(lambda: pids.exists() and pids.read_text().strip(), 15, "it had a child")
    child = int(pids.read_text())
    kubectl("delete", "pod", "family", "--timeout=20s")
    wait_for(lambda: not _alive(child), 5, "the child was gone too")


def _alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
