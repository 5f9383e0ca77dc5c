"""Rules that tie several fields together, each written once for both who enforce it.

The API server evaluates the CEL text and refuses the object with the message, before anything is
stored. `textmod-operator check`, and objects stored before a rule existed, meet the same rule as a
Python predicate. A test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel


@dataclass(frozen=True)
class Rule:
    """One CEL validation rule (Kubernetes `x-kubernetes-validations`).

    Args:
        cel: the expression; `self` is the object that carries the rule. None for a rule that the
            API server enforces by other means, or cannot judge: the operator's condition says it.
        message: the sentence that a user reads when it is false.
        holds: the same rule over the pydantic model; None for a rule about a change of the
            object (it names `oldSelf`), which only the API server can judge.
    """

    cel: str | None
    message: str
    holds: Callable[[Any], bool] | None = None


class Strict(BaseModel):
    """A part of the API: camelCase on the wire, frozen, and unknown fields refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for rule in self.rules:
            if rule.holds is not None and not rule.holds(self):
                raise ValueError(rule.message)
        return self


def part(default: Strict, description: str) -> Any:  # noqa: ANN401 - as pydantic.Field itself
    """A field that holds another part of the API and may be left out.

    The CRD's default is written out whole: the API server holds a default against the rules before
    it fills in the defaults inside it.
    """
    written = default.model_dump(by_alias=True, exclude_none=True)
    return Field(
        default=default, description=description, json_schema_extra={"default": _pruned(written)}
    )


def _pruned(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Without empty lists and objects, which say nothing."""
    if not isinstance(value, dict):
        return value
    kept = {key: _pruned(part) for key, part in value.items()}
    return {key: part for key, part in kept.items() if part not in ({}, [])}


def invalid(error: ValidationError) -> ValueError:
    """The first fault of a document that another process answered, in one line without its values:
    they may be a user's."""
    (first, *_) = error.errors(include_url=False, include_input=False)
    where = ".".join(str(part) for part in first["loc"])
    return ValueError(f"{where or 'it'}: {first['msg']}")
