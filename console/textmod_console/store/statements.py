"""Fields of a decision for a statement of reasons (Digital Services Act, article 17). Pure."""

from __future__ import annotations

from textmod_console.events import DecisionName, ReviewRequested, Statement
from textmod_console.policies import InForce


def statement(
    request: ReviewRequested, decision: DecisionName, policy: str | None, in_force: InForce | None
) -> Statement | None:
    """Return the fields of the DSA Transparency Database; None: nothing is restricted, or the
    policy names neither ground nor category.

    The content was found by automated means unless chance alone put it before a person. A person
    decides, so the decision is not automated; where the policy had removed the text already and a
    person confirms that, it is so in part.
    """
    if decision != "Remove" or in_force is None:
        return None
    reasons = in_force.statement(policy)
    if reasons is None:
        return None
    found = request.flagged or any(reason.kind == "Policy" for reason in request.reasons)
    return Statement(
        decision_ground=reasons.ground,
        category=reasons.category,
        automated_detection="Yes" if found else "No",
        automated_decision="AUTOMATED_DECISION_PARTIALLY"
        if request.action == "Remove"
        else "AUTOMATED_DECISION_NOT_AUTOMATED",
    )
