"""The metrics of measured quality, over all objects."""

from __future__ import annotations

from typing import Any

import pytest

from textmod_operator.controller.quality_metrics import figures_of_all
from textmod_operator.state import Manifest, ObjectKey

SPEC = {
    "review": {},
    "policies": [{"name": "spam", "rules": [{"action": "Remove", "precision": 0.9}]}],
}


def with_quality(quality: Any) -> Manifest:
    return {"spec": SPEC, "status": {"quality": quality}}


def of_policy(actions: Any) -> Any:
    return {"policies": [{"name": "spam", "actions": actions}]}


@pytest.mark.parametrize(
    "odd",
    [
        of_policy([{"action": "Remove", "precision": {"value": 0.8, "ofANewerVersion": 1}}]),
        of_policy([{"action": "Remove"}]),
        of_policy(["Remove"]),
        {"policies": [{}]},
        {"precision": 0.8},
        "unknown",
    ],
)
def test_a_status_that_cannot_be_read_takes_no_other_objects_metrics(odd: Any) -> None:
    fine = with_quality({"precision": {"value": 0.75}})
    objects = [
        (ObjectKey("reddit", "odd"), with_quality(odd)),
        (ObjectKey("reddit", "fine"), fine),
    ]
    found = list(figures_of_all(objects))
    assert (("reddit", "fine", "", ""), "textmoderation_quality_precision", 0.75) in found
    assert not any(name == "odd" for (_, name, _, _), _, _ in found)
