"""Seldon: data.names and data.ndarray, as Seldon's v1 protocol answers."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from textmod_model.formats.message import (
    CLASS_NAMES,
    Decoded,
    Encoder,
    Explained,
    OutputFormat,
    Writing,
)
from textmod_model.formats.payload import dumps
from textmod_model.formats.ruled import tags
from textmod_model.policies.evaluate import Ruling


def seldon_response(
    decoded: Decoded,
    scores: Sequence[float],
    fallback_id: str = "",  # noqa: ARG001 - Seldon's answers have no id
    rulings: Sequence[Ruling] = (),
    explanations: Sequence[Explained | None] = (),  # noqa: ARG001 - nor a place for spans
) -> bytes:
    """Return Seldon's answer: one row of two probabilities (kept, removed) per text."""
    if decoded.meta is None and len(scores) == 1:  # by far the most, so without a tree of objects
        score = scores[0]
        return b'{"data":{"names":["t:0","t:1"],"ndarray":[[%b,%b]]},"meta":%b}' % (
            orjson.dumps(1.0 - score),
            orjson.dumps(score),
            _meta(rulings[0]) if rulings else b"{}",
        )
    return dumps(seldon_answer(decoded, scores, rulings=rulings))


@lru_cache(maxsize=256)
def _meta(ruling: Ruling) -> bytes:
    return orjson.dumps({"tags": tags([ruling])})


def seldon_answer(
    decoded: Decoded,
    scores: Sequence[Any],
    *,
    tensor: bool | None = None,
    names: Sequence[str] = (),
    rulings: Sequence[Ruling] = (),
) -> dict[str, Any]:
    """Return the same as objects; `tensor` overrides the shape that the request asks for.

    With the `names` of several labels, `scores` has a list for each text, which becomes its row.
    What the policies say of the texts (`rulings`) stands in meta.tags, beside the request's own.
    """
    rows = list(scores) if names else [[1.0 - score, score] for score in scores]
    data: dict[str, Any] = {"names": list(names or CLASS_NAMES)}
    if decoded.tensor if tensor is None else tensor:
        flat = [value for row in rows for value in row]
        data["tensor"] = {"shape": [len(rows), len(data["names"])], "values": flat}
    else:
        data["ndarray"] = rows
    meta = answer_meta(decoded.meta)
    if rulings:
        own = meta.get("tags")
        meta["tags"] = (own if isinstance(own, dict) else {}) | tags(rulings)
    return {"data": data, "meta": meta}


def answer_meta(meta: dict[str, Any] | None) -> dict[str, Any]:
    """Return what an answer repeats of a request's meta, as Seldon's wrapper does."""
    if not meta:
        return {}
    return {
        name: meta[name] for name in ("tags", "metrics", "puid", "requestPath") if meta.get(name)
    }


def encoder(writing: Writing) -> Encoder:
    """Return the encoder; a model of several labels has their names for columns."""
    names = writing.verdicts.names
    if not names:
        return seldon_response

    def encode(
        decoded: Decoded,
        scores: Sequence[Any],
        fallback_id: str = "",  # noqa: ARG001 - Seldon's answers have no id
        rulings: Sequence[Ruling] = (),
        explanations: Sequence[Explained | None] = (),  # noqa: ARG001 - nor a place for spans
    ) -> bytes:
        return dumps(seldon_answer(decoded, scores, names=names, rulings=rulings))

    return encode


FORMAT = OutputFormat("Seldon", "application/json", encoder, explains=False)
