"""Osprey: the flat verdict as an action of ROOST's rules engine, which reads it from the topic."""

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from textmod_model.formats.encoders.verdict import require_one, verdict_objects
from textmod_model.formats.message import (
    Decoded,
    Encoder,
    Explained,
    OutputFormat,
    Writing,
)
from textmod_model.formats.moment import timestamp
from textmod_model.formats.payload import dumps
from textmod_model.policies.evaluate import Ruling

ACTION = "text_verdict"
"""The name that rules know the action by."""


def action_id(ce_id: str) -> int:
    """Return the number of a verdict's action, from 0 to 2**63 - 1.

    It is a hash of `topic/partition/offset`, the same at every delivery. Among a thousand million
    verdicts the chance that any two share a number is one in twenty.
    """
    return int.from_bytes(hashlib.blake2b(ce_id.encode(), digest_size=8).digest()) >> 1


def encoder(writing: Writing, clock: Callable[[], float] = time.time) -> Encoder:
    """Return the encoder; `clock` gives epoch seconds. An action is about one text."""
    says = writing.verdicts

    def encode(
        decoded: Decoded,
        scores: Sequence[Any],
        fallback_id: str,
        rulings: Sequence[Ruling] = (),
        explanations: Sequence[Explained | None] = (),
    ) -> bytes:
        require_one(scores, "an action of Osprey is about one")
        ce_id = fallback_id
        [verdict] = verdict_objects(
            decoded, scores, ce_id, says, rulings=rulings, explanations=explanations
        )
        action = {
            "action_id": action_id(ce_id),
            "action_name": ACTION,
            "data": {"verdict": verdict, "ce_id": ce_id},
        }
        return dumps({"send_time": timestamp(clock()), "data": action})

    return encode


FORMAT = OutputFormat("Osprey", "application/json", encoder)
