"""From the policies of a spec to thresholds: pure functions, no I/O and no clock.

`solve` works out from which score on each rule holds, from the histograms of held-out scores that
the model's manifest carries, corrected by what people decided about texts of the stream, and the
rate at which texts arrive, and writes the form that the pods read.
"""

from textmod_operator.policies.evidence import (
    Evidence,
    Feedback,
    LabelEvidence,
    Point,
    corrected,
    evidence_of,
)
from textmod_operator.policies.histogram import MINIMUM_ROWS, Expected, Histogram
from textmod_operator.policies.model import ModelAnswer, ModelSeen, answered, model_of
from textmod_operator.policies.record import Decided, Record
from textmod_operator.policies.rollout import LONG_SECONDS, PoliciesSeen, Rollout
from textmod_operator.policies.solved import (
    Finding,
    FindingReason,
    Solution,
    SolvedPolicy,
    SolvedRule,
)
from textmod_operator.policies.solver import HYSTERESIS, Known, solve

__all__ = [
    "HYSTERESIS",
    "LONG_SECONDS",
    "MINIMUM_ROWS",
    "Decided",
    "Evidence",
    "Expected",
    "Feedback",
    "Finding",
    "FindingReason",
    "Histogram",
    "Known",
    "LabelEvidence",
    "ModelAnswer",
    "ModelSeen",
    "Point",
    "PoliciesSeen",
    "Record",
    "Rollout",
    "Solution",
    "SolvedPolicy",
    "SolvedRule",
    "answered",
    "corrected",
    "evidence_of",
    "model_of",
    "solve",
]
