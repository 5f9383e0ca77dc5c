"""How serializers for a schema registry frame a value, and how to tell such a value from a text.

Confluent's wire format: a zero byte and the schema's id in four bytes before the value, or the
schema's GUID in the header `__value_schema_id`.
"""

from textmod_model.formats.message import Headers

PREFIX_BYTES = 5
VALUE_SCHEMA_HEADER = "__value_schema_id"


def framed(raw: bytes, headers: Headers | None = None) -> bool:
    """Tell whether a value is framed.

    A text may begin with a zero byte too. Four printable characters after it would be an id above
    500 million, which no registry gives, so such a value is a text.
    """
    if raw[:1] == b"\0" and len(raw) > PREFIX_BYTES:
        return any(not 0x20 <= byte < 0x7F for byte in raw[1:PREFIX_BYTES])
    return headers is not None and any(name == VALUE_SCHEMA_HEADER for name, _ in headers)


def schema_id(raw: bytes) -> str:
    """Name a framed value's schema for people."""
    if raw[:1] == b"\0":
        return f"schema id {int.from_bytes(raw[1:PREFIX_BYTES], 'big')}"
    return f"a schema named in the header {VALUE_SCHEMA_HEADER}"
