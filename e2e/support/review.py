"""A review console in the cluster: its volume, the way to it, and the events that it writes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from moderation import Moderation, wait_for

from textmod_dev.kind.cluster import KindCluster
from textmod_dev.kind.engine import Engine
from textmod_dev.processes import ProcessKeeper, free_port

STORAGE_CLASS = "review"
FOLDER = "/var/review-console"
UNREACHABLE = 0


def add_volume(engine: Engine, cluster: KindCluster) -> None:
    """A local volume on the node: unlike its host-path provisioner's, it takes a pod's fsGroup."""
    engine.run("exec", cluster.node, "mkdir", "-p", FOLDER)
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [cluster.node]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "review-console"},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "local": {"path": FOLDER},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}},
        },
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(volume))


def token(of: Moderation, account: str, role: str) -> str:
    """A token of a new ServiceAccount with a ClusterRole in the object's namespace."""
    of.ask("create", "serviceaccount", account)
    subject = f"--serviceaccount={of.name}:{account}"
    of.ask("create", "rolebinding", account, f"--clusterrole={role}", subject)
    return of.ask("create", "token", account).strip()


Ask = Callable[[str, str, object], tuple[int, Any]]
"""``ask(path, token, body)``: status and document; a GET where the body is None."""


@contextmanager
def console(of: Moderation, keeper: ProcessKeeper) -> Iterator[Ask]:
    """The JSON API, through kubectl port-forward."""
    port = free_port()
    forward = keeper.start(
        "port-forward",
        [
            "kubectl", f"--namespace={of.name}", "port-forward", f"service/{of.name}-console",
            f"{port}:8080",
        ],
        env=dict(of.kubectl.environment()),
    )  # fmt: skip

    def ask(path: str, token: str, body: object = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return UNREACHABLE, str(error)

    wait_for(lambda: ask("/api/counts", "none")[0] != UNREACHABLE, "the way there", 30)
    try:
        yield ask
    finally:
        keeper.stop(forward)


def decisions(servers: str, topic: str) -> list[dict[str, Any]]:
    """The decisions in a topic, which holds the audit too."""
    kind = b"dev.textmoderation.decision.v1"
    return [
        json.loads(value) for headers, value in _read(servers, topic) if headers["ce_type"] == kind
    ]


def newest_policy_version(servers: str, topic: str) -> str | None:
    """The version of the policies in the newest verdict of each partition; None if they differ."""
    found = {json.loads(value).get("policyVersion") for _, value in _read(servers, topic, last=1)}
    return found.pop() if len(found) == 1 else None


def _read(
    servers: str, topic: str, last: int | None = None
) -> Iterator[tuple[dict[str, bytes], bytes]]:
    """Headers and value of the records of a topic; with `last` only so many of each partition."""
    reader = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "e2e-review",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        places = []
        for number in reader.list_topics(topic, timeout=10).topics[topic].partitions:
            first, end = reader.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            start = first if last is None else max(first, end - last)
            places.append(TopicPartition(topic, number, start))
        reader.assign(places)
        ended: set[int] = set()
        while len(ended) < len(places):
            message = reader.poll(10)
            if message is None:
                return
            if message.error() is not None:
                ended.add(message.partition())
                continue
            yield dict(message.headers() or ()), message.value()
    finally:
        reader.close()
