"""JSON merge patches (RFC 7386), as the API server applies them."""

from __future__ import annotations

import copy
from typing import Any


def merge_patched(value: Any, patch: Any) -> Any:
    """Return `value` with the patch applied; both stay as they are."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(value) if isinstance(value, dict) else {}
    for name, part in patch.items():
        if part is None:
            result.pop(name, None)
        else:
            result[name] = merge_patched(result.get(name), part)
    return result
