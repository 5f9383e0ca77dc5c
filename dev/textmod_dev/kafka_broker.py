"""A real Kafka cluster in KRaft mode on 127.0.0.1, from the jars pinned in ``dev/kafka/pom.xml``.

Use it on its own, in a test that needs no Kubernetes::

    with KafkaBroker(tmp_path / "kafka") as broker:
        Producer({"bootstrap.servers": broker.bootstrap_servers})

or let `LocalCluster` start one. Topics are never created by themselves
(``auto.create.topics.enable=false``); the new consumer protocol (KIP-848) is on, as Kafka 4 has it.
"""

from __future__ import annotations

import base64
import contextlib
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from textmod_dev.build import java, kafka_jars
from textmod_dev.certificates import write_private
from textmod_dev.errors import LocalClusterError
from textmod_dev.kafka_security import LISTENER, Security
from textmod_dev.processes import ManagedProcess, ProcessKeeper, free_port, is_free, wait_until
from textmod_dev.progress import Progress

HEAP = "512m"


class KafkaBroker:
    """`brokers` Kafka processes, each broker and controller in one.

    Attributes:
        bootstrap_servers: all brokers, ``127.0.0.1:port,…``, known before the start.
        internal_bootstrap_servers: the same over the brokers' own plaintext listener, whose clients
            may do everything; for setting up what a secured client then finds.
        own_ports: the brokers' own ports of the listener `behind`.

    Args:
        folder: data and configuration; made if absent. Logs go to ``<folder>/logs`` unless the
            keeper has another place.
        brokers: how many; the internal topics' replication factor is at most 3 of them.
        port: the first broker's, if it is free; the others, and it otherwise, get any free one.
        keeper: who stops the processes. None: this object does, as a context manager.
        security: what clients have to bring; the default is nothing.
        properties: added to every ``server.properties``, over the defaults.
        behind: ports of what stands in front of the brokers, one each: they get a third listener,
            plaintext, at `own_ports`, whose clients are sent there.

    Raises:
        ValueError: `behind` has another number of ports than there are brokers.
    """

    def __init__(
        self,
        folder: Path,
        *,
        brokers: int = 1,
        port: int | None = None,
        keeper: ProcessKeeper | None = None,
        security: Security | None = None,
        properties: Mapping[str, str] | None = None,
        behind: Sequence[int] = (),
        progress: Progress | None = None,
    ) -> None:
        if behind and len(behind) != brokers:
            raise ValueError(f"{len(behind)} ports in front of {brokers} brokers")
        self._folder = folder
        self._properties = dict(properties or {})
        self._security = security or Security()
        self._progress = progress or Progress(quiet=True)
        self._own_keeper = ProcessKeeper(folder / "logs") if keeper is None else None
        self._keeper = keeper or self._own_keeper
        self._ports = [free_port() for _ in range(brokers)]
        if port is not None and is_free(port):
            self._ports[0] = port
        self._internal_ports = [free_port() for _ in range(brokers)]
        self._controller_ports = [free_port() for _ in range(brokers)]
        self._behind = list(behind)
        self.own_ports = [free_port() for _ in behind]
        self._processes: dict[int, ManagedProcess] = {}
        self._jars: Path | None = None
        self.bootstrap_servers = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        self.internal_bootstrap_servers = ",".join(
            f"127.0.0.1:{port}" for port in self._internal_ports
        )

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            if self._own_keeper is not None:
                stack.enter_context(self._own_keeper)
            self.start()
            self.wait()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Formats the storage and starts the processes; `wait` tells when they answer.

        Raises:
            LocalClusterError: Java or the jars are missing, or formatting failed.
        """
        self._jars = kafka_jars(self._progress)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._security.make_files(self._folder / "certificates")
        cluster_id = _cluster_id(uuid.uuid4())
        for number in range(len(self._ports)):
            self._format(number, cluster_id)
        for number in range(len(self._ports)):
            self.start_broker(number)

    def wait(self, timeout: float = 60) -> None:
        """Returns once every broker is a member of the cluster.

        Raises:
            LocalClusterError: a broker ended or did not answer in time.
        """
        for process in self._processes.values():
            wait_until(self._complete, "Kafka answered", timeout=timeout, process=process)

    def client_config(self, user: str) -> dict[str, str]:
        """librdkafka's settings for a user of the secured listener, bootstrap servers included."""
        secured = self._security.client_config(user, self._folder / "certificates")
        return {"bootstrap.servers": self.bootstrap_servers, **secured}

    def start_broker(self, number: int = 0) -> None:
        """Starts one broker, also again after `stop_broker`, on the data it had."""
        self._processes[number] = self._require_keeper().start(
            f"kafka-{number}", self._command("kafka.Kafka", str(self._config_file(number)))
        )

    def stop_broker(self, number: int = 0, *, kill: bool = False) -> None:
        """Stops one broker, cleanly or by SIGKILL, as a test of an outage wants it."""
        process = self._processes.pop(number)
        if kill:
            process.kill()
        self._require_keeper().stop(process, grace_seconds=30)

    def pid(self, number: int = 0) -> int:
        """The process id of one broker that runs."""
        return self._processes[number].pid

    def _require_keeper(self) -> ProcessKeeper:
        assert self._keeper is not None  # noqa: S101 - set in __init__, one of the two
        return self._keeper

    def _complete(self) -> bool:
        servers = self.internal_bootstrap_servers
        admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        try:
            return len(admin.list_topics(timeout=2).brokers) == len(self._processes)
        except KafkaException:
            return False

    def _format(self, number: int, cluster_id: str) -> None:
        config = self._config_file(number)
        lines = "".join(f"{name}={value}\n" for name, value in self._config(number).items())
        write_private(config, lines.encode())  # with passwords of users, if there are any
        done = subprocess.run(
            self._command(
                "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(config),
                "--ignore-formatted",
                *self._security.scram_credentials(),
            ),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise LocalClusterError(
                f"Kafka could not format its storage in {self._folder}: "
                f"{(done.stderr or done.stdout).strip()[-400:]}"
            )

    def _command(self, main_class: str, *arguments: str) -> list[str]:
        return [
            java(),
            f"-Xmx{HEAP}",
            "-XX:+UseSerialGC",  # less memory and CPU than G1 for a broker of this size
            "-XX:TieredStopAtLevel=1",  # starts in half the time; a laptop's broker lives minutes
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            *self._security.java_options(),
            "-cp", f"{self._jars}/*",
            main_class, *arguments,
        ]  # fmt: skip

    def _config_file(self, number: int) -> Path:
        return self._folder / f"server-{number}.properties"

    def _config(self, number: int) -> dict[str, str]:
        count = len(self._ports)
        replicas = str(min(3, count))
        voters = (f"{i}@127.0.0.1:{port}" for i, port in enumerate(self._controller_ports))
        ports = {
            LISTENER: self._ports[number],
            "BROKER": self._internal_ports[number],
            "CONTROLLER": self._controller_ports[number],
        }
        listeners = {name: f"{name}://127.0.0.1:{port}" for name, port in ports.items()}
        advertised = [listeners[LISTENER], listeners["BROKER"]]
        protocols = f"{LISTENER}:{self._security.protocol},BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT"
        if self._behind:
            listeners["BEHIND"] = f"BEHIND://127.0.0.1:{self.own_ports[number]}"
            advertised.append(f"BEHIND://127.0.0.1:{self._behind[number]}")
            protocols += ",BEHIND:PLAINTEXT"
        return {
            "process.roles": "broker,controller",
            "node.id": str(number),
            "controller.quorum.voters": ",".join(voters),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "BROKER",
            "listeners": ",".join(listeners.values()),
            "advertised.listeners": ",".join(advertised),
            "listener.security.protocol.map": protocols,
            "log.dirs": str(self._folder / f"data-{number}"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # One machine, few clients: the defaults' thread pools only cost memory here.
            "num.network.threads": "2",
            "num.io.threads": "4",
            "log.cleaner.dedupe.buffer.size": "8388608",
            **self._security.properties(self._folder / "certificates"),
            **self._properties,
        }


def _cluster_id(unique: uuid.UUID) -> str:
    """Kafka's form of a UUID, and never one that its command line would take for a flag."""
    first, *rest = unique.bytes
    raw = bytes((first & 0x7F, *rest))  # base64 writes a first byte of 0xF8 and more as - or _
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
