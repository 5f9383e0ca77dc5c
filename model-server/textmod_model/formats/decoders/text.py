"""Text: the whole value is the text."""

from textmod_model.formats.message import Decoded, Headers, InputFormat, Parse, Reading
from textmod_model.formats.payload import plain_text


def parser(_reading: Reading) -> Parse:
    """Return the parser; it needs no settings."""

    def parse(raw: bytes, _headers: Headers | None) -> Decoded:
        return Decoded((plain_text(raw),))

    return parse


FORMAT = InputFormat("Text", "text/plain", parser, takes_text=True)
