"""What a verdict says of the action that policies decided on."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from textmod_model.policies.evaluate import Ruling, strictest


def ruling_fields(ruling: Ruling, scores: Mapping[str, float]) -> dict[str, Any]:
    """Return the fields of a flat verdict; `scores` are by label."""
    return {
        "action": ruling.action,
        "hold": ruling.hold,
        "policies": [
            {
                "name": said.name,
                "action": said.action,
                "label": said.label,
                "score": scores[said.label],
                "mode": said.mode,
                **({"overBudget": list(said.over_budget)} if said.over_budget else {}),
            }
            for said in ruling.said
        ],
        "policyVersion": ruling.version,
        "scores": dict(scores),
    }


def tags(rulings: Sequence[Ruling]) -> dict[str, Any]:
    """Return Seldon's meta.tags: the strictest action; of several texts also each one's."""
    act = strictest(rulings)
    found: dict[str, Any] = {
        "action": act.action,
        "hold": act.hold,
        "policyVersion": act.version,
    }
    if len(rulings) > 1:
        found["actions"] = [ruling.action for ruling in rulings]
        found["holds"] = [ruling.hold for ruling in rulings]
    return found


class RulingTails:
    """The end of a verdict's JSON, in bytes made once for each ruling.

    A ruling applies to thousands of texts, and only the scores in it differ. Writing all of it
    for each text would double the cost of a verdict.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Take the labels, in the order of a text's scores."""
        self._names = names
        self._tails: dict[Ruling, tuple[bytes, tuple[int, ...]]] = {}
        self._version = ""

    def tail(self, ruling: Ruling, cells: Sequence[bytes]) -> bytes:
        """Return `,"action":…,"scores":{…}` with the scores, which are JSON already, filled in."""
        found = self._tails.get(ruling)
        if found is None:
            found = self._made(ruling)
        pattern, places = found
        return pattern % tuple([cells[place] for place in places])

    def _made(self, ruling: Ruling) -> tuple[bytes, tuple[int, ...]]:
        if ruling.version != self._version:  # the rulings of another set come no more
            self._tails.clear()
            self._version = ruling.version
        fields = ruling_fields(ruling, dict.fromkeys(self._names, 0.0))
        policies, places = [], []
        for entry, said in zip(fields.pop("policies"), ruling.said, strict=True):
            del entry["score"]
            policies.append(_literal(entry)[:-1] + b',"score":%b}')
            places.append(self._names.index(said.label))
        del fields["scores"]
        scores = [_literal(name) + b":%b" for name in self._names]
        places += range(len(self._names))
        pattern = b',%b,"policies":[%b],"scores":{%b}' % (
            _literal(fields)[1:-1],
            b",".join(policies),
            b",".join(scores),
        )
        found = self._tails[ruling] = pattern, tuple(places)
        return found


def _literal(document: object) -> bytes:
    """Return JSON that stays as it is when a pattern is filled in."""
    return orjson.dumps(document).replace(b"%", b"%%")
