"""CloudEvents 1.0 in Kafka's structured mode, on the way in: the value is an envelope in JSON.

Binary mode needs nothing here: the value is the data.
"""

import base64
import binascii

from textmod_model.formats.message import Decoded, Headers, InputFormat, Parse, RefusedError
from textmod_model.formats.payload import dumps, parse_json

STRUCTURED = b"application/cloudevents+json"
_ENVELOPES = b"application/cloudevents"
_REQUIRED = ("specversion", "id", "source", "type")


def announced(headers: Headers) -> bytes:
    """Return the media type of the envelope that the headers announce; empty if it is none.

    Names of headers compare without case.
    """
    for name, value in headers:
        if len(name) == 12 and name.lower() == "content-type":
            kind = _media_type(value)
            if kind.startswith(_ENVELOPES):
                return kind
    return b""


def other_envelope() -> RefusedError:
    """Return the error for an announced envelope that is not STRUCTURED.

    Kafka has no batched mode, and a text in another format would be scored with its envelope.
    """
    return RefusedError(
        "WrongSchema",
        "the content type is a CloudEvents batch, or an envelope that is not JSON; only "
        f"{STRUCTURED.decode()}, one event a message, is read.",
    )


def is_event(document: object) -> bool:
    """Tell whether a JSON document has the attributes that every CloudEvent must have."""
    return isinstance(document, dict) and all(
        isinstance(document.get(name), str) for name in _REQUIRED
    )


def without_header(raw: bytes) -> bool:
    """Tell whether a value is a CloudEvent in JSON, although no header announces it."""
    try:
        return is_event(parse_json(raw))
    except RefusedError:
        return False


def parse(raw: bytes, headers: Headers, parse_data: Parse, inside: InputFormat) -> Decoded:
    """Return the texts of the event's data, read by the configured format; raises RefusedError."""
    event = parse_json(raw)
    if not isinstance(event, dict) or not isinstance(event.get("specversion"), str):
        raise RefusedError(
            "WrongSchema", "the content type is CloudEvents, but the value is no CloudEvent."
        )
    name = event.get("id")
    decoded = _data(event, headers, parse_data, inside)
    if decoded.id is None and isinstance(name, str):
        return decoded._replace(id=name)
    return decoded


def _data(
    event: dict[str, object], headers: Headers, parse_data: Parse, inside: InputFormat
) -> Decoded:
    if "data_base64" in event:
        return parse_data(_base64(event["data_base64"]), headers)
    data = event.get("data")
    if data is None:
        raise RefusedError("NoTextField", "the CloudEvent has no data.")
    if not isinstance(data, str):
        return parse_data(dumps(data), headers)
    if inside.takes_text:
        return Decoded((data,))
    return parse_data(data.encode("utf-8", "surrogatepass"), headers)


def _base64(value: object) -> bytes:
    try:
        return base64.b64decode(value, validate=True)  # type: ignore[arg-type]
    except (binascii.Error, TypeError, ValueError):
        raise RefusedError("WrongSchema", "data_base64 must be base64.") from None


def _media_type(value: str | bytes | None) -> bytes:
    raw = value.encode() if isinstance(value, str) else value or b""
    return raw.partition(b";")[0].strip().lower()
