"""Verdict: one flat JSON object; a message of several texts gets a list of them, in order."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from textmod_model.formats.message import (
    Decoded,
    Encoder,
    Explained,
    OutputFormat,
    RefusedError,
    Verdicts,
    Writing,
)
from textmod_model.formats.payload import dumps
from textmod_model.formats.ruled import RulingTails, ruling_fields
from textmod_model.policies.evaluate import Ruling


def verdict_objects(
    decoded: Decoded,
    scores: Sequence[Any],
    fallback_id: str,
    says: Verdicts,
    *,
    rulings: Sequence[Ruling] = (),
    explanations: Sequence[Explained | None] = (),
) -> list[dict[str, Any]]:
    """Return one flat verdict per text.

    Of several labels the first decides, as if it were alone, and `scores` has all. With `rulings`
    every verdict has an action too, and what the policies said.
    `id` is the message's own (a JSON object's `id`, Seldon's `meta.puid`), else `fallback_id`.
    """
    name = fallback_id if decoded.id is None else decoded.id
    verdicts = []
    for place, row in enumerate(scores):
        score = row[0] if says.names else row
        verdict: dict[str, Any] = {
            "id": name,
            "label": says.labels[score >= says.threshold],
            "score": score,
            "flagged": score >= says.threshold,
            "threshold": says.threshold,
            "model": says.model,
        }
        if says.names:
            verdict["scores"] = dict(zip(says.names, row, strict=True))
        if rulings:
            by_label = verdict.get("scores") or {says.columns[0]: score}
            verdict.update(ruling_fields(rulings[place], by_label))
        if explanations and explanations[place] is not None:
            verdict["explanation"] = explanations[place]
        verdicts.append(verdict)
    return verdicts


def require_one(scores: Sequence[Any], limit: str) -> None:
    """Refuse a message of several texts; `limit` is what the output takes. Raises RefusedError."""
    if len(scores) != 1:
        raise RefusedError("TooManyTexts", f"the message holds {len(scores)} texts, and {limit}.")


def encoder(writing: Writing) -> Encoder:
    """Return the encoder for a model's labels and threshold."""
    says = writing.verdicts
    quick = _quick(says)

    def encode(
        decoded: Decoded,
        scores: Sequence[Any],
        fallback_id: str,
        rulings: Sequence[Ruling] = (),
        explanations: Sequence[Explained | None] = (),
    ) -> bytes:
        if len(rulings) == 1:
            name = fallback_id if decoded.id is None else decoded.id
            return quick(name, scores[0], rulings[0], explanations[0] if explanations else None)
        flat = verdict_objects(
            decoded, scores, fallback_id, says, rulings=rulings, explanations=explanations
        )
        return dumps(flat[0] if len(flat) == 1 else flat)

    return encode


def _quick(says: Verdicts) -> Callable[[object, Any, Ruling, Explained | None], bytes]:
    """Return a function that writes the verdict of one text, as `verdict_objects` would."""
    tails = RulingTails(says.columns)
    heads = [
        b',"label":%b,"score":%%b,"flagged":%b,"threshold":%b,"model":%b'
        % tuple(
            orjson.dumps(value).replace(b"%", b"%%")
            for value in (says.labels[flagged], flagged, says.threshold, says.model)
        )
        for flagged in (False, True)
    ]

    def write(
        name: object,
        scores: Any,  # noqa: ANN401 - one, or a list
        ruling: Ruling,
        explanation: Explained | None,
    ) -> bytes:
        row = scores if says.names else (scores,)
        cells = [orjson.dumps(score) for score in row]
        head = heads[row[0] >= says.threshold] % cells[0]
        tail = tails.tail(ruling, cells)
        if explanation is not None:
            tail += b',"explanation":' + orjson.dumps(explanation)
        return b'{"id":%b%b%b}' % (dumps(name), head, tail)

    return write


def framed_encoder(writing: Writing, kind: str, schema: str) -> Encoder:
    """Return an encoder of flat verdicts for a schema registry; the id is always a string.

    A schema describes one verdict, so a message of several texts is refused.
    """
    says, schemas = writing.verdicts, writing.schemas
    if schemas is None:
        message = "an output format with a schema needs a registry; the settings see to it"
        raise ValueError(message)
    write = schemas.writer(kind, schema)

    def encode(
        decoded: Decoded,
        scores: Sequence[Any],
        fallback_id: str,
        rulings: Sequence[Ruling] = (),
        explanations: Sequence[Explained | None] = (),
    ) -> bytes:
        require_one(scores, "an output with a schema takes one")
        [flat] = verdict_objects(
            decoded, scores, fallback_id, says, rulings=rulings, explanations=explanations
        )
        if not rulings:
            flat.pop("scores", None)  # the schema without actions has no place for them
        return write(flat | {"id": str(flat["id"])})

    return encode


FORMAT = OutputFormat("Verdict", "application/json", encoder)
