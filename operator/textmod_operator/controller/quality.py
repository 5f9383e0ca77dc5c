"""The console's answers in one pass: figures for the status, labels for thresholds."""

from __future__ import annotations

from dataclasses import dataclass

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions import QualitySeen
from textmod_operator.controller.console_figures import ConsoleFigures
from textmod_operator.kube.cluster import Cluster
from textmod_operator.policies import Feedback
from textmod_operator.state import ObjectKey


@dataclass(frozen=True)
class Heard:
    """The last answers of an object's console."""

    seen: QualitySeen | None = None
    """None: the object has no review."""
    feedback: Feedback | None = None
    """None: the object has no console."""
    again: float | None = None
    """Seconds until the console is due to be asked again; None: there is none."""


def heard(tm: TextModeration, cluster: Cluster, consoles: ConsoleFigures) -> Heard:
    """Return the last answers of the object's console, without waiting for it.

    Raises:
        ClusterError: the pods have not been listed yet.
    """
    review = tm.spec.review
    if review is None:
        return Heard()
    if not review.console.enabled:
        return Heard(QualitySeen(None, has_console=False))
    key = ObjectKey(tm.metadata.namespace, tm.metadata.name)
    said = consoles.said(key, cluster.console_pods(key))
    return Heard(
        QualitySeen(said.measured, said.silent),
        Feedback(review.minimum_labels, said.evidence),
        consoles.wait(key),
    )
