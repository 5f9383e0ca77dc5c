"""Verdict: one flat JSON object; a message of several texts gets a list of them, in order."""

from collections.abc import Sequence
from typing import Any

from textmod_model.formats.message import (
    Decoded,
    Encoder,
    OutputFormat,
    RefusedError,
    Verdicts,
    Writing,
)
from textmod_model.formats.payload import dumps


def verdict_objects(
    decoded: Decoded, scores: Sequence[Any], fallback_id: str, says: Verdicts
) -> list[dict[str, Any]]:
    """Return one flat verdict per text.

    Of several labels the first decides, as if it were alone, and `scores` has all.
    `id` is the message's own (a JSON object's `id`, Seldon's `meta.puid`), else `fallback_id`.
    """
    name = fallback_id if decoded.id is None else decoded.id
    verdicts = []
    for row in scores:
        score = row[0] if says.names else row
        verdict = {
            "id": name,
            "label": says.labels[score >= says.threshold],
            "score": score,
            "flagged": score >= says.threshold,
            "threshold": says.threshold,
            "model": says.model,
        }
        if says.names:
            verdict["scores"] = dict(zip(says.names, row, strict=True))
        verdicts.append(verdict)
    return verdicts


def encoder(writing: Writing) -> Encoder:
    """Return the encoder for a model's labels and threshold."""
    says = writing.verdicts

    def encode(decoded: Decoded, scores: Sequence[Any], fallback_id: str) -> bytes:
        flat = verdict_objects(decoded, scores, fallback_id, says)
        return dumps(flat[0] if len(flat) == 1 else flat)

    return encode


def framed_encoder(writing: Writing, kind: str, schema: str) -> Encoder:
    """Return an encoder of flat verdicts for a schema registry; the id is always a string.

    A schema describes one verdict, so a message of several texts is refused.
    """
    says, schemas = writing.verdicts, writing.schemas
    if schemas is None:
        message = "an output format with a schema needs a registry; the settings see to it"
        raise ValueError(message)
    write = schemas.writer(kind, schema)

    def encode(decoded: Decoded, scores: Sequence[Any], fallback_id: str) -> bytes:
        if len(scores) != 1:
            raise RefusedError(
                "TooManyTexts",
                f"the message holds {len(scores)} texts, and an output with a schema takes one.",
            )
        # The schema has no place for the scores of several labels.
        first = [row[0] for row in scores] if says.names else scores
        [flat] = verdict_objects(decoded, first, fallback_id, says._replace(names=()))
        return write(flat | {"id": str(flat["id"])})

    return encode


FORMAT = OutputFormat("Verdict", "application/json", encoder)
