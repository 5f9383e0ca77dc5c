"""Leadership: whether two operators ever act at once, and how long nobody does.

    python bench/isolation/leadership.py [--trials 50] [--seed 1]

Two replicas of the operator run on a real control plane and broker while their objects are changed
all the time. Each trial does something to the leader at a seeded moment: SIGKILL, SIGSTOP for 30 s,
a half-open connection to the API server for 30 s (what was on its way is delivered afterwards), a
jump of its wall clock by an hour either way (libfaketime), a restart of the API server. Every
process reaches the API server from an address of its own, and is judged by the API server's audit
log alone:

writes_by_two_leaders   writes that succeeded although another process had taken the Lease, or
                        before the process itself had. (Events are counted apart: they report, and
                        act on nothing.)
late_writes_refused     writes of a process that had lost the Lease, refused by their preconditions
takeover_max_seconds    from the fault to the first write of the next leader; after a restart of the
                        API server, from its readiness to the first write of anybody

Written to isolation.json below .state/ (with RECORD=1: in bench/results); other keys of the file
stay.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from half_open import HalfOpenProxy

from textmod_dev.errors import LocalClusterError
from textmod_dev.figures import figures_dir, merge_figures
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.processes import ManagedProcess, free_port, wait_until
from textmod_dev.progress import Progress

RESULTS = figures_dir(Path(__file__).parents[1] / "results") / "isolation.json"
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
"""Debian's package libfaketime."""
OPERATOR: Final = """
import sys, threading, time
time.sleep = lambda seconds: threading.Event().wait(seconds) and None
from textmod_operator.__main__ import main
sys.exit(main())
"""
"""libfaketime 0.9.10 with a true monotonic clock breaks clock_nanosleep, and so time.sleep."""
FAULTS: Final = ("SIGKILL", "SIGSTOP", "half-open", "clock +1h", "clock -1h", "API restart")
OBJECTS: Final = 4
FROZEN_SECONDS: Final = 30.0
TAKEOVER_LIMIT: Final = 60.0
"""A takeover that has not come by then is a failure of the run."""
WRITES: Final = ("create", "update", "patch", "delete")


@dataclass
class Replica:
    """One operator process."""

    number: int
    process: ManagedProcess
    health: int
    proxy: HalfOpenProxy
    clock: Path

    @property
    def leads(self) -> bool:
        """Whether it says so; False while it does not answer."""
        try:
            text = httpx.get(f"http://127.0.0.1:{self.health}/metrics", timeout=1).text
        except httpx.HTTPError:
            return False
        return re.search(r"^textmod_operator_leader 1\.0$", text, re.MULTILINE) is not None

    @property
    def alive(self) -> bool:
        return self.process.exit_code() is None


@dataclass
class Write:
    """A request of the audit log that would change something."""

    at: float
    source: str
    verb: str
    resource: str
    name: str
    status: int

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300


@dataclass
class Trial:
    fault: str
    takeover: float | None
    """Seconds; None: the leader went on."""
    exit_code: int | None = None


@dataclass
class Verdicts:
    """What the audit log says of the whole run."""

    two_leaders: list[Write] = field(default_factory=list)
    late_events: int = 0
    late_refused: int = 0
    writes: int = 0
    leaders: int = 0


class Bench:
    """A cluster, its replicas and the load."""

    def __init__(self, cluster: LocalCluster, folder: Path) -> None:
        self.cluster = cluster
        self._folder = folder
        self._started = 0
        self._stack = contextlib.ExitStack()
        self.replicas: list[Replica] = []

    def start(self) -> Replica:
        """Start one more replica behind a proxy of its own."""
        self._started += 1
        number = self._started
        target = urlsplit(self.cluster.control_plane.url).port
        assert target is not None
        source = f"127.0.{1 + number // 250}.{1 + number % 250}"
        proxy = self._stack.enter_context(HalfOpenProxy(target, source))
        kubeconfig = self._folder / f"replica-{number}.kubeconfig"
        text = self.cluster.operator_kubeconfig.read_text()
        kubeconfig.write_text(text.replace(f":{target}", f":{proxy.port}"))
        clock = self._folder / f"replica-{number}.clock"
        clock.write_text("+0\n")
        health = free_port()
        environment = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        process = self.cluster.keeper.start(
            f"replica-{number}",
            [
                *(sys.executable, "-c", OPERATOR, "run"),
                f"--kubeconfig={kubeconfig}",
                "--lease-namespace=kube-system",
                "--metrics-port=0",
                "--metrics-address=127.0.0.1",
                f"--health-port={health}",
            ],
            env=environment if FAKETIME.exists() else {},
        )
        replica = Replica(number, process, health, proxy, clock)
        self.replicas.append(replica)
        return replica

    def settle(self) -> Replica:
        """Two live replicas, one of which leads; the leader."""
        for replica in [one for one in self.replicas if not one.alive]:
            self.cluster.keeper.stop(replica.process)
            self.replicas.remove(replica)
        while len(self.replicas) < 2:
            self.start()
        try:
            wait_until(
                lambda: any(one.leads for one in self.replicas), "a replica leads", timeout=60
            )
        except LocalClusterError as error:
            words = "\n".join(one.process.last_words(20) for one in self.replicas)
            raise LocalClusterError(f"{error}\n{words}") from error
        for replica in self.replicas:
            url = f"http://127.0.0.1:{replica.health}/readyz"
            wait_until(lambda url=url: _ok(url), "the replica was ready", timeout=60)
        return next(one for one in self.replicas if one.leads)

    def close(self) -> None:
        for replica in self.replicas:
            with contextlib.suppress(OSError):
                os.kill(replica.process.pid, signal.SIGCONT)
            self.cluster.keeper.stop(replica.process)
        self._stack.close()

    # --- the load ---------------------------------------------------------------------------------

    def make_objects(self) -> None:
        one = {"partitions": 1, "replicationFactor": 1}
        for number in range(OBJECTS):
            body = {
                "apiVersion": "textmoderation.dev/v1alpha1",
                "kind": "TextModeration",
                "metadata": {"name": f"load-{number}", "namespace": "default"},
                "spec": {
                    "kafka": {"bootstrapServers": self.cluster.bootstrap_servers},
                    "model": {"image": "textmoderation/nlp-model:0.1.0"},
                    "topics": {"input": one, "output": one, "deadLetter": one},
                    "serving": {"platform": "Deployment"},
                },
            }
            self.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    @contextmanager
    def churn(self, seed: int) -> Iterator[None]:
        """Change specs and delete owned objects all the time, as the administrator."""
        over = threading.Event()
        chance = random.Random(seed)  # noqa: S311 - a seeded schedule

        def change() -> None:
            with httpx.Client(
                base_url=self.cluster.control_plane.url,
                verify=_trust(self.cluster),
                timeout=5,
            ) as client:
                while not over.wait(chance.uniform(0.05, 0.3)):
                    name = f"load-{chance.randrange(OBJECTS)}"
                    with contextlib.suppress(httpx.HTTPError):
                        _change(client, name, chance)

        thread = threading.Thread(target=change, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(10)

    # --- trials -----------------------------------------------------------------------------------

    def trial(self, fault: str, chance: random.Random) -> Trial:
        """One fault of the leader, and what came of it."""
        leader = self.settle()
        time.sleep(chance.uniform(1.0, 5.0))
        happened = time.time()
        ends = happened
        if fault == "SIGKILL":
            leader.process.kill()
        elif fault == "SIGSTOP":
            os.kill(leader.process.pid, signal.SIGSTOP)
            ends += FROZEN_SECONDS
        elif fault == "half-open":
            leader.proxy.hold()
            ends += FROZEN_SECONDS
        elif fault.startswith("clock"):
            leader.clock.write_text(fault.removeprefix("clock ") + "\n")
            ends += 20
        else:
            self.cluster.control_plane.stop_api()
            time.sleep(chance.uniform(0.5, 12))
            self.cluster.control_plane.restart_api()
            happened = time.time()
        others = (
            None if fault == "API restart" or fault.startswith("clock") else leader.proxy.source
        )
        first = self._first_write(happened, but=others)
        time.sleep(max(0.0, ends - time.time()))
        if fault == "SIGSTOP":
            os.kill(leader.process.pid, signal.SIGCONT)
        leader.proxy.release()
        leader.clock.write_text("+0\n")
        time.sleep(4)  # what was held arrives, and would be carried out
        stayed = fault.startswith("clock") and leader.alive
        if fault.startswith("clock") and not stayed:
            first = self._first_write(happened, but=leader.proxy.source)
        return Trial(fault, None if stayed else first - happened, leader.process.exit_code())

    def _first_write(self, since: float, but: str | None) -> float:
        """When the first write came after `since`, of any process but one."""
        deadline = time.monotonic() + TAKEOVER_LIMIT
        while time.monotonic() < deadline:
            for write in self.audited():
                acts = write.resource not in ("leases", "events") and write.succeeded
                if acts and write.at > since and write.source != but:
                    return write.at
            time.sleep(0.5)
        raise LocalClusterError(f"nobody acted within {TAKEOVER_LIMIT:.0f} s")

    def audited(self) -> list[Write]:
        """The writes in the audit log, in the order of their arrival."""
        log = self.cluster.control_plane.audit_log
        found = []
        for line in log.read_text().splitlines():
            with contextlib.suppress(ValueError, KeyError):  # a line that is being written
                event = json.loads(line)
                if event["stage"] == "ResponseComplete" and event["verb"] in WRITES:
                    found.append(_write(event))
        return sorted(found, key=lambda write: write.at)


def judge(writes: Sequence[Write]) -> Verdicts:
    """Who acted while another held the Lease. Pure.

    A process holds the Lease from its first successful write to it until that of the next.
    """
    held: dict[str, float] = {}
    for write in writes:
        if write.resource == "leases" and write.succeeded:
            held.setdefault(write.source, write.at)
    order = sorted(held, key=held.__getitem__)
    ends = {one: held[after] for one, after in itertools.pairwise(order)}
    verdicts = Verdicts(leaders=len(order))
    for write in writes:
        if write.resource == "leases":
            continue
        verdicts.writes += write.succeeded
        begin, end = held.get(write.source, float("inf")), ends.get(write.source, float("inf"))
        if begin <= write.at < end:
            continue
        if not write.succeeded:
            verdicts.late_refused += 1
        elif write.resource == "events":
            verdicts.late_events += 1
        else:
            verdicts.two_leaders.append(write)
    return verdicts


def _write(event: dict[str, Any]) -> Write:
    target = event.get("objectRef") or {}
    at = datetime.fromisoformat(event["requestReceivedTimestamp"])
    return Write(
        at.timestamp(),
        event["sourceIPs"][0],
        event["verb"],
        target.get("resource", ""),
        target.get("name", ""),
        event["responseStatus"]["code"],
    )


def _change(client: httpx.Client, name: str, chance: random.Random) -> None:
    if chance.random() < 0.3:
        kind = chance.choice(["horizontalpodautoscalers", "deployments"])
        group = "autoscaling/v2" if kind.startswith("h") else "apps/v1"
        client.delete(f"/apis/{group}/namespaces/default/{kind}/{name}")
        return
    path = f"/apis/textmoderation.dev/v1alpha1/namespaces/default/textmoderations/{name}"
    patch = {"spec": {"model": {"threshold": round(chance.uniform(0.1, 0.9), 3)}}}
    client.patch(path, json=patch, headers={"Content-Type": "application/merge-patch+json"})


def _trust(cluster: LocalCluster) -> Any:  # noqa: ANN401 - an ssl.SSLContext
    import ssl

    plane = cluster.control_plane
    context = ssl.create_default_context(cafile=str(plane.server_authority.certificate))
    context.load_cert_chain(plane.admin.certificate, plane.admin.key)
    return context


def _ok(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def run(trials: int, seed: int, progress: Progress) -> dict[str, Any]:
    """All trials on one cluster; the figures."""
    chance = random.Random(seed)  # noqa: S311 - a seeded schedule
    faults = [FAULTS[number % len(FAULTS)] for number in range(trials)]
    if not FAKETIME.exists():
        raise LocalClusterError(f"{FAKETIME} is not there: install the package libfaketime")
    done: list[Trial] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with LocalCluster(folder / "cluster", seldon=False, audit=True) as cluster:
            cluster.install_operator()
            cluster.kubectl("cordon", "local")
            bench = Bench(cluster, folder)
            try:
                bench.make_objects()
                with bench.churn(seed):
                    for number, fault in enumerate(faults):
                        trial = bench.trial(fault, chance)
                        done.append(trial)
                        progress.step(
                            f"{number + 1}/{trials} {fault}: takeover {trial.takeover}, "
                            f"exit code {trial.exit_code}"
                        )
                verdicts = judge(bench.audited())
            finally:
                bench.close()
    for write in verdicts.two_leaders:
        progress.step(f"two leaders: {write}")
    takeovers = [trial.takeover for trial in done if trial.takeover is not None]
    worst = {
        fault: round(max(trial.takeover or 0.0 for trial in done if trial.fault == fault), 2)
        for fault in sorted({trial.fault for trial in done})
    }
    return {
        "leadership_trials": len(done),
        "leadership_seed": seed,
        "leadership_faults": dict(Counter(trial.fault for trial in done)),
        "leadership_changes": verdicts.leaders - 1,
        "leadership_writes": verdicts.writes,
        "writes_by_two_leaders": len(verdicts.two_leaders),
        "late_events": verdicts.late_events,
        "late_writes_refused": verdicts.late_refused,
        "takeover_max_seconds": round(max(takeovers), 2),
        "takeover_median_seconds": round(statistics.median(takeovers), 2),
        "takeover_max_seconds_by_fault": worst,
    }


def main() -> int:
    """Run the trials, and merge the figures into those of others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    figures = run(args.trials, args.seed, Progress())
    merge_figures(RESULTS, figures)
    return 1 if figures["writes_by_two_leaders"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LocalClusterError, subprocess.CalledProcessError) as error:
        sys.exit(f"leadership: {error}")
