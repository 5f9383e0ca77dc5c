"""The ClusterRoleBinding whose subjects are the consoles' ServiceAccounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from textmod_operator.errors import ClusterError
from textmod_operator.kube.grants import ATTEMPTS, REMEMBERED_SECONDS, Grants


@dataclass
class Binding:
    """The API server with that one object; None: it is not there."""

    body: dict[str, Any] | None = field(
        default_factory=lambda: {"metadata": {"resourceVersion": "1"}}
    )
    conflicts: int = 0
    reads: int = 0
    writes: list[dict[str, Any]] = field(default_factory=list)

    def request(self, method: str, path: str, kind: str, **options: Any) -> dict[str, Any]:
        assert path.endswith("/clusterrolebindings/textmoderation-console")
        if self.body is None:
            raise ClusterError(404, "not found")
        if method == "GET":
            self.reads += 1
            return self.body
        if self.conflicts:
            self.conflicts -= 1
            raise ClusterError(409, "conflict")
        patch = options["body"]
        assert patch["metadata"]["resourceVersion"] == self.body["metadata"]["resourceVersion"]
        version = str(int(patch["metadata"]["resourceVersion"]) + 1)
        self.body = {"metadata": {"resourceVersion": version}, "subjects": patch["subjects"]}
        self.writes.append(patch)
        return self.body

    @property
    def names(self) -> list[str]:
        assert self.body is not None
        return [f"{one['namespace']}/{one['name']}" for one in self.body.get("subjects", ())]


def grants(
    binding: Binding, gone: set[tuple[str, str]] | None = None, seconds: list[float] | None = None
) -> Grants:
    clock = seconds or [0.0]
    return Grants(binding, lambda *one: one in (gone or set()), lambda: clock[0])  # type: ignore[arg-type]


def test_a_subject_is_added_once_and_the_others_stay() -> None:
    binding, now = Binding(), [0.0]
    kept = grants(binding, seconds=now)
    kept.ensure("a", "x-console")
    kept.ensure("b", "y-console")
    assert binding.names == ["a/x-console", "b/y-console"]
    before = binding.reads
    kept.ensure("a", "x-console")
    assert binding.reads == before, "nothing is asked while it is remembered"
    binding.body = {"metadata": {"resourceVersion": "9"}, "subjects": []}
    now[0] += REMEMBERED_SECONDS
    kept.ensure("a", "x-console")
    assert binding.names == ["a/x-console"], "what somebody took away is put back in time"


def test_a_subject_is_removed_and_those_without_an_account_go_along() -> None:
    binding, gone = Binding(), set()
    kept = grants(binding, gone)
    for name in ("a", "b", "c"):
        kept.ensure(name, "x-console")
    gone.add(("b", "x-console"))
    kept.remove("a", "x-console")
    assert binding.names == ["c/x-console"]
    kept.ensure("a", "x-console")
    assert binding.names == ["a/x-console", "c/x-console"]


def test_a_conflict_is_tried_again_a_few_times() -> None:
    binding = Binding(conflicts=ATTEMPTS - 1)
    grants(binding).ensure("a", "x-console")
    assert binding.names == ["a/x-console"]
    with pytest.raises(ClusterError):
        grants(Binding(conflicts=ATTEMPTS)).ensure("a", "x-console")


def test_a_binding_that_goes_is_noticed() -> None:
    binding = Binding()
    kept = grants(binding)
    kept.ensure("a", "x-console")
    binding.body = None
    kept.remove("a", "x-console")
    with pytest.raises(ClusterError):
        kept.ensure("a", "x-console")
