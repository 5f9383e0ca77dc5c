"""Read the items of four weeks with their decisions, and count those that are alike.

A scan of a million items takes seconds of a core that reviewers wait for too: it pauses between
rows, and its figures are kept (`kept.Kept`).
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from math import log10
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, func, select

from textmod_console.measurement import (
    MEMORY,
    WINDOW,
    Asked,
    Chosen,
    Evidence,
    Group,
    Opinion,
    Quality,
    agreement,
    centre,
    evidence,
    label_of,
    labelled,
    quality,
    window,
)
from textmod_console.store import counting
from textmod_console.store.engine import Database
from textmod_console.store.kept import Kept, in_a_thread
from textmod_console.store.schema import decisions, items, micros, moment

KEPT_SECONDS: Final = 15.0
COVERED: Final = 0.95
"""The least share of a window's texts that is counted where the scores of all are used. Which are
missing depends on crashes, not on scores, so a few do no harm."""
MOST_EARLIER: Final = 4
"""Models before the newest whose figures are given too."""
_CHUNK: Final = 500
_PAUSE_SECONDS: Final = 0.002


class Kind(NamedTuple):
    """The properties by which items are counted together."""

    is_inside: bool
    """In the window, not in the weeks before it."""
    model: str
    name: str
    """Of the label that decided."""
    probability: float
    flagged: bool
    held: bool
    policies: tuple[tuple[str, str], ...]
    score: float | None
    label: float | None

    def is_of(self, model: str) -> bool:
        """Whether these are of the window and judged by this model."""
        return self.is_inside and self.model == model


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of one scan."""

    quality: Quality
    model: str | None
    """Digest of the model of the newest verdict; the evidence is of it alone."""
    evidence: dict[str, Evidence]
    """By label."""


@dataclass(slots=True)
class _Alike:
    """The items of one kind."""

    times: int = 0
    scores: float = 0.0
    counted: int = 0
    """How many of them are in the counts of all texts."""


@dataclass(slots=True)
class _Scan:
    kinds: defaultdict[Kind, _Alike] = field(default_factory=lambda: defaultdict(_Alike))
    several: list[list[Opinion]] = field(default_factory=list)
    """The decisions of items in the window that have several."""
    models: dict[str, None] = field(default_factory=dict)
    """The digests of all models, in the order of their latest verdicts."""
    versions: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Of the policies, in the window, by model."""

    @property
    def model(self) -> str | None:
        """The model of the newest verdict."""
        return next(reversed(self.models), None)


class Measuring:
    """The figures of the newest window that can be judged; may be used from several threads.

    Args:
        delay: how long verdicts wait for their labels.
        minimum: fewest labels that anything is said from.
        clock: the moment, with a time zone.
        unseen: whether texts are flagged that no policy sends to review.
        run: where old figures are read again.
    """

    def __init__(
        self,
        database: Database,
        delay: timedelta,
        minimum: int,
        clock: Callable[[], datetime],
        *,
        unseen: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
        run: Callable[[Callable[[], None]], None] = in_a_thread,
    ) -> None:
        self._database = database
        self._delay = delay
        self._minimum = minimum
        self._now = clock
        self._unseen = unseen
        self._kept = Kept(KEPT_SECONDS, self._measured, monotonic=monotonic, run=run)

    def figures(self) -> Figures:
        """Return the figures; only the first call waits for them. Raises RecordError."""
        return self._kept.value()

    def quality(self) -> Quality:
        """Return the figures of the window. Raises RecordError."""
        return self.figures().quality

    def _measured(self) -> Figures:
        now = self._now()
        since, until = window(now, self._delay)
        with self._database.read() as connection:
            found = _scan(connection, until - MEMORY * WINDOW, since, until)
            decided = _decided(connection, now - WINDOW)
            counted = counting.totals(connection, since, until)
        asked = Asked(since, until, self._minimum, _scarcest(found.kinds, unseen=self._unseen))
        agreed = agreement(found.several)

        def of_model(model: str) -> Quality:
            alike = {kind: one for kind, one in found.kinds.items() if kind.is_of(model)}
            items = [_chosen(kind, one) for kind, one in alike.items()]
            all_texts = counted.get(model, []) if _covered(alike) >= COVERED else []
            judged = quality(items, asked, decided, agreed, all_texts)
            versions = len(found.versions[model])
            return replace(judged, model=model or None, policy_versions=versions)

        newest = found.model or ""
        inside = {kind.model for kind in found.kinds if kind.is_inside} - {newest}
        earlier = [one for one in reversed(found.models) if one in inside]
        judged = replace(
            of_model(newest), earlier={model: of_model(model) for model in earlier[:MOST_EARLIER]}
        )
        return Figures(judged, found.model, _evidence(found))


def _covered(alike: Mapping[Kind, _Alike]) -> float:
    """Return the share of all texts that is counted, as the chosen items say it."""
    weights = sum(one.times / kind.probability for kind, one in alike.items())
    return sum(one.counted / kind.probability for kind, one in alike.items()) / (weights or 1.0)


def _evidence(found: _Scan) -> dict[str, Evidence]:
    by_label: defaultdict[str, list[Chosen]] = defaultdict(list)
    for kind, one in found.kinds.items():
        if kind.model == found.model:
            by_label[kind.name].append(_chosen(kind, one))
    return {name: evidence(labelled(ones)) for name, ones in sorted(by_label.items())}


def _chosen(kind: Kind, one: _Alike) -> Chosen:
    # The mean of the scores themselves: the middle of their bin would differ from the totals.
    score = None if kind.score is None else one.scores / one.times
    return Chosen(
        probability=kind.probability,
        flagged=kind.flagged,
        held=kind.held,
        policies=kind.policies,
        score=score,
        label=kind.label,
        times=one.times,
    )


def _scarcest(counts: Iterable[Kind], *, unseen: bool) -> dict[Group, float]:
    """By policy and action, None for all: the heaviest weight of a flagged item.

    Where policies remove texts without a review, such texts weigh as much as any other of the
    random sample, whether the sample held one or not.
    """
    found: dict[Group, float] = {}
    heaviest = max((1 / kind.probability for kind in counts), default=0.0)
    for kind in counts:
        groups: list[Group] = [(name, None) for name, _ in kind.policies]
        groups += [*kind.policies, *([None] if kind.flagged else [])]
        for group in groups:
            found[group] = max(found.get(group, 0.0), 1 / kind.probability)
            if unseen and (group is None or group[1] is None):
                found[group] = heaviest
    return found


def _decided(connection: Connection, since: datetime) -> int:
    query = select(func.count()).where(
        decisions.c.at >= micros(since),
        decisions.c.actor_kind == "Human",
        decisions.c.decision != "Skip",
    )
    return int(connection.execute(query).scalar_one())


def _scan(connection: Connection, first: datetime, since: datetime, until: datetime) -> _Scan:
    query = (
        select(
            items.c.id,
            items.c.request,
            items.c.requested_at,
            decisions.c.body,
            decisions.c.at,
        )
        .select_from(items.outerjoin(decisions, decisions.c.item == items.c.item))
        .where(items.c.requested_at >= micros(first), items.c.requested_at < micros(until))
        .order_by(items.c.requested_at, items.c.id)
    )
    covered = counting.coverage(connection)
    rows = connection.execution_options(yield_per=_CHUNK).execute(query)
    found, begin = _Scan(), micros(since)
    for _, same in groupby(_paused(rows), key=lambda row: row.id):
        of_item = list(same)
        request = json.loads(of_item[0].request)
        name = request["label"]
        opinions = [_opinion(row, name) for row in of_item if row.body is not None]
        is_inside = of_item[0].requested_at >= begin
        kind = _kind(request, name, label_of(opinions), is_inside=is_inside)
        alike = found.kinds[kind]
        alike.times += 1
        alike.scores += min(1.0, max(0.0, request.get("scores", {}).get(name, 0.0)))
        if is_inside:
            alike.counted += covered.includes(request["item"])
            if version := request.get("policyVersion"):
                found.versions[kind.model].add(version)
        if kind.model:
            found.models.pop(kind.model, None)  # to the end
            found.models[kind.model] = None
        if is_inside and len(opinions) > 1:
            found.several.append(opinions)
    return found


def _paused(rows: Iterable[Any]) -> Iterator[Row[Any]]:
    for number, row in enumerate(rows):
        if number % _CHUNK == _CHUNK - 1:
            time.sleep(_PAUSE_SECONDS)
        yield row


def _kind(request: dict[str, Any], name: str, label: float | None, *, is_inside: bool) -> Kind:
    asked = {
        (reason["policy"], reason.get("action") or "Review")
        for reason in request.get("reasons", ())
        if reason["kind"] == "Policy" and reason.get("policy")
    }
    acted = {(one["name"], one["action"]) for one in request.get("policies", ())}
    score = request.get("scores", {}).get(name)
    return Kind(
        is_inside=is_inside,
        model=request.get("model", ""),
        name=name,
        probability=_rounded(request["selection"]["probability"]),
        flagged=bool(request.get("flagged")),
        held=bool(request.get("hold")),
        policies=tuple(sorted(asked | acted)),
        score=None if score is None else centre(score),
        label=label,
    )


def _rounded(probability: float) -> float:
    """Three digits: a probability that changes a little all the time makes few kinds of items."""
    return min(1.0, round(probability, 3 - int(log10(probability)))) if probability < 1 else 1.0


def _opinion(row: Row[Any], name: str) -> Opinion:
    body = json.loads(row.body)
    return Opinion(
        id=body["id"],
        actor=body["actor"],
        kind=body["actorKind"],
        label=body.get("labels", {}).get(name),
        at=moment(row.at),
        supersedes=body.get("supersedes"),
        retracts=body.get("retracts"),
    )
