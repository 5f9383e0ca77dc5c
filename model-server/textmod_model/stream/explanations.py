"""Explanations of a batch's verdicts, for the actions that ask for one.

An explanation never costs a verdict, and its cost is bounded: the verdict of a text that is too
long, or that cannot be explained, has the reason instead.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from textmod_model.formats.message import Explained
from textmod_model.policies.evaluate import Evaluator, Ruling
from textmod_model.scoring.explanation import Asked

log = logging.getLogger(__name__)

LONGEST_EXPLAINED: Final = 20_000
"""Characters of the longest text that is explained, which takes about as long as scoring it."""

Briefs = Callable[[Sequence[str], Asked], Sequence[dict[str, Any]] | None]
"""Texts to their brief explanations; None for a model that cannot be explained."""

_TOO_LONG: Final = {
    "omitted": f"the text has more than {LONGEST_EXPLAINED} characters, the most that are explained"
}
_NO_MODEL: Final = {"omitted": "the score of this model cannot be taken apart"}


class Explanations:
    """Explains those texts of a batch whose action asks for it."""

    def __init__(self, briefs: Briefs) -> None:
        self._briefs = briefs
        self._failed = False

    def of_batch(
        self,
        policies: Evaluator,
        rulings: Sequence[Ruling],
        texts: Sequence[str],
        failed: Collection[int],
    ) -> dict[int, Explained]:
        """Return the explanations by the places of their texts.

        Args:
            policies: those that ruled.
            rulings: about each text.
            texts: as they were sent.
            failed: places of texts that have no score.
        """
        options = policies.policies.explanation
        actions = options.actions
        if not actions:
            return {}
        asked: dict[str, list[int]] = {}
        for place in [at for at, ruling in enumerate(rulings) if ruling.action in actions]:
            if place not in failed or len(texts[place]) > LONGEST_EXPLAINED:
                asked.setdefault(rulings[place].label, []).append(place)
        wanted = {
            label: Asked(policies.labels.index(label), options.max_spans, options.offsets)
            for label in asked
        }
        return self.of_places(asked, texts, wanted)

    def of_places(
        self,
        places: Mapping[str, Sequence[int]],
        texts: Sequence[str],
        asked: Mapping[str, Asked],
    ) -> dict[int, Explained]:
        """Return the explanations of some texts of a batch, by place.

        Args:
            places: of the texts, by the label whose score is explained.
            texts: all of the batch.
            asked: what is explained, and how, by label.
        """
        found: dict[int, Explained] = {}
        for label, wanted in places.items():
            short = [place for place in wanted if len(texts[place]) <= LONGEST_EXPLAINED]
            found |= dict.fromkeys(set(wanted) - set(short), _TOO_LONG)
            if short:
                found |= self._explained(short, texts, asked[label])
        return found

    def _explained(
        self, places: Sequence[int], texts: Sequence[str], asked: Asked
    ) -> Mapping[int, Explained]:
        try:
            briefs = self._briefs([texts[place] for place in places], asked)
        except Exception as error:  # noqa: BLE001 - whatever fails here must not cost a verdict
            if not self._failed:  # once: the next batch would say the same
                # No traceback: the error's own words may hold a user's.
                log.error("explain verdicts: %s", type(error).__name__)  # noqa: TRY400
                self._failed = True
            omitted = {"omitted": f"explaining failed ({type(error).__name__})"}
            return dict.fromkeys(places, omitted)
        if briefs is None:
            return dict.fromkeys(places, _NO_MODEL)
        return dict(zip(places, briefs, strict=True))
