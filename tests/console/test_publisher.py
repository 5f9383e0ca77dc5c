"""What is written to the feedback topic."""

from datetime import UTC, datetime, timedelta

import pytest

from textmod_console.record.publisher import timestamp

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
MILLISECONDS = 1_795_780_800_000


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOW - timedelta(seconds=10), MILLISECONDS - 10_000),
        (datetime(1, 1, 1, tzinfo=UTC), 1),
        (datetime(1970, 1, 1, tzinfo=UTC), 1),  # librdkafka takes 0 for "not set"
        (NOW + timedelta(hours=2), MILLISECONDS),
        (datetime(9999, 12, 31, tzinfo=UTC), MILLISECONDS),
    ],
)
def test_brokers_are_given_no_time_that_they_refuse(at: datetime, expected: int) -> None:
    assert timestamp(at, NOW) == expected
