"""The registered formats, by name, and the functions that they make of settings."""

import importlib
import pkgutil
import sys
from types import ModuleType

from textmod_model.formats import cloudevents, decoders, encoders
from textmod_model.formats.framing import framed
from textmod_model.formats.message import (
    Decoded,
    Decoder,
    Encoder,
    Headers,
    InputFormat,
    OutputFormat,
    Parse,
    Reading,
    Refused,
    RefusedError,
    Writing,
)

_UNFOUND = frozenset({"NoTextField", "WrongSchema"})
"""Reasons for which a document may be an envelope around one of the format."""


def input_formats() -> dict[str, InputFormat]:
    """Return every format of `decoders`, by name."""
    return {one.name: one for one in _formats(decoders) if isinstance(one, InputFormat)}


def output_formats() -> dict[str, OutputFormat]:
    """Return every format of `encoders`, by name."""
    return {one.name: one for one in _formats(encoders) if isinstance(one, OutputFormat)}


def _formats(package: ModuleType) -> list[object]:
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"{package.__name__}.{name}").FORMAT for name in names]


def decoder(name: str, reading: Reading) -> Decoder:
    """Return the function that turns a message's value and headers into texts.

    It raises nothing but RegistryUnavailable. A CloudEvent in structured mode is opened first,
    whatever the format: its header announces an envelope. Without that header an event is opened
    only if the format finds no text in it.
    """
    input_format = input_formats()[name]
    opened = _with_envelopes(input_format, input_format.parser(reading))
    largest = reading.largest or sys.maxsize

    def decode(value: bytes | None, headers: Headers | None = None) -> Decoded | Refused:
        if value is None:
            return Refused("NullValue", "the message has no value (a tombstone), so no text.")
        if len(value) > largest:
            return Refused(
                "TooLarge",
                f"the message has {len(value)} bytes, more than the {largest} that can be scored"
                " within the container's memory limit.",
            )
        try:
            decoded = opened(value, headers)
        except RefusedError as error:
            return error.refused
        for text in decoded.texts:
            if not text or text.isspace():
                return Refused("EmptyText", "the text is empty or nothing but white space.")
        return decoded

    return decode


def _with_envelopes(input_format: InputFormat, parse: Parse) -> Parse:
    """Return a parser that opens CloudEvents in structured mode before `parse` reads their data."""

    def opened(value: bytes, headers: Headers | None) -> Decoded:
        if headers and (envelope := cloudevents.announced(headers)):
            if envelope == cloudevents.STRUCTURED:
                return cloudevents.parse(value, headers, parse, input_format)
            if not framed(value, headers):
                raise cloudevents.other_envelope()
        try:
            return parse(value, headers)
        except RefusedError as error:
            if error.refused.reason not in _UNFOUND or not cloudevents.without_header(value):
                raise
        return cloudevents.parse(value, headers or [], parse, input_format)

    return opened


def encoder(name: str, writing: Writing) -> Encoder:
    """Return the function that turns scores into a verdict's value."""
    return output_formats()[name].encoder(writing)
