"""The `run` blocks of the documents, run in their order on the local cluster."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from document_shell import DocumentShell
from pages import ROOT, Block, blocks, pages

from textmod_dev.build import kind_tool
from textmod_dev.kafka_security import Security
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.model_image import add_image, trained_model, training_data
from textmod_dev.progress import Progress
from textmod_operator.kafka.lag import LagMonitor
from textmod_operator.state import KafkaConnection, LagReading, ObjectKey

pytestmark = pytest.mark.integration

SHELL = [block for page in pages() for block in blocks(page) if block.language == "sh"]
SECURE = ROOT / "docs" / "secure-kafka.md"
RUN = sorted({block.page for block in SHELL if block.mark == "run"} - {SECURE})
TOPICS = ("science-input", "science-output", "science-dead-letter")


@pytest.fixture(scope="module")
def science(
    operator: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DocumentShell]:
    """A shell on the local cluster, where the smallest object is Ready in namespace default and has
    read one message."""
    shell = DocumentShell(operator, tmp_path_factory.mktemp("documents"))
    (shell.folder / "password.txt").write_text("open-sesame")
    (shell.folder / "secret.txt").write_text("open-sesame")
    operator.kubectl("apply", "-f", str(shell.folder / "examples" / "minimal.yaml"))
    operator.kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=120s")
    producer = Producer({"bootstrap.servers": operator.bootstrap_servers})
    producer.produce("science-input", b"thanks for the source")
    assert producer.flush(10) == 0
    yield shell
    operator.kubectl("delete", "tm", "science", "--ignore-not-found", "--timeout=60s")
    admin = AdminClient({"bootstrap.servers": operator.bootstrap_servers})
    for future in admin.delete_topics(list(TOPICS)).values():
        future.result(10)


@pytest.fixture
def clean(science: DocumentShell) -> Iterator[DocumentShell]:
    """The same; what a page makes beside the object is gone afterwards."""
    yield science
    science.cluster.kubectl("delete", "secret", "kafka-user", "kafka-ca", "--ignore-not-found")


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_work(page: Path, clean: DocumentShell) -> None:
    for block in blocks(page):
        if block.mark == "run":
            clean.run(block)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DocumentShell]:
    """A shell on a cluster of its own, whose broker wants TLS, a password and an ACL."""
    security = Security(
        "SASL_SSL",
        "SCRAM-SHA-512",
        users={"moderator": "open-sesame", "admin": "admin-secret"},
        acls=True,
        super_users=("admin",),
    )
    folder = tmp_path_factory.mktemp("secure")
    with LocalCluster(
        folder / "state", seldon=True, kafka_security=security, progress=Progress()
    ) as cluster:
        add_image(cluster.images, trained_model(training_data(None, Progress()), Progress()))
        cluster.install_operator()
        cluster.start_operator()
        shell = DocumentShell(cluster, folder / "documents")
        admin = cluster.kafka.client_config("admin")
        (shell.folder / "password.txt").write_text("open-sesame")
        (shell.folder / "secret.txt").write_text("open-sesame")
        (shell.folder / "ca.crt").write_text(Path(admin["ssl.ca.location"]).read_text())
        (shell.folder / "admin.properties").write_text(
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\n"
            f"ssl.truststore.location={admin['ssl.ca.location']}\n"
            "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
            'username="admin" password="admin-secret";\n'
        )
        yield shell


def test_what_the_page_on_secure_kafka_allows_is_enough_and_needed(
    secured: DocumentShell, wait_for: Callable[..., None]
) -> None:
    cluster = secured.cluster
    run = [block for block in blocks(SECURE) if block.mark == "run"]
    allow = [block for block in run if "kafka-acls.sh" in block.text]
    assert allow
    assert run[0] in allow, "the permissions come before the object on the page"
    for block in run:
        secured.run(block)
    admin = cluster.kafka.client_config("admin")
    producer = Producer(admin)
    producer.produce("science-input", b"thanks for the source")
    assert producer.flush(10) == 0
    consumer = Consumer(
        admin
        | {
            "group.id": "reader",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe(["science-output"])
    found: list[object] = []

    def read() -> bool:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            found.append(json.loads(message.value() or b""))
        return bool(found)

    wait_for(read, 60, "a verdict in one transaction")
    consumer.close()
    lag = "jsonpath={.status.lag.messages}"
    wait_for(lambda: cluster.kubectl("get", "tm", "science", "-o", lag) == "0", 30, "the lag is 0")

    # The age of what waits, which the operator reads from the next unread record after a restart.
    client = AdminClient(admin)
    config = {"message.timestamp.type": "LogAppendTime"}  # no other time is an arrival's
    topic = NewTopic("science-unread", 1, 1, config=config)
    client.create_topics([topic])["science-unread"].result(10)
    producer.produce("science-unread", b"a text")
    assert producer.flush(10) == 0
    monitor = LagMonitor(
        KafkaConnection(
            cluster.bootstrap_servers,
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="moderator",
            sasl_password="open-sesame",
            tls=True,
            ca_pem=(secured.folder / "ca.crt").read_text(),
        )
    )
    key = ObjectKey("default", "science")
    monitor.watch(key, "science-unread", "textmod.default.science")
    reading = monitor.poll(time.time())[key]
    monitor.close()
    assert isinstance(reading, LagReading), reading
    assert reading.seconds_behind == pytest.approx(0, abs=60)

    # Without what the page allows on topics, the operator says so, in the words of the runbook.
    undo = allow[0].text.replace("--add", "--remove --force")
    secured.run(Block(SECURE, 0, "sh", undo, "run"))
    reason = 'jsonpath={.status.conditions[?(@.type=="TopicsReady")].reason}'
    told = {"AuthorizationFailed", "TopicMissing"}
    wait_for(
        lambda: cluster.kubectl("get", "tm", "science", "-o", reason) in told, 60, "it is told"
    )


# --- objects that the API server takes ------------------------------------------------------------


def objects() -> list[object]:
    texts = [
        (str(block), block.text)
        for page in pages()
        for block in blocks(page)
        if block.language == "yaml"
    ]
    texts += [(path.name, path.read_text()) for path in (ROOT / "examples").glob("*.yaml")]
    return [
        pytest.param(text, id=name)
        for name, text in texts
        if any(
            isinstance(body, dict) and body.get("kind") == "TextModeration"
            for body in yaml.safe_load_all(text)
        )
    ]


@pytest.mark.parametrize("text", objects())
def test_the_api_server_takes_the_objects_of_the_documents(
    cluster: LocalCluster, text: str
) -> None:
    bodies = [body for body in yaml.safe_load_all(text) if body["kind"] == "TextModeration"]
    for body in bodies:
        body["metadata"] = {"name": "of-a-document"}  # beside the object that the pages talk of
        cluster.kubectl(
            "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(body)
        )


def test_kafka_for_trying_things_out_is_taken(cluster: LocalCluster) -> None:
    file = str(ROOT / "examples" / "kafka.yaml")
    cluster.kubectl("apply", "--dry-run=client", "--validate=strict", "-f", file)


# --- flags of what can't be run here --------------------------------------------------------------

NESTED = ("create secret generic", "create namespace", "rollout status")
"""Commands of kubectl that consist of several words."""


def elsewhere(tool: str) -> list[object]:
    """The commands of `e2e` blocks that call `tool`, up to the first pipe, as words."""
    found = []
    for block in SHELL:
        text = re.sub(r"<<(\w+)\n.*?^\1$", "", block.text, flags=re.MULTILINE | re.DOTALL)
        for command in text.replace("\\\n", " ").splitlines():
            if block.mark == "e2e" and command.startswith(f"{tool} "):
                words = shlex.split(command.partition("|")[0].partition(" -- ")[0])
                found.append(pytest.param(words[1:], id=f"{block}: {' '.join(words[:3])}"))
    return found


def unknown_flags(words: list[str], said: str) -> list[str]:
    """The flags of a command that its tool's help does not name."""
    flags = {word.partition("=")[0] for word in words if re.match(r"--\w|-\w$", word)}
    return [flag for flag in sorted(flags) if not re.search(rf"{flag}[=,: ]", said)]


@pytest.mark.parametrize("words", elsewhere("kubectl"))
def test_kubectl_knows_the_flags(cluster: LocalCluster, words: list[str]) -> None:
    named = [word for word in words if not word.startswith("-")]
    command = next((nest for nest in NESTED if " ".join(named).startswith(nest)), named[0])
    said = cluster.kubectl(*command.split(), "--help") + cluster.kubectl("options")
    assert unknown_flags(words, said) == []


@pytest.mark.parametrize("words", elsewhere("kind"))
def test_kind_knows_the_flags(words: list[str]) -> None:
    program = kind_tool("kind", Progress())
    said = subprocess.run(
        [program, *words[:2], "--help"], capture_output=True, text=True, check=True
    )
    assert unknown_flags(words, said.stdout) == []
