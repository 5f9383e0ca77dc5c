"""Seldon: the payloads of its v1 JSON: `data`, `strData`, `jsonData`, `binData`, and `meta`."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from textmod_model.formats.message import (
    Decoded,
    Headers,
    InputFormat,
    Parse,
    Reading,
    RefusedError,
)
from textmod_model.formats.payload import parse_json, strings, texts_of, utf8

SELDON_PAYLOADS = frozenset({"data", "jsonData", "strData", "binData"})


def seldon_request(document: object, path: Sequence[str] = ("body",)) -> Decoded:
    """Return the texts of a Seldon v1 request; raises RefusedError."""
    if not isinstance(document, dict):
        raise RefusedError("WrongSchema", "a Seldon message must be a JSON object.")
    meta = document.get("meta")
    if meta is not None and not isinstance(meta, dict):
        raise RefusedError("WrongSchema", "meta must be a JSON object.")
    tensor = False
    if "data" in document:
        data = document["data"]
        if not isinstance(data, dict):
            raise RefusedError("WrongSchema", "data must be a JSON object.")
        tensor = "tensor" in data
        texts = _data_texts(data)
    elif "jsonData" in document:
        texts = texts_of(document["jsonData"], path)
    elif "strData" in document:
        texts = strings([document["strData"]], "strData")
    elif "binData" in document:
        texts = (_base64(document["binData"]),)
    else:
        raise RefusedError(
            "WrongSchema", "a Seldon message needs data, jsonData, strData or binData."
        )
    puid = meta.get("puid") if meta else None
    return Decoded(texts, meta, puid if isinstance(puid, str) else None, tensor)


def _data_texts(data: dict[str, Any]) -> tuple[str, ...]:
    if "tensor" in data:
        tensor = data["tensor"]
        values = tensor.get("values") if isinstance(tensor, dict) else None
        if not isinstance(values, list):
            raise RefusedError("WrongSchema", "data.tensor.values must be a list.")
        return strings(values, "data.tensor.values")
    values = data.get("ndarray")
    if not isinstance(values, list):
        raise RefusedError("WrongSchema", "data needs an ndarray or a tensor.")
    return strings(values, "data.ndarray")


def _base64(value: object) -> str:
    try:
        return utf8(base64.b64decode(value, validate=True))  # type: ignore[arg-type]
    except (binascii.Error, TypeError, ValueError) as error:
        if isinstance(error, RefusedError):
            raise
        raise RefusedError("WrongSchema", "binData must be base64.") from None


def parser(reading: Reading) -> Parse:
    """Return the parser; the path is for an object in jsonData."""

    def parse(raw: bytes, _headers: Headers | None) -> Decoded:
        return seldon_request(parse_json(raw), reading.path)

    return parse


FORMAT = InputFormat("Seldon", "application/json", parser)
