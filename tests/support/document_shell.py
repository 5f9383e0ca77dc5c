"""Runs the commands of the documents as their readers would, on a local cluster.

What a reader has and this machine has not is put in its place: `kafka.kafka.svc` is the local
broker, Kafka's own tools are their classes from the broker's jars, `examples/` is a copy with the
broker's address in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pages import ROOT, Block

from textmod_dev.build import java, kafka_jars
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.progress import Progress

KAFKA_TOOLS = {
    "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
}
PLACES = ("kafka.kafka.svc:9092", "kafka.kafka.svc:9093")
"""Kafka's address in the documents, without and with TLS."""


@dataclass
class DocumentShell:
    """A folder to stand in, and the tools that the documents name on the path.

    Args:
        cluster: its kubectl and its broker are used; the namespace is `default`.
        folder: an empty folder.
    """

    cluster: LocalCluster
    folder: Path
    environment: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        tools = self.folder / "bin"
        tools.mkdir(parents=True)
        for name, main_class in KAFKA_TOOLS.items():
            script = tools / name
            script.write_text(
                "#!/bin/sh\n"
                f"exec {java()} -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "
                f"-Dorg.slf4j.simpleLogger.defaultLogLevel=error "
                f'-cp "{kafka_jars(Progress(quiet=True))}/*" {main_class} "$@"\n'
            )
            script.chmod(0o755)
        environment = dict(self.cluster.kubectl.environment())
        path = (str(tools), str(Path(sys.executable).parent), environment["PATH"])
        self.environment = environment | {
            "PATH": os.pathsep.join(path),
            "OMP_NUM_THREADS": "1",
            # Pods of the local cluster hold the same ports at addresses of their own.
            "TEXTMOD_BIND_ADDRESS": "127.0.0.1",
        }
        (self.folder / "examples").mkdir()
        for file in (ROOT / "examples").iterdir():
            if file.is_file():
                (self.folder / "examples" / file.name).write_text(self.placed(file.read_text()))

    def placed(self, text: str) -> str:
        """`text` with the local broker's address in it."""
        for place in PLACES:
            text = text.replace(place, self.cluster.bootstrap_servers)
        return text

    def run(self, block: Block, timeout: float = 180) -> str:
        """Runs a block as one script that ends at its first failure; returns what it printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.placed(block.text)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        said = f"{done.stdout}{done.stderr}"
        assert done.returncode == 0, f"{block} ended with {done.returncode}:\n{said[-2000:]}"
        return done.stdout
