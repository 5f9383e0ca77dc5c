"""Asks a model pod, over HTTP, why it does not read or serve: its readiness endpoint says it in a
sentence. A pod that can't be reached from here (a network policy, a mesh) says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from typing import Final

from textmod_operator import naming
from textmod_operator.scaling.progress import SUSPICIOUS_SECONDS
from textmod_operator.state import PodSeen, ScalingSeen
from textmod_operator.time_limit import TimeLimit

SECONDS: Final = 1.0
"""An answer that takes longer is none."""
MOST_PODS: Final = 3
"""Asked in one pass: what stops one pod stops all, nearly always."""
MOST_CHARACTERS: Final = 300

AskPod = Callable[[str], str | None]
"""From a pod's address to the sentence of its readiness endpoint, None when it is ready or says
nothing."""


def why_not_ready(address: str) -> str | None:
    """The sentence with which the pod at `address` says that it is not ready."""
    answer = get(address, "/health/ready", 4 * MOST_CHARACTERS)
    if answer is None or answer[0] != 503:
        return None
    return answer[1].decode(errors="replace").strip()[:MOST_CHARACTERS] or None


def get(
    address: str, path: str, most_bytes: int, port: int | None = None
) -> tuple[int, bytes] | None:
    """The status and the first bytes of a pod's answer; None without one in time.

    Args:
        port: None: the model's port for metrics.
    """
    connection = HTTPConnection(address, port or naming.METRICS_PORT, timeout=SECONDS)
    try:
        with TimeLimit(2 * SECONDS) as limit:
            limit.holds_for(connection).request("GET", path)
            answer = connection.getresponse()
            body = b""
            while len(body) < most_bytes and (chunk := answer.read1(1 << 16)):
                body += chunk
        if limit.over:
            return None  # what came is not known to be all
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    return answer.status, body[:most_bytes]


def with_answers(
    pods: Iterable[PodSeen], scaling: ScalingSeen | None, ask: AskPod
) -> tuple[PodSeen, ...]:
    """The pods, with the answers of those that are not ready or, while the stream makes no
    progress, of any."""
    no_progress = scaling is not None and scaling.standing_seconds >= SUSPICIOUS_SECONDS
    left = MOST_PODS
    result = []
    for pod in pods:
        if pod.address is None or not left or not (no_progress or not pod.ready):
            result.append(pod)
            continue
        said = ask(pod.address)
        # Where one that should have something to say can't be reached, the others can't either.
        left = 0 if said is None and not pod.ready else left - 1
        result.append(replace(pod, says=said))
    return tuple(result)
