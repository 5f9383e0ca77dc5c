"""What the model pod needs for the protocols of other services."""

from __future__ import annotations

import json

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.container import variable
from textmod_operator.state import Manifest


def environment(tm: TextModeration) -> list[Manifest]:
    """Return the variables; none where the spec does not name the protocols."""
    entries: list[Manifest] = []
    perspective, openai = tm.spec.serving.perspective, tm.spec.serving.openai
    if perspective is not None:
        languages = ",".join(perspective.languages) or "*"
        entries.append(variable(naming.ENV_PERSPECTIVE_LANGUAGES, languages))
        if perspective.attributes:
            attributes = json.dumps(perspective.attributes, sort_keys=True)
            entries.append(variable(naming.ENV_PERSPECTIVE_ATTRIBUTES, attributes))
        if perspective.allowed_origins:
            origins = ",".join(perspective.allowed_origins)
            entries.append(variable(naming.ENV_PERSPECTIVE_ORIGINS, origins))
    for name, protocol in (
        (naming.ENV_PERSPECTIVE_KEY, perspective),
        (naming.ENV_OPENAI_KEY, openai),
    ):
        if protocol is not None and (ref := protocol.key_secret_ref) is not None:
            key = {"secretKeyRef": {"name": ref.name, "key": ref.key}}
            entries.append({"name": name, "valueFrom": key})
    return entries
