"""Label Studio's JSON: a list of tasks with annotations, each of which chooses a decision.

A labeling interface for it has `<Choices name="decision" toName="text">` with the decisions' names.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final, TextIO

from textmod_console.errors import DataError
from textmod_console.exchange.rows import (
    Exported,
    Given,
    decision_name,
    json_of,
    moment_of,
    required,
)

NAME: Final = "decision"


def read(file: TextIO) -> Iterator[Given]:
    """Yield each annotation of each task; `data.item` names the item."""
    tasks = json_of(file.read().removeprefix("\ufeff"), "the file")
    if not isinstance(tasks, list):
        raise DataError("the file is no JSON list of tasks, as Label Studio exports it.")
    for number, task in enumerate(tasks, start=1):
        place = f"task {number}"
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            raise DataError(f"{place}: it has no data.")
        item = required(task["data"].get("item"), "data.item", place)
        for annotation in task.get("annotations") or []:
            if not isinstance(annotation, dict):
                raise DataError(f"{place}: an annotation is no object.")
            yield _given(annotation, item, place)


def _given(annotation: dict[str, Any], item: str, place: str) -> Given:
    skipped = annotation.get("was_cancelled") is True
    chosen = "Skip" if skipped else _choice(annotation.get("result"))
    return Given(
        place=place,
        item=item,
        decision=decision_name(chosen, place),
        actor=_person(annotation.get("completed_by")),
        at=moment_of(annotation.get("created_at"), place),
        id=annotation.get("unique_id") if isinstance(annotation.get("unique_id"), str) else None,
    )


def _choice(result: object) -> object:
    """Return the one choice of the control named decision, else of the first control."""
    regions = [
        region
        for region in (result if isinstance(result, list) else [])
        if isinstance(region, dict) and region.get("type") == "choices"
    ]
    controls = [region.get("from_name") for region in regions]
    control = NAME if NAME in controls else next(iter(controls), None)
    chosen: list[object] = []
    for region in regions:
        value = region.get("value")
        choices = value.get("choices") if isinstance(value, dict) else None
        if region.get("from_name") == control and isinstance(choices, list):
            chosen += (choice for choice in choices if choice not in chosen)
    return chosen[0] if len(chosen) == 1 else None


def _person(completed_by: object) -> str:
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    known = completed_by is not None and completed_by != "" and "\x00" not in str(completed_by)
    return str(completed_by) if known else "label-studio"


def write(file: TextIO, rows: Iterable[Exported]) -> int:
    """Write a task for each item with its decisions; rows of an item stand together."""
    count = 0
    file.write("[")
    for number, (item, same) in enumerate(groupby(rows, key=lambda row: row.decision.item)):
        of_item = list(same)
        file.write("," if number else "")
        file.write("\n" + json.dumps(_task(item, of_item), ensure_ascii=False))
        count += len(of_item)
    file.write("\n]\n")
    return count


def _task(item: str, rows: list[Exported]) -> dict[str, Any]:
    first = rows[0]
    label = first.label or ""
    score = first.decision.scores.get(label)
    return {
        "data": {"item": item, "label": label, "text": first.text or ""},
        "annotations": [_annotation(row) for row in rows],
        "predictions": []
        if score is None
        else [{"model_version": first.decision.model, "score": score, "result": []}],
    }


def _annotation(row: Exported) -> dict[str, Any]:
    one = row.decision
    seconds = None if one.milliseconds is None else one.milliseconds / 1000
    choice = {
        "from_name": NAME,
        "to_name": "text",
        "type": "choices",
        "value": {"choices": [one.decision]},
    }
    return {
        "unique_id": one.id,
        "completed_by": {"email": one.actor},
        "created_at": one.at.isoformat(),
        "lead_time": seconds,
        "was_cancelled": one.decision == "Skip",
        "result": [] if one.decision == "Skip" else [choice],
    }
