"""Verdict: one flat JSON object; a message of several texts gets a list of them, in order."""

from collections.abc import Sequence
from typing import Any

from textmod_model.formats.message import Decoded, Encoder, OutputFormat, Verdicts, Writing
from textmod_model.formats.payload import dumps


def verdict_objects(
    decoded: Decoded, scores: Sequence[float], fallback_id: str, says: Verdicts
) -> list[dict[str, Any]]:
    """Return one flat verdict per text.

    `id` is the message's own (a JSON object's `id`, Seldon's `meta.puid`), else `fallback_id`.
    """
    name = fallback_id if decoded.id is None else decoded.id
    return [
        {
            "id": name,
            "label": says.labels[score >= says.threshold],
            "score": score,
            "flagged": score >= says.threshold,
            "threshold": says.threshold,
            "model": says.model,
        }
        for score in scores
    ]


def encoder(writing: Writing) -> Encoder:
    """Return the encoder for a model's labels and threshold."""
    says = writing.verdicts

    def encode(decoded: Decoded, scores: Sequence[float], fallback_id: str) -> bytes:
        flat = verdict_objects(decoded, scores, fallback_id, says)
        return dumps(flat[0] if len(flat) == 1 else flat)

    return encode


FORMAT = OutputFormat("Verdict", "application/json", encoder)
