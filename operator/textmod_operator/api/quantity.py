"""Kubernetes quantities, as a Pod takes them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

PATTERN = r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"
"""Not negative: no field here has a meaning below zero."""


def _one_sentence(value: Any, read: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401
    """Say once what is wrong, and not once for each type that a quantity may have."""
    try:
        return read(value)
    except ValidationError:
        raise ValueError(
            "it must be a quantity that is not negative, such as 500m, 1Gi, 2 or 0.5"
        ) from None


Quantity = Annotated[
    Annotated[StrictStr, Field(pattern=PATTERN, max_length=64)]
    | Annotated[StrictInt, Field(ge=0)]
    | Annotated[StrictFloat, Field(ge=0, allow_inf_nan=False)],
    WrapValidator(_one_sentence),
    Field(json_schema_extra={"x-quantity": True}),
]
"""A Kubernetes quantity, such as 500m, 1Gi, 2 or 0.5."""


def quantity_text(value: str | float) -> str | int:
    """A quantity as every schema takes it: those of custom resources know no fractions."""
    return repr(value) if isinstance(value, float) else value
