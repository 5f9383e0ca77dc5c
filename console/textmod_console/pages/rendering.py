"""Templates and the two static files; a page's only source of HTML. Everything is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from textmod_console.access.person import Permission
from textmod_console.pages import words
from textmod_console.pages.visit import Visit

_HERE: Final = Path(__file__).parent
_MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """A static file, kept in memory: a request names one of these or none."""

    url: str
    integrity: str
    content: bytes
    media_type: str


@cache
def assets() -> Mapping[str, Asset]:
    """Return the static files by name; the URL changes with the content."""
    found = {}
    for path in sorted((_HERE / "static").iterdir()):
        if path.suffix not in _MEDIA_TYPES:
            continue
        content = path.read_bytes()
        digest = hashlib.sha384(content).digest()
        name = f"{path.stem}.{digest.hex()[:12]}{path.suffix}"
        integrity = f"sha384-{base64.b64encode(digest).decode()}"
        found[path.name] = Asset(f"/static/{name}", integrity, content, _MEDIA_TYPES[path.suffix])
    return found


def item_url(item: str) -> str:
    """Return the address of an item's page."""
    return f"/items/{quote(item)}"


def queue_url(**parameters: str | tuple[str, ...] | None) -> str:
    """Return the address of the queue with parameters; None is left out."""
    given = {name: value for name, value in parameters.items() if value}
    return f"/queue?{urlencode(given, doseq=True)}" if given else "/queue"


def policies_url(label: str, threshold: float) -> str:
    """Return the address of the policies' page for another threshold than this one."""
    at = f"{threshold:.4f}"
    return f"/policies?{urlencode({'label': label, 'now': at, 'then': at})}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        words=words,
        assets=assets(),
        item_url=item_url,
        policies_url=policies_url,
        queue_url=queue_url,
        Permission=Permission,
    )
    return environment


def render(visit: Visit, template: str, status: int = 200, **values: object) -> Response:
    """Return a page; lone surrogates, which UTF-8 can't carry, are never sent."""
    html = _environment().get_template(template).render(visit=visit, **values)
    return HTMLResponse(html.encode("utf-8", "replace"), status)
