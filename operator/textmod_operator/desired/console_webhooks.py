"""The console's webhooks: their variable, their secrets as files, their ports."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import urlsplit

from textmod_operator import naming
from textmod_operator.api.review import Console
from textmod_operator.state import Manifest

FOLDER: Final = "/etc/textmod/webhooks"
_FILE: Final = "secret"


def environment(console: Console) -> dict[str, str]:
    """Return the variable; none without webhooks, whose consoles are then not restarted."""
    if not console.webhooks:
        return {}
    hooks = [
        {"name": hook.name, "url": hook.url, "decisions": hook.decisions}
        for hook in console.webhooks
    ]
    return {naming.CONSOLE_ENV_WEBHOOKS: json.dumps(hooks)}


def volumes(console: Console) -> list[Manifest]:
    """A volume for each secret."""
    return [
        {
            "name": f"webhook-{hook.name}",
            "secret": {
                "secretName": hook.secret_ref.name,
                "items": [{"key": hook.secret_ref.key, "path": _FILE}],
                "defaultMode": 0o440,
            },
        }
        for hook in console.webhooks
    ]


def mounts(console: Console) -> list[dict[str, Any]]:
    """Where they are mounted."""
    return [
        {"name": f"webhook-{hook.name}", "mountPath": f"{FOLDER}/{hook.name}", "readOnly": True}
        for hook in console.webhooks
    ]


def ports(console: Console) -> list[int]:
    """The ports that the webhooks are reached on."""
    return [_port(hook.url) for hook in console.webhooks]


def _port(url: str) -> int:
    parts = urlsplit(url)
    usual = 443 if parts.scheme == "https" else 80
    try:
        return parts.port or usual
    except ValueError:  # not a number: the console reports it
        return usual
