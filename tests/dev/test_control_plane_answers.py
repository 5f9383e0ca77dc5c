"""What the local control plane's answers are taken for."""

from __future__ import annotations

import httpx
import pytest

from textmod_dev.control_plane import ControlPlane

ESTABLISHED = {"type": "Established", "status": "True"}


@pytest.mark.parametrize(
    ("code", "status", "served"),
    [
        (404, {}, False),
        (200, {}, False),
        (200, {"conditions": None}, False),  # for an instant after a CRD was created
        (200, {"conditions": [ESTABLISHED | {"status": "False"}]}, False),
        (200, {"conditions": [ESTABLISHED]}, True),
    ],
)
def test_a_crd_is_served_once_its_status_says_so(
    monkeypatch: pytest.MonkeyPatch, code: int, status: dict[str, object], served: bool
) -> None:
    answer = httpx.Response(code, json={"status": status})
    monkeypatch.setattr(ControlPlane, "get", lambda self, path: answer)
    plane = object.__new__(ControlPlane)
    assert plane.crd_established("textmoderations.textmoderation.dev") is served
