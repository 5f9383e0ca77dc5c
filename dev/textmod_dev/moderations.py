"""TextModerations for measurements of the operator. Pure."""

from __future__ import annotations

from typing import Any


def moderation(name: str, bootstrap_servers: str, partitions: int = 1) -> dict[str, Any]:
    """Return an object with few partitions: the broker's load is not what is measured."""
    topic = {"partitions": partitions}
    return {
        "apiVersion": "textmoderation.dev/v1alpha1",
        "kind": "TextModeration",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "kafka": {"bootstrapServers": bootstrap_servers},
            "model": {"image": "textmoderation/nlp-model:0.1.0"},
            "topics": {"input": topic, "output": topic},
            "serving": {"platform": "Deployment"},
        },
    }
