"""The status of a TextModeration, from what was wanted, what was seen and what went wrong. Pure.

The rules of conditions, all in one place:

1. Every condition is always there, with reason, message and observedGeneration; PoliciesReady only
   where there are policies, ReviewReady and QualityKnown only where there is review.
2. `lastTransitionTime` moves only when `status` changes.
3. A part that was not looked at, because an earlier one failed, is Unknown; never True from memory.
4. Ready is the summary: True when the four parts are, else False with the first part's reason.
   PoliciesReady, ReviewReady and QualityKnown do not affect it: the stream serves all the same.
5. Reconciling and Stalled follow kstatus: abnormal is True. Stalled means that waiting won't help:
   somebody has to change the object, its cluster or its Kafka.
6. What can't be read is left out of the figures, never written as 0.
"""

from textmod_operator.conditions.events import Notice, notices
from textmod_operator.conditions.figures import FIGURES, figures
from textmod_operator.conditions.policies import differ_in_rates_alone, policies_status
from textmod_operator.conditions.published import published, unknown
from textmod_operator.conditions.quality import (
    Promise,
    QualitySeen,
    measured_of,
    promises,
)
from textmod_operator.conditions.states import ORDER, PARTS, PASSING, ConditionState
from textmod_operator.conditions.status import (
    failed_status,
    held_status,
    refused_status,
    status,
)

__all__ = [
    "FIGURES",
    "ORDER",
    "PARTS",
    "PASSING",
    "ConditionState",
    "Notice",
    "Promise",
    "QualitySeen",
    "differ_in_rates_alone",
    "failed_status",
    "figures",
    "held_status",
    "measured_of",
    "notices",
    "policies_status",
    "promises",
    "published",
    "refused_status",
    "status",
    "unknown",
]
