"""Dead letters are sent again once each, as they were, with a count."""

import pytest

from textmod_model.__main__ import main
from textmod_model.formats.dead_letter import dead_letter_headers
from textmod_model.formats.message import Refused
from textmod_model.stream.records import Record
from textmod_model.stream.redrive import Letter, Plan, run, through_model, to_input


class Stored:
    """A message on the dead-letter topic."""

    def __init__(self, offset, reason="NotUtf8", value=b"\xff", headers=(), partition=0):
        self._place = partition, offset
        self._value = value
        self._headers = dead_letter_headers(
            list(headers),
            Refused(reason, "it is wrong."),
            topic="in",
            partition=3,
            offset=100 + offset,
            milliseconds=1_500,
            model="science:1",
        )

    def topic(self):
        return "dead"

    def partition(self):
        return self._place[0]

    def offset(self):
        return self._place[1]

    def key(self):
        return b"k"

    def value(self):
        return self._value

    def headers(self):
        return self._headers

    def timestamp(self):
        return (2, 9_999)

    def __len__(self):
        return len(self._value or b"")


class FakeLog:
    """A topic whose transactions succeed, until one is to fail."""

    def __init__(self, *batches):
        self.stored = batches
        self.written = []
        self.offsets = {}
        self.fail_at = None
        self.under_way = []

    def take_over(self):
        """A run under way commits once more before it is fenced."""
        for records, progress in self.under_way:
            self.settle(records, progress)

    def batches(self):
        for batch in self.stored:
            yield [Letter(message) for message in batch]

    def done(self, reason):
        return dict(self.offsets.get(reason, {}))

    def settle(self, records, progress):
        if self.fail_at is not None and len(self.written) >= self.fail_at:
            raise RuntimeError("fenced")
        self.written += records
        for reason, partitions in progress.items():
            self.offsets.setdefault(reason, {}).update(partitions)


def test_a_letter_goes_back_as_the_message_that_it_was():
    log = FakeLog([Stored(0, headers=[("trace", b"t"), ("textmod.redrive.count", b"2")])])
    report = run(log, Plan(), to_input("in"))
    [record] = log.written
    assert (record.topic, record.key, record.value) == ("in", b"k", b"\xff")
    assert record.headers == [
        ("trace", b"t"),
        ("textmod.redrive.count", b"3"),
        ("textmod.redrive.timestamp", b"1970-01-01T00:00:01.500Z"),
    ]
    assert record.milliseconds is None, "an old time stamp would be deleted by retention"
    assert report.as_json() == {
        "redriven": 1,
        "by_reason": {"NotUtf8": 1},
        "already": 0,
        "left": {},
    }


def test_a_second_run_sends_nothing_twice():
    log = FakeLog([Stored(0), Stored(1, "NotJson")], [Stored(2), Stored(0, partition=1)])
    assert run(log, Plan(), to_input("in")).as_json()["redriven"] == 4
    again = run(log, Plan(), to_input("in")).as_json()
    assert (again["redriven"], again["already"], len(log.written)) == (0, 4, 4)


def test_a_run_under_way_is_fenced_before_its_progress_is_read():
    log = FakeLog([Stored(0), Stored(1)])
    log.under_way = [([Letter(Stored(0))], {"NotUtf8": {0: 1}})]
    found = run(log, Plan(), to_input("in"))
    assert (found.already, sum(found.redriven.values()), len(log.written)) == (1, 1, 2)


def test_a_dry_run_fences_nobody():
    log = FakeLog([Stored(0)])
    log.under_way = [([Letter(Stored(0))], {"NotUtf8": {0: 1}})]
    assert run(log, Plan(), to_input("in"), dry=True).already == 0
    assert log.written == []


def test_a_run_that_broke_goes_on_where_it_was():
    log = FakeLog([Stored(0)], [Stored(1)], [Stored(2)])
    log.fail_at = 2
    with pytest.raises(RuntimeError):
        run(log, Plan(), to_input("in"))
    log.fail_at = None
    assert run(log, Plan(), to_input("in")).as_json()["redriven"] == 1
    assert len(log.written) == 3


def test_other_reasons_are_left_for_another_run():
    log = FakeLog([Stored(0, "NotJson"), Stored(1), Stored(2, "NotJson")])
    first = run(log, Plan(frozenset({"NotUtf8"})), to_input("in"))
    assert (first.redriven, first.left) == ({"NotUtf8": 1}, {"NotJson": 2})
    second = run(log, Plan(), to_input("in"))
    assert (second.redriven, second.already) == ({"NotJson": 2}, 1)


def test_a_dry_run_counts_and_writes_nothing():
    log = FakeLog([Stored(0), Stored(1)])
    assert run(log, Plan(), to_input("in"), dry=True).as_json()["redriven"] == 2
    assert (log.written, log.offsets) == ([], {})


def test_what_came_back_too_often_or_lies_elsewhere_is_left():
    often = Stored(0, headers=[("textmod.redrive.count", b"5")])
    log = FakeLog([often, Stored(1, "OutputRefused", None), Stored(2, "NullValue", None)])
    report = run(log, Plan(), to_input("in"))
    assert report.left == {"TooOften": 1, "OriginalElsewhere": 1}
    assert report.redriven == {"NullValue": 1}


def test_the_rate_is_kept():
    waits = []
    log = FakeLog([Stored(0), Stored(1)], [Stored(2), Stored(3)])
    run(log, Plan(), to_input("in"), rate=4, clock=lambda: 0.0, sleep=waits.append)
    assert waits == [0.5, 1.0]


def test_through_the_model_a_verdict_or_a_dead_letter_with_the_originals_place():
    def judge(letters):
        seen.extend((one.topic(), one.partition(), one.offset()) for one in letters)
        return [
            Record(None, letters[0], b"k", b"{}", [("ce_id", b"in/3/100")], 1_500),
            Record(Refused("NotUtf8", "x."), letters[1], b"k", b"\xff", [], None),
        ]

    seen = []
    log = FakeLog([Stored(0), Stored(1)])
    run(log, Plan(), through_model(judge, "out", "dead"))
    assert seen == [("in", 3, 100), ("in", 3, 101)]
    assert [record.topic for record in log.written] == ["out", "dead"]


@pytest.mark.parametrize("count", [b"", b"many", b"-1", "²".encode(), None])
def test_a_count_that_is_none_starts_again(count):
    found = Letter(Stored(0, headers=[("textmod.redrive.count", count)]))
    assert (found.count, found.headers()) == (0, [("textmod.redrive.count", b"1")])


class Foreign(Stored):
    """A message that somebody else wrote to the dead-letter topic."""

    def __init__(self, **errors):
        super().__init__(0)
        self._headers = [(f"textmod.error.{name}", value) for name, value in errors.items()]


@pytest.mark.parametrize(
    "reason", [b"", b"a\0b", b"x" * 40_000, b"../up", "für".encode(), b"two words", None]
)
def test_what_is_no_reason_of_ours_names_no_consumer_group(reason):
    log = FakeLog([Foreign(reason=reason)])
    report = run(log, Plan(), to_input("in"))
    assert dict(report.redriven) == {"Unknown": 1}
    assert list(log.offsets) == ["Unknown"]


@pytest.mark.parametrize("digits", [b"9" * 5_000, b"9" * 19, b"-1", "٣".encode(), b"1e3"])
def test_a_number_that_is_too_long_or_none_ends_no_run(digits):
    letter = Letter(Foreign(partition=digits, offset=digits))
    assert 0 <= letter.partition() < 1 << 63
    assert 0 <= letter.offset() < 1 << 63


@pytest.mark.parametrize("moment", [b"0001-01-01T00:00:00", b"9999-12-31T23:59:59", b"soon", b""])
def test_a_moment_that_no_clock_shows_ends_no_run(moment):
    kind, milliseconds = Letter(Foreign(timestamp=moment)).timestamp()
    assert (kind, milliseconds) == (0, -1) or milliseconds > 0


@pytest.mark.parametrize("rate", ["nan", "inf", "0", "-1"])
def test_a_rate_that_is_no_number_above_zero_is_refused(rate, capsys):
    assert main(["redrive", "--rate", rate]) == 78
    assert "--rate must be a number above 0." in capsys.readouterr().err
