"""A batch of Kafka messages in, a batch of records to write out: a verdict or a dead letter each.

Verdicts of chosen texts are followed by requests to review them, and now and then by counts of all.

No I/O and no Kafka client here, so all outcomes of a message can be tested with plain objects.
Reading is `consumer`'s, writing is `delivery`'s, the loop is `worker`'s.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from textmod_model.formats.message import (
    Decoded,
    Decoder,
    Encoder,
    Explained,
    Headers,
    Refused,
    RefusedError,
)
from textmod_model.formats.verdict_headers import VerdictHeaders
from textmod_model.policies.evaluate import Evaluator, Ruling, Take
from textmod_model.policies.solved import PolicySet
from textmod_model.stream.brake import Brake
from textmod_model.stream.counting import Counting
from textmod_model.stream.explanations import Explanations
from textmod_model.stream.letters import DeadLetters
from textmod_model.stream.records import (
    Batch,
    HeadersUnread,
    Message,
    Record,
    source_of,
    time_stamp,
)
from textmod_model.stream.review_requests import Judged, ReviewRequests

Score = Callable[[Sequence[str]], NDArray[np.float64]]
"""Texts to probabilities of "removed", shape (n,), or of several labels, shape (n, labels)."""

TEXTS_AT_ONCE = 1024
"""Messages may hold many texts each; this bounds what one call of the scorer has to hold."""


PROBE = "The paper is interesting."
"""Scored when others fail: if the model can't score this, it is broken."""


class Budgets(Protocol):
    """Budgets a day, spent a batch at a time."""

    def for_batch(self, policies: PolicySet) -> Take:
        """Return what spends them for the texts of one batch."""
        ...

    def undo(self) -> None:
        """Take back what the last batch spent."""
        ...


class Judge:
    """Decodes, scores and encodes; a message for which that fails becomes a dead letter.

    Only a broken model is an error: it would turn the whole stream into dead letters.
    `policies` returns those in force, None without any; `budgets` are their daily budgets, None if
    rules have none; `explanations` is None if verdicts carry none, `review` and `counting` if no
    text is reviewed.
    """

    def __init__(
        self,
        *,
        decode: Decoder,
        score: Score,
        encode: Encoder,
        headers: VerdictHeaders,
        letters: DeadLetters,
        labels: int = 1,
        policies: Callable[[], Evaluator | None] = lambda: None,
        budgets: Budgets | None = None,
        explanations: Explanations | None = None,
        review: ReviewRequests | None = None,
        counting: Counting | None = None,
        forward_tombstones: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._decode = decode
        self._score = score
        self._encode = encode
        self._headers = headers
        self._letters = letters
        self._labels = labels
        self._policies = policies
        self._budgets = budgets
        self._explanations = explanations
        self._review = review
        self._counting = counting
        self._brake = Brake()
        self._forward_tombstones = forward_tombstones
        self._clock = clock

    def judge(self, messages: Sequence[Message]) -> Batch:
        """Return the records of the messages, in their order: one each, and review requests.

        Raises ModelBrokenError if the fault is the model's, not that of single texts.
        """
        decoded = [
            message.refused
            if isinstance(message, HeadersUnread)
            else self._decode(message.value(), message.headers())
            for message in messages
        ]
        texts = [text for one in decoded if isinstance(one, Decoded) for text in one.texts]
        sources, offsets = _origins(messages)
        scores, failures = self._scores(texts)
        policies = self._policies()  # once, so that a batch has one version
        rulings = [] if policies is None else self._rulings(policies, messages, decoded, scores)
        try:
            explained = self._explained(policies, rulings, texts, failures)
            judged = Judged(
                messages,
                decoded,
                sources,
                texts,
                failures,
                scores.tolist(),
                policies,
                rulings,
                explained,
            )
            now = self._clock()
            batch = self._batch(judged, scores, offsets, now)
        except BaseException:  # the messages will be judged again
            if self._budgets is not None:
                self._budgets.undo()
            raise
        if self._counting is None or not (counts := self._counting.add(judged, now)):
            return batch
        return replace(batch, records=batch.records + counts, counts=len(counts))

    def rest(self, partitions: Collection[int] | None) -> Batch | None:
        """Return the counts to write before others read these partitions (None: all), if any."""
        if self._counting is None:
            return None
        counts = self._counting.rest(partitions, self._clock())
        return Batch(counts, {}, np.empty(0), counts=len(counts)) if counts else None

    def forget(self, partitions: Collection[int]) -> None:
        """Drop the counts of partitions that other consumers read now."""
        if self._counting is not None:
            self._counting.forget(partitions)

    def _rulings(
        self,
        policies: Evaluator,
        messages: Sequence[Message],
        decoded: Sequence[Decoded | Refused],
        scores: NDArray[np.float64],
    ) -> Sequence[Ruling]:
        """Return what the policies say of every text."""
        if not policies.budgeted or self._budgets is None:
            return policies.rule(scores)
        partitions = [
            message.partition() or 0
            for message, one in zip(messages, decoded, strict=True)
            if isinstance(one, Decoded)
            for _ in one.texts
        ]
        return policies.rule(scores, partitions, self._budgets.for_batch(policies.policies))

    def _explained(
        self,
        policies: Evaluator | None,
        rulings: Sequence[Ruling],
        texts: Sequence[str],
        failures: dict[int, str],
    ) -> Mapping[int, Explained]:
        """Return the explanations of those texts that are to have one, by place."""
        if policies is None or self._explanations is None:
            return {}
        return self._explanations.of_batch(policies, rulings, texts, failures)

    def _batch(
        self,
        judged: Judged,
        scores: NDArray[np.float64],
        offsets: dict[int, int],
        now: float,
    ) -> Batch:
        """Return the records: a verdict for every message that has scores."""
        shared = self._headers.for_batch(now, decided=judged.policies is not None)
        requests = {} if self._review is None else self._review.of_batch(judged, now)
        rows, rulings, failures = judged.scores, judged.rulings, judged.failures
        records: list[Record] = []
        waiting = iter(requests)  # few of a batch, so that a message costs one comparison
        upcoming = next(waiting, len(rows))
        requested = place = 0
        for message, one, where in zip(
            judged.messages, judged.decoded, judged.sources, strict=True
        ):
            if isinstance(one, Refused):
                records.append(self._without_verdict(message, one, where, shared))
                continue
            after = place + len(one.texts)
            own: list[Record] = []
            while upcoming < after:
                own.append(requests[upcoming])
                upcoming = next(waiting, len(rows))
            score = rows[place:after]
            ruled = rulings[place:after] if rulings else ()
            errors = _errors_of(failures, place, after) if failures else None
            shown = _shown(judged.explained, place, after)
            value = _failed(errors[0]) if errors else self._answer(one, score, where, ruled, shown)
            if isinstance(value, Refused):
                records.append(self._letters.whole(message, value))
                place = after
                continue
            milliseconds = time_stamp(message)
            records.append(
                Record(
                    None,
                    message,
                    message.key(),
                    value,
                    self._headers.of(message.headers(), where, shared, milliseconds),
                    milliseconds,
                    False,
                    ruled,
                )
            )
            records += own
            requested += len(own)
            place = after
        first = scores if scores.ndim == 1 else scores[:, 0]
        return Batch(records, offsets, first[~np.isnan(first)], requests=requested)

    def _without_verdict(
        self, message: Message, refused: Refused, where: str, shared: Headers
    ) -> Record:
        """Return the dead letter, or the tombstone that erases a verdict of a compacted output."""
        tombstone = message.value() is None and not isinstance(message, HeadersUnread)
        if not (tombstone and self._forward_tombstones):
            return self._letters.whole(message, refused)
        milliseconds = time_stamp(message)
        headers = self._headers.of(message.headers(), where, shared, milliseconds)
        return Record(None, message, message.key(), None, headers, milliseconds)

    def _answer(
        self,
        decoded: Decoded,
        scores: Sequence[Any],
        where: str,
        rulings: Sequence[Ruling],
        explained: Sequence[Explained | None],
    ) -> bytes | Refused:
        try:
            return self._encode(decoded, scores, where, rulings, explained)
        except RefusedError as error:
            return error.refused

    def _scores(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], dict[int, str]]:
        """Return the score of every text, and the errors of those that have none, by place."""
        failures: dict[int, str] = {}
        parts = [
            self._some_scores(texts[start : start + TEXTS_AT_ONCE], start, failures)
            for start in range(0, len(texts), TEXTS_AT_ONCE)
        ]
        scores = np.concatenate(parts) if len(parts) > 1 else parts[0] if parts else np.empty(0)
        self._brake.check(len(texts), list(failures.values()), self._probe)
        return scores, failures

    def _some_scores(
        self, texts: Sequence[str], start: int, failures: dict[int, str]
    ) -> NDArray[np.float64]:
        """Score a few texts; if that fails, one by one, so that one text costs only its own."""
        try:
            scores = self._score(texts)
        except Exception:  # noqa: BLE001 - whatever the model raises must not stop the stream
            scores = np.empty(0)
        if len(scores) == len(texts) and not math.isnan(scores.sum()):
            return scores
        scores = self._unscored(len(texts))
        for place, text in enumerate(texts):
            error = self._one_score(text, scores, place)
            if error is not None:
                failures[start + place] = error
        return scores

    def _one_score(self, text: str, scores: NDArray[np.float64], place: int) -> str | None:
        """Score one text; returns the type of the error if it has no score."""
        try:
            [scores[place]] = self._score([text])
        except Exception as error:  # noqa: BLE001 - see above; its text may hold the user's
            return type(error).__name__
        return "NaN" if np.isnan(scores[place]).any() else None

    def _probe(self) -> str | None:
        """Score a text that any model can score; returns the type of the error."""
        return self._one_score(PROBE, self._unscored(1), 0)

    def _unscored(self, texts: int) -> NDArray[np.float64]:
        """Return the scores of texts that have none."""
        return np.full((texts, self._labels) if self._labels > 1 else texts, math.nan)


def _origins(messages: Sequence[Message]) -> tuple[list[str], dict[int, int]]:
    """Return where each message is from, and the offset to go on from per partition."""
    sources, offsets = [], {}
    for message in messages:
        topic, partition, offset = source_of(message)
        sources.append(f"{topic}/{partition}/{offset}")
        offsets[partition] = offset + 1
    return sources, offsets


def _errors_of(failures: Mapping[int, str], place: int, after: int) -> list[str]:
    return [failures[at] for at in range(place, after) if at in failures]


def _shown(
    explained: Mapping[int, Explained], place: int, after: int
) -> Sequence[Explained | None]:
    """Return the explanations of one message's texts; none if nothing of it is explained."""
    if place in explained or (after - place > 1 and explained):
        return [explained.get(at) for at in range(place, after)]
    return ()


def _failed(error: str) -> Refused:
    return Refused("ScoringFailed", f"the model could not score the text ({error}).")
