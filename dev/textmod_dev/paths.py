"""Where things live: what is built once (the cache) and what one cluster makes (the state)."""

from __future__ import annotations

import os
from pathlib import Path


def repository_root() -> Path:
    """The checkout this package runs from: the local cluster is never installed without one."""
    return Path(__file__).resolve().parents[2]


def cache_dir() -> Path:
    """Built binaries, jars and trained models: kept between runs, safe to delete.

    ``$TEXTMOD_CACHE``, else ``$XDG_CACHE_HOME/textmod``, else ``~/.cache/textmod``.
    """
    if own := os.environ.get("TEXTMOD_CACHE"):
        return Path(own).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).resolve() / "textmod"


def default_state_dir() -> Path:
    """Certificates, data and logs of the cluster of this checkout.

    ``$TEXTMOD_STATE``, else ``.state/`` in the repository.
    """
    if own := os.environ.get("TEXTMOD_STATE"):
        return Path(own).resolve()
    return repository_root() / ".state"
