"""Json: an object that holds the text at a dotted path."""

from textmod_model.formats.message import Decoded, Headers, InputFormat, Parse, Reading
from textmod_model.formats.payload import document_text, parse_json


def parser(reading: Reading) -> Parse:
    """Return the parser for the path of the text."""

    def parse(raw: bytes, _headers: Headers | None) -> Decoded:
        return document_text(parse_json(raw), reading.path)

    return parse


FORMAT = InputFormat("Json", "application/json", parser)
