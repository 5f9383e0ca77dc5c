"""A policy that flags the highest 5 % of the scores, as the file that a worker reads."""

import json
from pathlib import Path

import numpy as np

from textmod_model import artifact
from textmod_model.policies.solved import Action, version_of
from textmod_model.scoring.scorer import Scorer

FLAGGED = 0.05


def threshold(model: Path, texts: list[str]) -> float:
    """Return the score that `FLAGGED` of the texts reach."""
    scores = Scorer.from_artifact(artifact.load(model)).score(texts)
    return float(np.quantile(scores, 1 - FLAGGED))


def write(file: Path, action: Action, at_least: float, *, explained: bool) -> None:
    """Write a policy with one rule; `explained`: its verdicts carry explanations."""
    rule = {"action": action, "atLeast": at_least}
    document = {
        "policies": [{"name": "highest", "rules": [rule]}],
        "explanation": {"actions": [action] if explained else []},
    }
    file.write_text(json.dumps({**document, "version": version_of(document)}))
