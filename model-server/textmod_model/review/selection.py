"""Selects the texts of a batch that people review: by policy, at random, or both.

The request of a text has the probability of its selection, so that a measurement on the selected
texts can be weighted to hold for all texts. The probability follows from the verdict:

- the action is Review: 1;
- else: the share of the random sample.

A text over a policy's budget has another action than Review, so its probability is that of the
sample: the hash thins it as it thins all others.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from textmod_model.policies.evaluate import Ruling

Strategy = Literal["Random", "Policy", "Mixed"]


class Selection(NamedTuple):
    """How a text was chosen."""

    strategy: Strategy
    probability: float
    """Of being chosen at all, by either way; above 0, at most 1."""

    @property
    def blind(self) -> bool:
        """Whether a reviewer decides without seeing the score: no policy asked for the text."""
        return self.strategy == "Random"


class Sample:
    """A random share of all texts, drawn without a state.

    A text is chosen if the first 8 bytes of BLAKE2b(salt, NUL, item), a number from 0 to 1, are
    below the share. A larger share therefore chooses all that a smaller one chooses.
    """

    def __init__(self, share: float, salt: str) -> None:
        """Take the share, from 0 to 1, and a salt, so that two streams choose independently."""
        self.share = share
        self._salted = hashlib.blake2b(salt.encode() + b"\0")
        # Digests compare as the numbers that they begin with.
        below = int(share * 2**64)
        self._below = below.to_bytes(8, "big") if below < 2**64 else b"\xff" * 65

    def chosen(self, items: Iterable[str]) -> list[int]:
        """Return the places of the chosen items."""
        if not self.share:
            return []
        copy, below = self._salted.copy, self._below
        found = []
        for place, item in enumerate(items):
            salted = copy()
            salted.update(item.encode())
            if salted.digest() < below:
                found.append(place)
        return found


def select(rulings: Sequence[Ruling], sampled: Sequence[int], share: float) -> dict[int, Selection]:
    """Return how each chosen text was chosen, by its place, in order.

    Args:
        rulings: about each text; none without policies.
        sampled: places of the random sample.
        share: of the random sample.
    """
    asked = [place for place, ruling in enumerate(rulings) if ruling.action == "Review"]
    found = dict.fromkeys(asked, Selection("Policy", 1.0))
    random, mixed = Selection("Random", share), Selection("Mixed", 1.0)
    for place in sampled:
        found[place] = mixed if place in found else random
    return dict(sorted(found.items()))


def reasons(
    selection: Selection, ruling: Ruling | None, scores: dict[str, float]
) -> list[dict[str, Any]]:
    """Return the reasons for the event: each policy that asks for review, and the sample."""
    found: list[dict[str, Any]] = []
    if ruling is not None and selection.strategy != "Random":
        found += [
            {
                "kind": "Policy",
                "policy": said.name,
                "action": said.action,
                "score": scores[said.label],
            }
            for said in ruling.said
            if said.mode == "Enforce" and said.action != "Allow"
        ]
    if selection.strategy != "Policy":
        found.append({"kind": "Random"})
    return found
