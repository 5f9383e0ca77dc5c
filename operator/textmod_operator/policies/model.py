"""A model's own words: its manifest, as a pod answers it or as the artifact's file has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from textmod_operator.api.rules import invalid
from textmod_operator.policies.histogram import Histogram


@dataclass(frozen=True)
class ModelSeen:
    """One model's labels."""

    digest: str
    labels: tuple[str, ...]
    """Every label that has a score, the first first."""
    histograms: tuple[tuple[str, Histogram], ...] = ()
    """Label → its held-out scores; an artifact from before there were histograms has none."""

    def histogram(self, label: str) -> Histogram | None:
        """The held-out scores of a label, None where the artifact holds none."""
        return dict(self.histograms).get(label)


@dataclass(frozen=True)
class ModelAnswer:
    """A pod's answer to GET /model."""

    model: ModelSeen
    version: str | None = None
    """Of the policies in force there; None: none yet."""
    error: str | None = None
    """Why the file of policies could not be taken, in the pod's words."""


def answered(document: Any) -> ModelAnswer:  # noqa: ANN401 - any JSON value
    """A pod's answer, read.

    Raises:
        ValueError: it is no answer of a model.
    """
    read = _read(document)
    in_force = read.policies or _InForce()
    return ModelAnswer(_model(read), in_force.version, (in_force.error or "")[:300] or None)


def model_of(document: Any) -> ModelSeen:  # noqa: ANN401 - any JSON value
    """A model by its manifest.

    Raises:
        ValueError: it is no manifest of a model.
    """
    return _model(_read(document))


Counts = Annotated[
    list[Annotated[float, Field(ge=0, allow_inf_nan=False)]], Field(min_length=1, max_length=10_000)
]


class _Label(BaseModel):
    name: str
    without: Counts | None = None
    having: Counts | None = None

    @model_validator(mode="after")
    def _of_equal_length(self) -> _Label:
        if len(self.without or ()) != len(self.having or ()):
            raise ValueError("without and having have different lengths")
        return self


class _InForce(BaseModel):
    version: str | None = None
    error: str | None = None


class _Document(BaseModel):
    """The fields that are read here; others are passed over."""

    digest: str
    labels: list[str] = Field(default_factory=list, max_length=1000)
    attributes: list[_Label] = Field(default_factory=list, max_length=1000)
    policies: _InForce | None = None


def _read(document: Any) -> _Document:  # noqa: ANN401 - any JSON value
    try:
        return _Document.model_validate(document)
    except ValidationError as error:
        raise invalid(error) from error


def _model(read: _Document) -> ModelSeen:
    # Without attributes there is one label, and `labels` names its two sides.
    names = [label.name for label in read.attributes] or read.labels[-1:]
    if not names:
        raise ValueError("it names no labels")
    histograms = tuple(
        (label.name, Histogram(tuple(label.without), tuple(label.having)))
        for label in read.attributes
        if label.without and label.having and sum(label.without) + sum(label.having) > 0
    )
    return ModelSeen(read.digest, tuple(names), histograms)
