"""The main job, end to end: a stream of comments with a burst, judged by pods that scale with it.

Starts a cluster, applies ``examples/reddit-science.yaml``, sends comments with
``examples/produce.py``, shows what happens, counts the books from the topics and ends with a
summary. Nothing is slowed down for show: the pods are small (the example gives them a twentieth of
a core), and the burst is a multiple of what one of them turns out to judge at its own full speed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka import KafkaException
from rich.console import Console
from rich.live import Live

from textmod_dev import supervisor
from textmod_dev.build import control_plane_binaries, kafka_jars
from textmod_dev.demo_decisions import thresholds_of
from textmod_dev.demo_stream import (
    Count,
    LiveReader,
    Meter,
    Reading,
    Topics,
    comment,
    count,
)
from textmod_dev.demo_summary import Summary, report
from textmod_dev.demo_view import History, Snapshot, line, picture
from textmod_dev.errors import LocalClusterError
from textmod_dev.kubectl import Kubectl
from textmod_dev.model_image import text_column, trained_model, training_data
from textmod_dev.paths import repository_root
from textmod_dev.processes import ManagedProcess, ProcessKeeper
from textmod_dev.progress import Progress
from textmod_dev.supervisor import Running

EXAMPLE = "examples/reddit-science.yaml"
HPA_SYNC_SECONDS = 5  # the controller's default is 15: a demo is short
PLAIN_LINE_SECONDS = 5
MEASURED_COMMENTS = 900  # twice this is less than what the example scales at
BURST = 2.5  # times what one replica judges: more than one can follow, less than four can
DONE = "done"
MEASURED = "measured one replica"
OVER = (MEASURED, DONE)

Show = Callable[[Snapshot, History], None]
# Names what goes on (one of OVER ends it), from: is the producer sending, how many wait, how many
# replicas are there.
Phase = Callable[[bool, int, int], str]


def run(arguments: argparse.Namespace) -> int:
    """Runs the demo; 0 when nothing was lost and the workload scaled up and down again."""
    progress = Progress()
    data = training_data(arguments.data, progress)
    control_plane_binaries(progress)
    kafka_jars(progress)
    artifact = trained_model(data, progress)
    progress.step("Starting the cluster: control plane, Kafka, node, Seldon stand-in, operator")
    options = [f"--artifact={artifact}", f"--hpa-sync={HPA_SYNC_SECONDS}"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(supervisor.stoppable())
        cluster = supervisor.start_in_background(
            arguments.state_dir, options, attached=not arguments.keep
        )
        stop_cluster = stack.enter_context(contextlib.ExitStack())
        stop_cluster.callback(supervisor.stop, arguments.state_dir)
        demo = Demo(cluster, arguments, data, progress)
        try:
            summary = demo.play()
        except KafkaException as error:
            raise LocalClusterError(f"Kafka failed: {error.args[0].str()}") from error
        if arguments.keep:
            stop_cluster.pop_all()
    return report(summary, arguments, cluster)


@dataclass(frozen=True)
class Load:
    """What is sent: `rate` comments a second, `burst` for a while, `rate` again."""

    rate: float
    burst: float
    before_seconds: int = 10
    burst_seconds: int = 25
    after_seconds: int = 10

    @property
    def comments(self) -> int:
        """In all."""
        quiet = self.rate * (self.before_seconds + self.after_seconds)
        return round(quiet + self.burst * self.burst_seconds)

    @classmethod
    def for_replica(cls, per_second: float) -> Load:
        """A burst that one replica can't follow, so that any machine shows the same."""
        return cls(rate=round(per_second * 0.2), burst=round(per_second * BURST))


@dataclass(frozen=True)
class Stream:
    """The stream in Kafka while it runs."""

    topics: Topics
    reader: LiveReader
    meter: Meter


class Demo:
    """One run against a cluster that is ready."""

    def __init__(
        self, cluster: Running, arguments: argparse.Namespace, data: Path, progress: Progress
    ) -> None:
        self._cluster = cluster
        self._arguments = arguments
        self._data = data
        self._progress = progress
        self._kubectl = Kubectl(Path(cluster.binaries) / "kubectl", Path(cluster.kubeconfig))
        self._start = time.monotonic()
        self._before: Snapshot | None = None
        self._history = History()
        self._replicas: list[tuple[float, int]] = []

    def play(self) -> Summary:
        """Applies, sends, watches and counts.

        Raises:
            LocalClusterError: the object does not become Ready, or the producer fails.
        """
        servers = self._cluster.bootstrap_servers
        topics = self._apply()
        stream = Stream(topics, LiveReader(servers, topics), Meter(servers, topics))
        self._start = time.monotonic()
        logs = self._arguments.state_dir / "logs"
        with stream.reader, ProcessKeeper(logs) as keeper, _screen() as show:
            measured = self._measure(keeper, stream, show)
            load = Load.for_replica(measured)
            producer = self._send(
                keeper, topics, load.comments, load.rate,
                f"--burst={load.burst}x{load.burst_seconds}@{load.before_seconds}",
            )  # fmt: skip
            self._watch(stream, show, producer, _phase)
        return self._summary(count(servers, topics), stream.reader.reading, measured, load)

    def _measure(self, keeper: ProcessKeeper, stream: Stream, show: Show | None) -> float:
        """Sends some comments all at once, twice; returns how many a second one replica judges.

        The first time every word is new to the replica, and it is slower than it will be.
        """
        self._judge_some(keeper, stream, show)
        arrivals = self._judge_some(keeper, stream, show)
        # The first tenth is left out: the consumer's first fetches are not its pace.
        begin = len(arrivals) // 10
        return (len(arrivals) - begin) / (arrivals[-1] - arrivals[begin])

    def _judge_some(
        self, keeper: ProcessKeeper, stream: Stream, show: Show | None
    ) -> Sequence[float]:
        """Sends MEASURED_COMMENTS as fast as can be; returns when each was answered, in seconds."""
        before = len(stream.reader.reading.arrivals)
        producer = self._send(keeper, stream.topics, MEASURED_COMMENTS, 100_000)

        def phase(sending: bool, unanswered: int, _: int) -> str:
            return "measuring one replica" if sending or unanswered else MEASURED

        self._watch(stream, show, producer, phase)
        arrivals = stream.reader.reading.arrivals[before:]
        if len(arrivals) < MEASURED_COMMENTS:
            raise LocalClusterError(
                f"Of {MEASURED_COMMENTS} comments only {len(arrivals)} were answered; "
                f"the pods' logs are in {self._arguments.state_dir / 'logs' / 'pods'}."
            )
        return arrivals

    def _apply(self) -> Topics:
        manifest = yaml.safe_load((repository_root() / EXAMPLE).read_text())
        wanted = manifest["spec"]["kafka"]["bootstrapServers"]
        if wanted != self._cluster.bootstrap_servers:
            self._progress.step(f"{wanted} is taken: Kafka is at {self._cluster.bootstrap_servers}")
            manifest["spec"]["kafka"]["bootstrapServers"] = self._cluster.bootstrap_servers
        self._progress.step(f"kubectl apply -f {EXAMPLE}")
        self._kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
        self._progress.step("Waiting until it is Ready: topics, workload, autoscaler")
        try:
            self._kubectl("wait", "--for=condition=Ready", "--timeout=150s", "tm/science")
        except LocalClusterError as error:
            reasons = "; ".join(
                f"{c['type']}={c['status']} ({c.get('reason')}: {c.get('message')})"
                for c in self._object()["status"].get("conditions", ())
            )
            raise LocalClusterError(f"science did not become Ready: {reasons}") from error
        names = {topic["role"]: topic["name"] for topic in self._object()["status"]["topics"]}
        return Topics(
            input=_of(names, "input"),
            output=_of(names, "output"),
            dead_letter=_of(names, "deadletter"),
            group=self._object()["status"]["consumerGroup"],
        )

    def _send(
        self, keeper: ProcessKeeper, topics: Topics, comments: int, rate: float, *options: str
    ) -> ManagedProcess:
        command = [
            sys.executable,
            str(repository_root() / "examples" / "produce.py"),
            f"--bootstrap-servers={self._cluster.bootstrap_servers}",
            f"--topic={topics.input}",
            f"--file={self._data}",
            f"--column={text_column(self._data)}",
            f"--rate={rate}",
            f"--limit={comments}",
            *options,
        ]
        return keeper.start("producer", command)

    def _watch(
        self, stream: Stream, show: Show | None, producer: ManagedProcess, phase: Phase
    ) -> None:
        """Shows the stream, once a second, until its phase is over or time is up."""
        printed = 0.0
        while True:
            now = time.monotonic() - self._start
            snapshot = self._snapshot(now, stream, producer, phase)
            self._history.add(snapshot)
            self._replicas.append((round(now, 1), snapshot.ready))
            if show is not None:
                show(snapshot, self._history)
            elif now - printed >= PLAIN_LINE_SECONDS or snapshot.phase in OVER:
                printed = now
                _say(line(snapshot))
            self._before = snapshot
            if snapshot.phase in OVER or now > self._arguments.timeout:
                return
            if (producer.exit_code() or 0) != 0:
                raise LocalClusterError(f"The producer failed:\n{producer.last_words()}")
            time.sleep(max(0.0, 1 - (time.monotonic() - self._start - now)))

    def _snapshot(
        self, now: float, stream: Stream, producer: ManagedProcess, phase: Phase
    ) -> Snapshot:
        sending = producer.exit_code() is None  # asked first: what it sent last is then counted
        sent, lag = stream.meter.read()
        reading = stream.reader.reading
        answered = reading.verdicts + reading.dead_letters
        tm = self._object()
        status = tm.get("status", {})
        before = self._before
        passed = now - before.seconds if before else 0
        earlier = before.verdicts + before.dead_letters if before else 0
        ready, desired = status.get("readyReplicas", 0), tm["spec"].get("replicas", 1)
        return Snapshot(
            seconds=now,
            phase=phase(sending, sent - answered, max(ready, desired)),
            conditions=status.get("conditions", ()),
            lag=lag,
            behind_seconds=_behind(lag, reading.latencies_ms[-200:]),
            desired=desired,
            ready=ready,
            sent=sent,
            verdicts=reading.verdicts,
            dead_letters=reading.dead_letters,
            in_per_second=(sent - before.sent) / passed if before and passed else 0,
            out_per_second=(answered - earlier) / passed if passed else 0,
            last=tuple(reading.last),
        )

    def _object(self) -> dict[str, Any]:
        return dict(json.loads(self._kubectl("get", "tm", "science", "-o", "json")))

    def _summary(self, books: Count, reading: Reading, measured: float, load: Load) -> Summary:
        servers = self._cluster.bootstrap_servers
        ordered = sorted(reading.latencies_ms)
        changes = [
            (seconds, number)
            for (seconds, number), (_, earlier) in zip(
                self._replicas, [(0.0, -1), *self._replicas], strict=False
            )
            if number != earlier
        ]
        return Summary(
            **asdict(books),
            peak_lag=max(self._history.lag, default=0),
            max_replicas=max(self._history.replicas, default=0),
            final_replicas=self._replicas[-1][1],
            p50_ms=round(_quantile(ordered, 0.50), 1) if ordered else None,
            p99_ms=round(_quantile(ordered, 0.99), 1) if ordered else None,
            replicas=changes,
            one_replica_per_second=round(measured),
            burst_per_second=round(load.burst),
            decisions=tuple(
                reading.decisions.lines(
                    partial(comment, servers), thresholds_of(self._object()["status"])
                )
            ),
        )


def _phase(sending: bool, unanswered: int, replicas: int) -> str:
    if sending:
        return "sending, with a burst"
    if unanswered > 0:
        return "catching up"
    return "waiting to scale down" if replicas > 1 else DONE


@contextlib.contextmanager
def _screen() -> Iterator[Show | None]:
    """What draws the live picture, or None where there is no terminal for it."""
    console = Console()
    if not console.is_terminal:
        yield None
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield lambda snapshot, history: live.update(picture(snapshot, history))


def _of(names: dict[str, str], role: str) -> str:
    """A topic's name by its role, however that is capitalised."""
    return next(name for key, name in names.items() if key.lower() == role)


def _behind(lag: int | None, recent_ms: Sequence[float]) -> float | None:
    """How late verdicts are, in seconds: what the last took; 0 once all is read."""
    if lag == 0:
        return 0.0
    return statistics.median(recent_ms) / 1000 if recent_ms else None


def _quantile(ordered: list[float], fraction: float) -> float:
    return ordered[min(len(ordered) - 1, round(fraction * (len(ordered) - 1)))]


def _say(text: str) -> None:
    print(text, flush=True)
