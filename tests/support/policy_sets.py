"""Policy sets in the solved form, as the operator writes it."""

import json
import os

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


class ConfigMap:
    """A mounted ConfigMap: files behind a symbolic link that an update replaces."""

    def __init__(self, folder):
        self._folder = folder
        self._generation = 0
        self.path = folder / "policies.json"

    def write(self, content):
        self._generation += 1
        behind = self._folder / f"..{self._generation}"
        behind.mkdir()
        (behind / "policies.json").write_bytes(content)
        os.utime(behind / "policies.json", (1, 1))  # a kubelet may keep the time
        link = self._folder / "..data_tmp"
        link.symlink_to(behind.name)
        link.replace(self._folder / "..data")
        if not self.path.is_symlink():
            self.path.symlink_to("..data/policies.json")
