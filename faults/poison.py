"""Hostile messages by structured generation: what a decoder or a cleaner could trip over."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

Headers = list[tuple[str, bytes | None]]
Payload = tuple[bytes | None, Headers]


def _text(random: Random) -> str:
    alphabet = random.choice(
        [
            "abc ",
            "'\"`",
            "!?.",
            "0123456789",
            "é́̈",
            "‍\u200b͏",
            "😀👩🏽‍🚀",
            "漢字",
            "{}[],:",
            "\0\x01\x7f",
            "اَلْعَرَبِيَّةُ",
        ]
    )
    return "".join(random.choice(alphabet) for _ in range(random.choice([0, 1, 3, 50, 3000])))


def _json(random: Random, depth: int = 0) -> object:
    if depth > 3:
        return _text(random)
    kinds: list[Callable[[], object]] = [
        lambda: _text(random),
        lambda: random.choice([None, True, 0, -1, 1e308, 10**30, float("nan"), float("inf")]),
        lambda: [_json(random, depth + 1) for _ in range(random.randrange(4))],
        lambda: {random.choice(["body", "id", "data", "meta", "ndarray", "strData", "text", ""]):
                 _json(random, depth + 1) for _ in range(random.randrange(4))},
    ]  # fmt: skip
    return random.choice(kinds)()


def _mangled(random: Random) -> bytes:
    value = bytearray(json.dumps({"body": _text(random)}).encode())
    for _ in range(random.randrange(1, 4)):
        value[random.randrange(len(value))] = random.randrange(256)
    return bytes(value[: random.randrange(1, len(value) + 1)])


_KINDS: list[Callable[[Random], bytes | None]] = [
    lambda _random: None,
    lambda _random: b"",
    lambda random: random.randbytes(random.choice([1, 7, 100, 5000])),
    lambda random: json.dumps(_json(random)).encode(),
    lambda random: json.dumps({"body": _text(random), "id": _json(random)}).encode(),
    lambda random: json.dumps({"data": {"ndarray": _json(random)}, "meta": _json(random)}).encode(),
    lambda random: b"[" * random.choice([10, 2000, 100_000]),
    lambda random: b'{"body":"' + b"\\ud800" * random.choice([1, 500]) + b'"}',
    lambda random: b"\x00" + random.randbytes(4) + b'{"body":"framed"}',
    lambda random: b"{{" + _text(random).encode() + b"}} you are all idiots",
    lambda random: b"\xef\xbb\xbf" + json.dumps({"body": _text(random)}).encode(),
    lambda random: json.dumps(
        {"body": random.choice(["'", "9", "!", "(", "a'"]) * 60_000}
    ).encode(),
    _mangled,
]


def payload(random: Random) -> Payload:
    """Return one hostile value and some headers."""
    headers: Headers = []
    if random.random() < 0.3:
        name = random.choice(
            ["ce_id", "content-type", "Content-Type", "textmod.error.reason", "ce_type", "x"]
        )
        headers.append(
            (name, random.choice([None, b"", b"application/json", b"\xff\xfe", b"x" * 500]))
        )
    return random.choice(_KINDS)(random), headers
