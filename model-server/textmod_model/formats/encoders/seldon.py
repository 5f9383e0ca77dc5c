"""Seldon: data.names and data.ndarray, as Seldon's v1 protocol answers."""

from collections.abc import Sequence
from typing import Any

import orjson

from textmod_model.formats.message import CLASS_NAMES, Decoded, Encoder, OutputFormat, Writing
from textmod_model.formats.payload import dumps


def seldon_response(decoded: Decoded, scores: Sequence[float], _id: str = "") -> bytes:
    """Return Seldon's answer: one row of two probabilities (kept, removed) per text."""
    if decoded.meta is None and len(scores) == 1:  # by far the most, so without a tree of objects
        score = scores[0]
        return b'{"data":{"names":["t:0","t:1"],"ndarray":[[%b,%b]]},"meta":{}}' % (
            orjson.dumps(1.0 - score),
            orjson.dumps(score),
        )
    return dumps(seldon_answer(decoded, scores))


def seldon_answer(
    decoded: Decoded,
    scores: Sequence[Any],
    *,
    tensor: bool | None = None,
    names: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the same as objects; `tensor` overrides the shape that the request asks for.

    With the `names` of several labels, `scores` has a list for each text, which becomes its row.
    """
    rows = list(scores) if names else [[1.0 - score, score] for score in scores]
    data: dict[str, Any] = {"names": list(names or CLASS_NAMES)}
    if decoded.tensor if tensor is None else tensor:
        flat = [value for row in rows for value in row]
        data["tensor"] = {"shape": [len(rows), len(data["names"])], "values": flat}
    else:
        data["ndarray"] = rows
    return {"data": data, "meta": answer_meta(decoded.meta)}


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
    return lambda decoded, scores, _id: dumps(seldon_answer(decoded, scores, names=names))


FORMAT = OutputFormat("Seldon", "application/json", encoder)
