"""Review consoles on the local cluster: their image, permissions and volumes.

Pods here have no token of their ServiceAccount, so consoles call the API server as one user with
the same rights. There is no provisioner either: a claim is bound to one of the volumes made here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from textmod_dev import manifests
from textmod_dev.images import ImageTable
from textmod_dev.manifests import Json

USER = "textmod-console"
IMAGE = "textmoderation/console:0.1.0"
ROLE = "textmoderation-console"
PEOPLE = ("reviewer", "lead", "auditor")
VOLUMES = 32
"""More than the tests of one cluster use up."""


def add_image(images: ImageTable, kubeconfig: Path, name: str = IMAGE) -> None:
    """Lets pods run the console under an image's name, as the user of a kubeconfig."""
    command = [sys.executable, "-m", "textmod_console", "serve"]
    images.set(name, command, {"TEXTMOD_CONSOLE_KUBECONFIG": str(kubeconfig)})


def objects(operator: str, volumes: Path, rules: Callable[[str], list[Json]]) -> Iterator[Json]:
    """The chart's objects for consoles, the user that they call as, and volumes.

    Args:
        operator: the operator's user.
        volumes: the folder that holds them.
        rules: reads a file of the chart's rules.
    """
    yield manifests.cluster_role(ROLE, rules("console-rules.yaml"))
    yield manifests.cluster_role_binding(ROLE, ROLE)
    yield manifests.cluster_role_binding(USER, ROLE, user=USER)
    grant = f"{operator}-console-grant"
    yield manifests.cluster_role(grant, rules("console-grant-rules.yaml"))
    yield manifests.cluster_role_binding(grant, grant, user=operator)
    for who in PEOPLE:
        yield manifests.cluster_role(f"textmoderation-{who}", rules(f"user-{who}-rules.yaml"))
    for number in range(VOLUMES):
        yield manifests.persistent_volume(f"local-{number}", volumes / str(number))
