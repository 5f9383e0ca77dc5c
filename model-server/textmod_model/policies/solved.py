"""The solved form of an object's policies, as the operator writes it: every rule has a score.

PoliciesInvalid (a ValueError): the document is not such a form; one sentence per fault.
"""

import hashlib
import json
from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from textmod_model.errors import sentences

Action = Literal["Allow", "Review", "Remove"]
Mode = Literal["Enforce", "Observe"]
Offsets = Literal["CodePoint", "Utf16"]

_DIGEST = r"^sha256:[0-9a-f]{64}$"
LARGEST = 1 << 20
"""Bytes of a document; a ConfigMap holds no more."""
# The limits of the object, so that no document costs a batch more than an object's policies.
MOST_POLICIES = 16
MOST_RULES = 8
MOST_SPANS = 100


class PoliciesInvalid(ValueError):  # noqa: N818 - a state of the file
    """The document is not a solved policy set; one sentence per fault."""


class _Strict(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True
    )


class Rule(_Strict):
    """An action for texts with a score of at least `at_least`."""

    action: Action
    hold: bool = False
    """Whether a text under review is kept back until somebody looked at it."""
    at_least: float | None = Field(None, ge=0, le=1)
    """None: the rule was not solved, or cannot be, and never fires."""
    budget_per_day: int | None = Field(None, ge=1, le=1_000_000_000)
    """The most texts in any 24 hours, over all replicas; None: any number."""

    @model_validator(mode="after")
    def _only_reviews_hold(self) -> Self:
        if self.hold and self.action != "Review":
            message = f"hold belongs to the action Review, not to {self.action}"
            raise ValueError(message)
        return self


class Policy(_Strict):
    """Rules about one label; the first that holds decides, else `otherwise`."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)
    label: str | None = Field(None, max_length=253)
    """None: the model's first."""
    mode: Mode = "Enforce"
    """Observe: reported in verdicts, not applied."""
    otherwise: Action = "Allow"
    rules: tuple[Rule, ...] = Field(strict=False, max_length=MOST_RULES)


class ExplanationOptions(_Strict):
    """Which verdicts carry an explanation, and how."""

    actions: tuple[Action, ...] = Field(("Remove", "Review"), strict=False)
    max_spans: int = Field(5, ge=0, le=MOST_SPANS)
    offsets: Offsets = "CodePoint"


class PolicySet(_Strict):
    """All policies of one object, and the version that names them in every verdict."""

    version: Annotated[str, Field(pattern=_DIGEST)]
    model: Annotated[str, Field(pattern=_DIGEST)] | None = None
    """The digest of the model that it was solved for; None if nothing had to be solved."""
    policies: tuple[Policy, ...] = Field(strict=False, max_length=MOST_POLICIES)
    explanation: ExplanationOptions = ExplanationOptions()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [policy.name for policy in self.policies]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            message = f"the policy {twice[0]} is there twice; give each a name of its own"
            raise ValueError(message)
        return self


def version_of(document: dict[str, Any]) -> str:
    """Return the version of a solved form: the digest of all of it but the version itself."""
    rest = {name: value for name, value in document.items() if name != "version"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise PoliciesInvalid(f"The policies have two values named {name!r:.40} in one object.")
    return found


def parse(raw: bytes, *, versioned: bool = True) -> PolicySet:
    """Read a solved form. Raises PoliciesInvalid.

    The version must be the digest of the rest, or verdicts would name a set that nobody can find
    again; with `versioned=False` a document without a version gets its own.
    """
    if len(raw) > LARGEST:
        raise PoliciesInvalid(
            f"The policies have more than {LARGEST} bytes; the file is not one of policies."
        )
    try:
        document = json.loads(raw, object_pairs_hook=_named_once)
    except PoliciesInvalid:
        raise
    except (ValueError, RecursionError) as error:
        raise PoliciesInvalid(f"The policies are not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise PoliciesInvalid("The policies must be a JSON object.")
    expected = version_of(document)
    if not versioned:
        document.setdefault("version", expected)
    try:
        found = PolicySet.model_validate(document)
    except ValidationError as error:
        raise PoliciesInvalid(" ".join(sentences(error))) from None
    if versioned and found.version != expected:
        raise PoliciesInvalid(
            f"version: the content has the digest {expected}, not {found.version}."
        )
    return found
