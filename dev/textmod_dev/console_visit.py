"""`textmod-dev console`: the review console of the local cluster, with a stream to review.

A simulated reviewer decides beside you, so that the quality page has figures.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from textmod_dev import supervisor
from textmod_dev.errors import LocalClusterError
from textmod_dev.kubectl import Kubectl
from textmod_dev.manifests import Json, as_list
from textmod_dev.model_image import text_column, training_data
from textmod_dev.paths import repository_root
from textmod_dev.processes import ProcessKeeper
from textmod_dev.progress import Progress
from textmod_dev.supervisor import Running

EXAMPLE = "examples/reddit-science.yaml"
NAME = "science"
NAMESPACE = "default"
PERSON, SIMULATED = "you", "simulated-reviewer"
ROLES = {PERSON: ("lead", "auditor"), SIMULATED: ("reviewer",)}
TOKEN_HOURS = 12
TEXTS_PER_SECOND = 20
DECISIONS_PER_SECOND = 15
REVIEW = {"sample": 0.5, "minimumLabels": 20}
"""More texts and fewer labels than in production, so that figures come within minutes."""
MISTAKES = 0.05


def run(arguments: argparse.Namespace, cluster: Running) -> int:
    """Prints how to reach the console, and keeps the stream going until Ctrl-C.

    Raises:
        LocalClusterError: there is no console after a while.
    """
    progress = Progress()
    data = training_data(arguments.data, progress)
    kubectl = kubectl_of(cluster)
    _apply(kubectl, cluster, progress)
    print("\n".join(sign_in(kubectl)), flush=True)
    logs = arguments.state_dir / "logs"
    with supervisor.stoppable(), ProcessKeeper(logs) as keeper:
        producer = keeper.start("console-producer", _producer(cluster, data))
        if not arguments.alone:
            keeper.start("simulated-reviewer", _reviewer(kubectl, data, arguments.state_dir))
        print(
            f"{TEXTS_PER_SECOND} texts a second arrive until Ctrl-C. "
            "The cluster stays up until `make down`.",
            flush=True,
        )
        end = time.monotonic() + (arguments.seconds or float("inf"))
        while producer.exit_code() is None and time.monotonic() < end:
            time.sleep(0.2)
    return 0


def kubectl_of(cluster: Running) -> Kubectl:
    """kubectl as the administrator of a running cluster."""
    return Kubectl(Path(cluster.binaries) / "kubectl", Path(cluster.kubeconfig))


def sign_in(kubectl: Kubectl) -> list[str]:
    """The console's address and a token for it, as lines.

    Raises:
        LocalClusterError: there is no console.
    """
    address = address_of(kubectl)
    if address is None:
        raise LocalClusterError(f"{NAME} has no console: see `kubectl describe tm {NAME}`.")
    return [
        f"The review console: {address}",
        "Sign in with this token, which may review, lead and audit:",
        token(kubectl, PERSON),
    ]


def address_of(kubectl: Kubectl) -> str | None:
    """URL of the console's pod, which this machine reaches; None without one that is ready."""
    listed = kubectl("get", "pods", "-l", f"textmoderation.dev/console={NAME}", "-o", "json")
    for pod in json.loads(listed)["items"]:
        conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
        if conditions.get("Ready") == "True":
            return f"http://{pod['status']['podIP']}:8080/"
    return None


def token(kubectl: Kubectl, who: str) -> str:
    """A token of a ServiceAccount with the roles of ROLES, created if need be."""
    kubectl("apply", "-f", "-", stdin=as_list(_account(who)))
    return kubectl("create", "token", who, f"--duration={TOKEN_HOURS}h").strip()


def _account(who: str) -> list[Json]:
    subject = {"kind": "ServiceAccount", "name": who, "namespace": NAMESPACE}
    group = "rbac.authorization.k8s.io"
    account: Json = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": who}}
    return [
        account,
        *(
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": f"{who}-{role}"},
                "roleRef": {
                    "apiGroup": group,
                    "kind": "ClusterRole",
                    "name": f"textmoderation-{role}",
                },
                "subjects": [subject],
            }
            for role in ROLES[who]
        ),
    ]


def _apply(kubectl: Kubectl, cluster: Running, progress: Progress) -> None:
    """The example with its review, unless an object of that name has a console already."""
    there = kubectl("get", "tm", NAME, "--ignore-not-found", "-o", "json")
    if there and "review" in json.loads(there)["spec"]:
        progress.step(
            f"{NAME} is there and stays as it is; deleted first, it is applied with settings by "
            "which precision and recall are known within minutes"
        )
    else:
        manifest: dict[str, Any] = yaml.safe_load((repository_root() / EXAMPLE).read_text())
        manifest["spec"]["kafka"]["bootstrapServers"] = cluster.bootstrap_servers
        manifest["spec"]["review"] |= REVIEW
        progress.step(f"kubectl apply -f {EXAMPLE}")
        kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    progress.step("Waiting until it is Ready and its console too")
    for condition in ("Ready", "ReviewReady"):
        kubectl("wait", f"--for=condition={condition}", "--timeout=150s", f"tm/{NAME}")


def _producer(cluster: Running, data: Path) -> list[str]:
    return [
        sys.executable,
        str(repository_root() / "examples" / "produce.py"),
        f"--bootstrap-servers={cluster.bootstrap_servers}",
        f"--topic={NAME}-input",
        f"--file={data}",
        f"--column={text_column(data)}",
        f"--rate={TEXTS_PER_SECOND}",
        f"--limit={TEXTS_PER_SECOND * TOKEN_HOURS * 3600}",
    ]


def _reviewer(kubectl: Kubectl, data: Path, folder: Path) -> list[str]:
    secret = folder / "simulated-reviewer.token"
    secret.touch(mode=0o600)
    secret.write_text(token(kubectl, SIMULATED))
    column = text_column(data)
    return [
        sys.executable,
        str(repository_root() / "examples" / "simulated_reviewer.py"),
        f"--url={address_of(kubectl)}",
        f"--token-file={secret}",
        f"--file={data}",
        f"--column={column}",
        f"--label={'REMOVED' if column == 'BODY' else 'label'}",
        f"--mistakes={MISTAKES}",
        f"--rate={DECISIONS_PER_SECOND}",
        f"--idle={TOKEN_HOURS * 3600}",
    ]
