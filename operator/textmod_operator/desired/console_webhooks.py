"""The console's webhooks: their variable, their secrets as files, their ports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from textmod_operator import naming
from textmod_operator.api.review import Console
from textmod_operator.desired.kafka_access import SECRET_MODE
from textmod_operator.state import Manifest

FOLDER: Final = "/etc/textmod/webhooks"
_FILE: Final = "secret"
_VOLUME: Final = "webhooks"


def environment(console: Console, networks: Sequence[str] = ()) -> dict[str, str]:
    """Return the variables; none without webhooks, whose consoles are then not restarted.

    Args:
        networks: that are not public and that webhooks may lead to.
    """
    if not console.webhooks:
        return {}
    hooks = [
        {"name": hook.name, "url": hook.url, "decisions": hook.decisions}
        for hook in console.webhooks
    ]
    return {
        naming.CONSOLE_ENV_WEBHOOKS: json.dumps(hooks),
        naming.CONSOLE_ENV_WEBHOOKS_FOLDER: FOLDER,
        **({naming.CONSOLE_ENV_WEBHOOK_NETWORKS: ",".join(networks)} if networks else {}),
    }


def volumes(console: Console) -> list[Manifest]:
    """One volume with the secrets of all webhooks, a folder each; none without webhooks."""
    if not console.webhooks:
        return []
    sources = [
        {
            "secret": {
                "name": hook.secret_ref.name,
                "items": [{"key": hook.secret_ref.key, "path": f"{hook.name}/{_FILE}"}],
            }
        }
        for hook in console.webhooks
    ]
    return [{"name": _VOLUME, "projected": {"sources": sources, "defaultMode": SECRET_MODE}}]


def mounts(console: Console) -> list[dict[str, Any]]:
    """Where it is mounted."""
    if not console.webhooks:
        return []
    return [{"name": _VOLUME, "mountPath": FOLDER, "readOnly": True}]


def ports(console: Console) -> list[int]:
    """The ports that the webhooks are reached on."""
    return [port_of(hook.url) for hook in console.webhooks]


def port_of(url: str) -> int:
    """The port that an http or https URL is reached on. Of one that can't be read, which the
    process that uses it reports, the scheme's own."""
    usual = 443 if url.startswith("https:") else 80
    try:
        return urlsplit(url).port or usual
    except ValueError:
        return usual
