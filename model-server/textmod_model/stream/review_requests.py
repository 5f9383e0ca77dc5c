"""Review requests of a batch: the records that follow the verdicts of chosen texts.

A request never costs a verdict: one that cannot be made is logged and left out.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from textmod_model.formats.message import Decoded, Explained, Refused, Verdicts
from textmod_model.formats.moment import timestamp, timestamp_of
from textmod_model.policies.evaluate import Evaluator, Ruling
from textmod_model.review.event import (
    EventHeaders,
    ReviewRequest,
    item_of,
    people_fields,
    text_fields,
)
from textmod_model.review.selection import Sample, Selection, reasons, select
from textmod_model.scoring.explanation import Asked
from textmod_model.stream.explanations import Explanations
from textmod_model.stream.records import Message, Record, time_stamp

log = logging.getLogger(__name__)


class Judged(NamedTuple):
    """A judged batch; sequences about texts have one place for each text."""

    messages: Sequence[Message]
    decoded: Sequence[Decoded | Refused]
    sources: Sequence[str]
    """Topic, partition and offset of each message: the id of its verdict."""
    texts: Sequence[str]
    failures: Mapping[int, str]
    """Why a text has no score, by its place."""
    scores: Sequence[Any]
    """A score for each text, or a list of scores for each text of several labels."""
    policies: Evaluator | None
    rulings: Sequence[Ruling]
    explained: Mapping[int, Explained]


class ReviewRequests:
    """Chooses texts and makes the records that ask people to review them.

    Args:
        sample: the random share of all texts.
        headers: of the events.
        verdicts: the labels and the threshold of the model.
        digest: of the model.
        explanations: explains chosen texts whose verdicts are not explained.
    """

    def __init__(
        self,
        sample: Sample,
        headers: EventHeaders,
        verdicts: Verdicts,
        digest: str,
        explanations: Explanations,
    ) -> None:
        self._sample = sample
        self._headers = headers
        self._verdicts = verdicts
        self._labels = verdicts.columns
        self._digest = digest
        self._explanations = explanations
        self._failed = False

    def of_batch(self, judged: Judged, now: float) -> dict[int, Record]:
        """Return the requests by the places of their texts, in order; `now` in epoch seconds."""
        items, owners = _items(judged)
        chosen = select(judged.rulings, self._sample.chosen(items), self._sample.share)
        for place in judged.failures:
            chosen.pop(place, None)
        if not chosen:
            return {}
        explained = self._explained(judged, chosen)
        shared = self._headers.for_batch(now)
        origins: dict[int, dict[str, str]] = {}  # by message, which may have many texts
        found = {}
        for place, selection in chosen.items():
            item, owner = items[place], owners[place]
            message = judged.messages[owner]
            try:
                if owner not in origins:
                    origins[owner] = _origin(message, now)
                fields = {
                    "item": item,
                    **text_fields(judged.texts[place]),
                    **origins[owner],
                    **self._verdict(judged, place, selection),
                }
                if place in explained:
                    fields["explanation"] = explained[place]
                request = ReviewRequest(fields, selection.strategy)
                value = request.value()
            except Exception as error:  # noqa: BLE001 - it must not cost the verdict
                self._log(error)
                continue
            headers = self._headers.of(item, shared)
            # No time stamp: how long a text is kept counts from when it was written.
            found[place] = Record(
                None, message, item.encode(), value, headers, None, request=request
            )
        return found

    def _verdict(self, judged: Judged, place: int, selection: Selection) -> dict[str, Any]:
        """Return the fields about a text's verdict and its selection."""
        says = self._verdicts
        row = judged.scores[place] if says.names else (judged.scores[place],)
        scores = dict(zip(says.columns, row, strict=True))
        ruling = judged.rulings[place] if judged.rulings else None
        fields: dict[str, Any] = {
            "reasons": reasons(selection, ruling, scores),
            "selection": {"strategy": selection.strategy, "probability": selection.probability},
            "blind": selection.blind,
            "scores": scores,
            "model": self._digest,
        }
        if ruling is None:
            flagged = row[0] >= says.threshold
            return fields | {"flagged": flagged, "hold": False, "label": says.columns[0]}
        return fields | {
            "action": ruling.action,
            "flagged": ruling.action != "Allow",
            "hold": ruling.hold,
            "label": ruling.label,
            "policyVersion": ruling.version,
            "policies": ruling.acting,
        }

    def _explained(
        self, judged: Judged, chosen: Mapping[int, Selection]
    ) -> Mapping[int, Explained]:
        """Return the explanations of the chosen texts, those of their verdicts where offsets agree.

        Blind texts have none: their reviewers decide without it, and explaining two texts of a
        batch costs as much as scoring fifty.
        """
        if judged.policies is None:
            return {}
        options = judged.policies.policies.explanation
        if not options.actions:
            return {}  # switched off
        own = judged.explained if options.offsets == "CodePoint" else {}
        by_label: dict[str, list[int]] = {}
        asked = [place for place, selection in chosen.items() if not selection.blind]
        for place in asked:
            if place not in own:
                by_label.setdefault(judged.rulings[place].label, []).append(place)
        wanted = {
            label: Asked(self._labels.index(label), options.max_spans, "CodePoint")
            for label in by_label
        }
        found = self._explanations.of_places(by_label, judged.texts, wanted) if by_label else {}
        return {**{place: own[place] for place in asked if place in own}, **found}

    def _log(self, error: Exception) -> None:
        if not self._failed:  # once: the next batch would say the same
            # No traceback: the error's message may quote the text.
            log.error("make review request: %s", type(error).__name__)
            self._failed = True


def _origin(message: Message, now: float) -> dict[str, str]:
    """Return the message's author, context and time, as far as it has them."""
    milliseconds = time_stamp(message)
    at = timestamp_of(milliseconds).decode() if milliseconds is not None else ""
    people = people_fields(message.value(), message.headers())
    return {**people, "at": at or timestamp(now)}


def _items(judged: Judged) -> tuple[Sequence[str], Sequence[int]]:
    """Return the item of each text, and the place of its message."""
    messages = len(judged.messages)
    if len(judged.texts) == messages and set(map(type, judged.decoded)) == {Decoded}:
        return judged.sources, range(messages)  # a text each
    items, owners = [], []
    for at, (source, one) in enumerate(zip(judged.sources, judged.decoded, strict=True)):
        count = len(one.texts) if isinstance(one, Decoded) else 0
        items += [item_of(source, place, count) for place in range(count)]
        owners += [at] * count
    return items, owners
