"""The Helms of both major versions.

Nothing is autouse: a test that names none of these fixtures builds and starts nothing.
"""

from __future__ import annotations

import functools

import pytest
from helm import Helm, run_helm

from textmod_dev import build
from textmod_dev.progress import Progress


@pytest.fixture(params=[3, 4], ids=["helm3", "helm4"])
def helm(request: pytest.FixtureRequest) -> Helm:
    """Both Helms. Not of the session: pytest would group all tests by Helm, and every module's
    cluster would be started once for each."""
    return functools.partial(run_helm, build.helm(request.param, Progress()))


@pytest.fixture(scope="session")
def helm4() -> Helm:
    """One Helm, for what does not differ."""
    return functools.partial(run_helm, build.helm(4, Progress()))
