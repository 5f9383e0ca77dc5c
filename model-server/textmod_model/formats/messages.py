"""What stands in a message: texts on the way in, verdicts and dead letters on the way out.

Pure functions, no I/O. Nothing a user wrote goes into a refusal's message, a log or a header:
refusals say what is wrong and where, never what was there.

Seldon's payloads follow its v1 JSON: `data.ndarray`, `data.tensor`, `strData`, `jsonData`,
`binData`, and `meta`. Verdicts carry CloudEvents 1.0 attributes in Kafka binary mode (`ce_*`).
"""

import base64
import binascii
import json
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

Headers = list[tuple[str, str | bytes | None]]
"""As Kafka's client takes them; those it gives are bytes or None."""

MAX_TEXTS_PER_MESSAGE = 10_000
"""A message of a mebibyte can hold hundreds of thousands of empty texts; nobody means that."""

SELDON_PAYLOADS = frozenset({"data", "jsonData", "strData", "binData"})
CLASS_NAMES = ("t:0", "t:1")
"""The names that Seldon's wrapper gives to unnamed columns: kept, removed."""

ERROR_PREFIX = "textmod.error."

MISSING = object()


class Decoded(NamedTuple):
    """The texts of one message, and what its answer has to repeat."""

    texts: tuple[str, ...]
    meta: dict[str, Any] | None = None
    id: str | int | None = None
    tensor: bool = False
    """Seldon answers a tensor with a tensor, and everything else on a stream with an ndarray."""


class Refused(NamedTuple):
    """Why a message can't be scored: a stable reason, and a sentence without user text."""

    reason: str
    message: str


Decoder = Callable[[bytes | None], Decoded | Refused]


class RefusedError(ValueError):
    """A payload that can't be scored, raised inside this module's parsers."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.refused = Refused(reason, message)


class Verdicts(NamedTuple):
    """What a verdict says besides its scores."""

    labels: tuple[str, str]
    threshold: float
    model: str


# --- in -------------------------------------------------------------------------------------------


def decoder(message_format: str, text_field: str) -> Decoder:
    """The function that turns a message's value into texts, for one of the formats.

    Auto takes a JSON object for JSON (by the text field if it is there, else by Seldon's payloads)
    and any other UTF-8 for plain text, so that "[deleted]" or "42" is the comment it looks like.
    """
    path = tuple(text_field.split("."))
    parsers: dict[str, Callable[[bytes], Decoded]] = {
        "Auto": lambda raw: _auto(raw, path),
        "Seldon": lambda raw: seldon_request(_json(raw), path),
        "Json": lambda raw: _json_document(_json(raw), path),
        "Text": lambda raw: Decoded((_utf8(raw),)),
    }
    parse = parsers[message_format]

    def decode(value: bytes | None) -> Decoded | Refused:
        if value is None:
            return Refused("NullValue", "the message has no value (a tombstone), so no text.")
        try:
            decoded = parse(value)
        except RefusedError as error:
            return error.refused
        for text in decoded.texts:
            if not text or text.isspace():
                return Refused("EmptyText", "the text is empty or nothing but white space.")
        return decoded

    return decode


def seldon_request(document: object, path: Sequence[str] = ("body",)) -> Decoded:
    """The texts of a Seldon v1 request; raises RefusedError."""
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
        texts = _strings([document["strData"]], "strData")
    elif "binData" in document:
        texts = (_base64(document["binData"]),)
    else:
        raise RefusedError(
            "WrongSchema", "a Seldon message needs data, jsonData, strData or binData."
        )
    puid = meta.get("puid") if meta else None
    return Decoded(texts, meta, puid if isinstance(puid, str) else None, tensor)


def texts_of(payload: object, path: Sequence[str] = ("body",)) -> tuple[str, ...]:
    """The texts in a string, in bytes, in (nested) lists of strings, or in an object's field.

    Raises RefusedError.
    """
    if isinstance(payload, bytes | bytearray):
        return (_utf8(bytes(payload)),)
    if isinstance(payload, dict):
        payload = _field(payload, path)
    return _strings(payload if isinstance(payload, list) else [payload], "the payload")


def _auto(raw: bytes, path: tuple[str, ...]) -> Decoded:
    if not raw.removeprefix(BOM_UTF8).lstrip(b" \t\r\n").startswith(b"{"):
        return Decoded((_utf8(raw),))
    document = _json(raw)
    seldon = isinstance(document, dict) and not SELDON_PAYLOADS.isdisjoint(document)
    if seldon and _find(document, path) is MISSING:
        return seldon_request(document, path)
    return _json_document(document, path)


def _json_document(document: object, path: tuple[str, ...]) -> Decoded:
    if not isinstance(document, dict):
        raise RefusedError("WrongSchema", "the message must be a JSON object.")
    text = _field(document, path)
    if not isinstance(text, str):
        raise RefusedError("TextNotString", f"the field {'.'.join(path)} must be a string.")
    name = document.get("id")
    return Decoded((text,), None, name if isinstance(name, str | int) else None)


def _field(document: object, path: Sequence[str]) -> object:
    value = _find(document, path)
    if value is MISSING:
        raise RefusedError("NoTextField", f"the message has no field {'.'.join(path)}.")
    return value


def _find(document: object, path: Sequence[str]) -> object:
    value = document
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


def _data_texts(data: dict[str, Any]) -> tuple[str, ...]:
    if "tensor" in data:
        tensor = data["tensor"]
        values = tensor.get("values") if isinstance(tensor, dict) else None
        if not isinstance(values, list):
            raise RefusedError("WrongSchema", "data.tensor.values must be a list.")
        return _strings(values, "data.tensor.values")
    values = data.get("ndarray")
    if not isinstance(values, list):
        raise RefusedError("WrongSchema", "data needs an ndarray or a tensor.")
    return _strings(values, "data.ndarray")


def _strings(values: Iterable[object], where: str) -> tuple[str, ...]:
    """The strings of a list and of the lists in it, in order (numpy's ravel, two levels deep)."""
    texts: list[str] = []
    for value in values:
        for item in value if isinstance(value, list) else (value,):
            if not isinstance(item, str):
                raise RefusedError("TextNotString", f"{where} must hold nothing but strings.")
            texts.append(item)
    if not texts:
        raise RefusedError("NoText", f"{where} holds no text.")
    if len(texts) > MAX_TEXTS_PER_MESSAGE:
        raise RefusedError(
            "TooManyTexts",
            f"{where} holds {len(texts)} texts, more than the {MAX_TEXTS_PER_MESSAGE} allowed.",
        )
    return tuple(texts)


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise RefusedError("NotUtf8", f"byte {error.start} is not valid UTF-8.") from None


def _base64(value: object) -> str:
    try:
        return _utf8(base64.b64decode(value, validate=True))  # type: ignore[arg-type]
    except (binascii.Error, TypeError, ValueError) as error:
        if isinstance(error, RefusedError):
            raise
        raise RefusedError("WrongSchema", "binData must be base64.") from None


def _json(raw: bytes) -> object:
    """The JSON document; the strict fast parser first, the forgiving one for what it refuses.

    The standard library's takes lone surrogates in escapes, NaN, and integers beyond 64 bits. A
    byte order mark before the document is no part of it (RFC 8259, section 8.1).
    """
    raw = raw.removeprefix(BOM_UTF8)
    try:
        return orjson.loads(raw)
    except ValueError:
        text = _utf8(raw)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" (at character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
        raise RefusedError("NotJson", f"the message is not valid JSON{where}.") from None


# --- out ------------------------------------------------------------------------------------------


def seldon_response(decoded: Decoded, scores: Sequence[float]) -> bytes:
    """Seldon's answer: one row of two probabilities (kept, removed) per text."""
    if decoded.meta is None and len(scores) == 1:  # by far the most, so without a tree of objects
        score = scores[0]
        return b'{"data":{"names":["t:0","t:1"],"ndarray":[[%b,%b]]},"meta":{}}' % (
            orjson.dumps(1.0 - score),
            orjson.dumps(score),
        )
    return dumps(seldon_answer(decoded, scores))


def seldon_answer(
    decoded: Decoded, scores: Sequence[float], *, tensor: bool | None = None
) -> dict[str, Any]:
    """The same as objects; `tensor` overrides the shape that the request asks for."""
    rows = [[1.0 - score, score] for score in scores]
    data: dict[str, Any] = {"names": list(CLASS_NAMES)}
    if decoded.tensor if tensor is None else tensor:
        flat = [value for row in rows for value in row]
        data["tensor"] = {"shape": [len(rows), len(CLASS_NAMES)], "values": flat}
    else:
        data["ndarray"] = rows
    return {"data": data, "meta": answer_meta(decoded.meta)}


def answer_meta(meta: dict[str, Any] | None) -> dict[str, Any]:
    """What an answer repeats of a request's meta, as Seldon's wrapper does."""
    if not meta:
        return {}
    return {
        name: meta[name] for name in ("tags", "metrics", "puid", "requestPath") if meta.get(name)
    }


def verdict(decoded: Decoded, scores: Sequence[float], fallback_id: str, says: Verdicts) -> bytes:
    """The flat verdict; a message of several texts gets a list of them, in order.

    `id` is the message's own (a JSON object's `id`, Seldon's `meta.puid`), else `fallback_id`.
    """
    name = fallback_id if decoded.id is None else decoded.id
    flat = [
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
    return dumps(flat[0] if len(flat) == 1 else flat)


def dumps(document: object) -> bytes:
    """JSON; what only the forgiving parser took in, only the forgiving one writes.

    Lone surrogates and integers beyond 64 bits, say. Raises RefusedError.
    """
    try:
        return orjson.dumps(document)
    except TypeError:
        pass
    try:
        return json.dumps(document).encode()
    except (ValueError, RecursionError):
        raise RefusedError("WrongSchema", "meta can't be written back as JSON.") from None


# --- headers --------------------------------------------------------------------------------------


class VerdictHeaders:
    """Adds the CloudEvents and model headers to what the original message had.

    `ce_id` is the original's `topic/partition/offset`, the same at every delivery, so that a
    consumer can drop what it has seen. A name of ours that the original also used is replaced.
    """

    def __init__(self, source: str, version: str, digest: str) -> None:
        self._constant: Headers = [
            ("ce_specversion", b"1.0"),
            ("ce_source", source.encode()),
            ("ce_type", b"dev.textmoderation.verdict.v1"),
            ("textmod.model.version", version.encode()),
            ("textmod.model.digest", digest.encode()),
        ]
        self._ours = {name for name, _ in self._constant} | {"ce_id", "ce_time"}

    def for_batch(self, now: float) -> Headers:
        """The headers that all verdicts of one moment share; `now` in seconds since the epoch."""
        return [*self._constant, ("ce_time", timestamp(now).encode())]

    def of(self, original: Headers | None, ce_id: str, shared: Headers) -> Headers:
        """All headers of one verdict."""
        ours: Headers = [("ce_id", ce_id.encode()), *shared]
        if not original:
            return ours
        kept: Headers = [
            (name, b"application/json" if name == "content-type" else value)
            for name, value in original
            if name not in self._ours
        ]
        return kept + ours


def dead_letter_headers(
    original: Headers | None,
    refused: Refused,
    *,
    topic: str,
    partition: int,
    offset: int,
    milliseconds: int | None,
    model: str,
) -> Headers:
    """The original headers and, after them, where the message came from and what is wrong."""
    error = {
        "reason": refused.reason,
        "message": refused.message,
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "timestamp": "" if milliseconds is None else timestamp(milliseconds / 1000),
        "model": model,
    }
    return (original or []) + [(ERROR_PREFIX + name, text.encode()) for name, text in error.items()]


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds; "" for a moment that the calendar doesn't have."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
