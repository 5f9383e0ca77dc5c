"""How one refused group is kept from spoiling the batch (see also tests/integration/test_lag)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from kafka.errors import GroupAuthorizationFailedError, NotCoordinatorError

from textmod_operator.kafka.offsets import Committed, GroupOffsets, Partition
from textmod_operator.state import KafkaConnection


class Scripted(GroupOffsets):
    """Answers for every group but those in `errors`, and notes what each request asked for."""

    def __init__(self, errors: dict[str, Exception]) -> None:
        super().__init__(KafkaConnection("kafka:9092"), request_seconds=1)
        self.errors = errors
        self.requests: list[set[str]] = []

    def _ask(
        self, groups: Mapping[str, Iterable[Partition]], *, again: bool = False
    ) -> dict[str, dict[Partition, Committed]]:
        if groups:
            self.requests.append(set(groups))
        for group in groups:
            if group in self.errors:
                raise self.errors[group]
        return {group: {("input", 0): Committed(7, "")} for group in groups}


GROUPS: dict[str, list[Partition]] = {name: [("input", 0)] for name in ("a", "b", "c")}


def test_all_in_one_request() -> None:
    offsets = Scripted({})
    assert offsets.fetch(GROUPS) == {group: {("input", 0): Committed(7, "")} for group in "abc"}
    assert offsets.requests == [{"a", "b", "c"}]


def test_a_refused_group_is_asked_alone_from_then_on() -> None:
    offsets = Scripted({"b": GroupAuthorizationFailedError("No right to describe b.")})
    for _ in range(2):
        found = offsets.fetch(GROUPS)
        assert found["a"] == found["c"] == {("input", 0): Committed(7, "")}
        assert isinstance(found["b"], str)
        assert "No right to describe b" in found["b"]
    assert offsets.requests[-2:] == [{"a", "c"}, {"b"}]

    offsets.errors.clear()
    offsets.fetch(GROUPS)
    offsets.requests.clear()
    assert offsets.fetch(GROUPS)["b"] == {("input", 0): Committed(7, "")}
    assert offsets.requests == [{"a", "b", "c"}]


@pytest.mark.parametrize("error", [NotCoordinatorError("It has moved.")])
def test_a_passing_error_blames_no_group(error: Exception) -> None:
    offsets = Scripted({"b": error})
    found = offsets.fetch(GROUPS)
    assert all(isinstance(answer, str) for answer in found.values())
    offsets.errors.clear()
    offsets.requests.clear()
    offsets.fetch(GROUPS)
    assert offsets.requests == [{"a", "b", "c"}]
