"""Policy sets in the solved form, as the operator writes it."""

import json

from textmod_model.policies.solved import version_of


def rule(action="Remove", at_least=0.9, **more):
    return {"action": action, "hold": False, "atLeast": at_least, "budgetPerDay": None, **more}


def policy(*rules, name="off-topic", label=None, mode="Enforce", otherwise="Allow"):
    return {
        "name": name,
        "label": label,
        "mode": mode,
        "otherwise": otherwise,
        "rules": list(rules or (rule(), rule("Review", 0.5, hold=True))),
    }


def document(*policies, **more):
    """A solved form with its version."""
    found = {
        "model": None,
        "policies": list(policies or (policy(),)),
        "explanation": {"actions": ["Remove", "Review"], "maxSpans": 5, "offsets": "CodePoint"},
        **more,
    }
    return {"version": version_of(found), **found}


def raw(*policies, **more):
    return json.dumps(document(*policies, **more)).encode()
