"""Signatures of webhooks as Standard Webhooks has them. Pure.

Ten lines of our own: the standard's library takes one key, and text. Tests verify with it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import string
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from textmod_console.errors import ConfigurationError

PREFIX: Final = "whsec_"
SHORTEST: Final = 24
"""Bytes of a key; the standard asks for 24 to 64."""
_IN_A_HEADER: Final = string.punctuation.replace("%", "")
"""Other characters of an id are percent-encoded: other tools' decisions may have any."""


def keys(value: str) -> list[bytes]:
    """Return the keys of a Secret: several, separated by white space, while one is replaced.

    Raises:
        ConfigurationError: there is none, or one is not valid; the message does not repeat it.
    """
    found = []
    for part in value.split():
        try:
            key = base64.b64decode(part.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) < SHORTEST:
            message = (
                f"a webhook's secret is not valid: it must be {PREFIX} and the base64 of at least "
                f"{SHORTEST} random bytes."
            )
            raise ConfigurationError(message)
        found.append(key)
    if not found:
        raise ConfigurationError("a webhook's secret is empty: put a key there.")
    return found


def headers(message: str, at: int, body: bytes, given: Sequence[bytes]) -> dict[str, str]:
    """Return the headers of a message, signed with each key.

    Args:
        message: its id, the same at every attempt.
        at: Unix time in seconds of the attempt.
    """
    name = quote(message, safe=_IN_A_HEADER)
    content = f"{name}.{at}.".encode() + body
    signatures = [
        base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in given
    ]
    return {
        "webhook-id": name,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
        "content-type": "application/json",
    }
