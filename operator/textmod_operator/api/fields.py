"""Types of field that several parts of the spec share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from textmod_operator.api.rules import Strict

ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    ),
]
"""What Kubernetes takes for the name of an object: so it is one segment of a path, and leads to no
other namespace."""
ImageName = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^\S+$")]
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
FreeForm = Annotated[dict[str, Any], Field(json_schema_extra={"x-preserve": True})]
"""A part of another API's schema that is passed through unread."""
UNIQUE_NAMES: dict[str, Any] = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}
"""The API server refuses a list in which two entries have the same name."""


class SecretRef(Strict):
    """A Secret of the object's own namespace; subclasses name its keys."""

    name: ObjectName = Field(description="Name of a Secret in the object's own namespace.")
