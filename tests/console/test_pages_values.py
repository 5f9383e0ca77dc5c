"""The pure parts of the pages: sentences, forecasts, settings, exposure, limits."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_desk import card

from textmod_console.access.limits import MAX_BUCKETS, RateLimit
from textmod_console.access.memory import MAX_ANSWERS, Remembered
from textmod_console.events import Reason
from textmod_console.measurement import Estimate
from textmod_console.pages import words
from textmod_console.pages.exposure import PAUSE_SECONDS, Exposure
from textmod_console.pages.forecast import forecast, reached
from textmod_console.pages.personal import local_path
from textmod_console.pages.preferences import BREAKS, THEMES, Preferences


def test_the_first_sentence_says_why_and_what_happens_meanwhile() -> None:
    assert words.why(card(hold=True)) == (
        "Policy off-topic asks for a review. It is held back until you decide."
    )


def test_a_blind_item_says_nothing_of_score_or_policy() -> None:
    blind = card(blind=True, reasons=(Reason(kind="Random"), Reason(kind="Policy", score=0.9)))
    assert "0.9" not in words.why(blind)
    assert "at random" in words.why(blind)


def test_unknown_is_said_in_words() -> None:
    assert words.estimate(Estimate(None, None, None, 12, 9.0)) == "Unknown: 12 labels so far."
    assert words.share(None) == "Unknown"
    assert words.estimate(Estimate(0.91, 0.87, 0.94, 1, 1.0)) == (
        "91.0 %, between 87.0 % and 94.0 % (95 % interval, 1 label)."
    )


def test_a_forecast_counts_both_thresholds() -> None:
    counts = (100.0, 50.0, 30.0, 20.0)
    told = forecast(counts, 0.5, 0.75)
    assert (told.texts, told.now, told.then) == (200.0, 50.0, 20.0)
    assert told.sentence == (
        "Of about 200 texts of the last 24 hours 50 reach the first threshold and 20 would reach "
        "the second: 30 fewer texts a day."
    )
    assert forecast((), 0.5, 0.7).sentence.startswith("Unknown")


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=64), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_reaches_more(counts: list[float], a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert reached(counts, high) <= reached(counts, low) * (1 + 1e-9) + 1e-9
    assert reached(counts, 0) == pytest.approx(sum(counts))
    assert reached(counts, 1) == 0


def test_exposure_counts_until_a_pause() -> None:
    count = Exposure()
    for minute in range(50):
        count = count.read_one(60 * minute + 100)
    assert count.hint(50) == (
        "You have read 50 texts in 49 minutes without a break. "
        "Ten minutes away from the screen start the count again."
    )
    assert count.hint(0) is None
    assert count.read_one(count.last + PAUSE_SECONDS).texts == 1
    assert Exposure.decode(count.encode()) == count


NEAR_COOKIES = st.from_regex(
    r"[01x]{2,4}\\.(auto|light|dark|evil)\\.(0|25|50|100|7|-1)", fullmatch=True
)


@given(st.text() | NEAR_COOKIES)
def test_a_cookie_of_anybody_is_the_default_or_ours(value: str) -> None:
    found = Preferences.decode(value)
    assert found.theme in THEMES
    assert found.break_every in BREAKS
    assert found == Preferences() or found.encode() == value
    assert Preferences.decode(Preferences.decode(value).encode()) == Preferences.decode(value)
    assert Exposure.decode(value).texts >= 0


def test_settings_of_a_form() -> None:
    wanted = Preferences.of_form({"keys": "on", "theme": "dark", "break_every": "25"})
    assert wanted == Preferences(cover=False, keys=True, scores=False, theme="dark", break_every=25)
    assert Preferences().changes(wanted) == {
        "cover": False, "scores": False, "theme": "dark", "break_every": 25,
    }  # fmt: skip
    assert Preferences.of_form({"theme": "red"}) == Preferences()


def test_a_rate_limit_fills_up_again() -> None:
    now = [0.0]
    limit = RateLimit(2.0, 3, lambda: now[0])
    assert [limit.wait("ada") for _ in range(3)] == [0, 0, 0]
    assert limit.wait("ada") == pytest.approx(0.5)
    assert limit.wait("bob") == 0
    now[0] = 0.5
    assert limit.wait("ada") == 0


def test_the_rates_of_a_bounded_number_of_names_are_kept() -> None:
    limit = RateLimit(1.0, 1, lambda: 0.0)
    limit.wait("ada")
    for number in range(MAX_BUCKETS - 1):
        limit.wait(str(number))
    assert limit.wait("ada") == 1
    for number in range(MAX_BUCKETS):
        limit.wait(str(number))
    assert limit.wait("ada") == 0  # forgotten, and so filled up


def test_a_bounded_number_of_answers_is_kept() -> None:
    answers: Remembered[int] = Remembered(30.0, lambda: 0.0)
    fresh = iter(range(MAX_ANSWERS + 2))
    for number in range(MAX_ANSWERS):
        answers.get(number, lambda: next(fresh))
    assert answers.get(0, lambda: next(fresh)) == 0
    answers.get("one more", lambda: next(fresh))
    assert answers.get(0, lambda: next(fresh)) == MAX_ANSWERS + 1


@pytest.mark.parametrize(
    ("given_path", "path"),
    [
        ("/quality", "/quality"), ("/items/a/0/1%231?shown=x", "/items/a/0/1%231?shown=x"),
        ("//evil.example", "/queue"), ("/\\evil.example", "/queue"), ("https://evil", "/queue"),
        ("", "/queue"), (None, "/queue"), ("/a\nb", "/queue"), ("javascript:alert(1)", "/queue"),
    ],
)  # fmt: skip
def test_sign_in_goes_on_to_pages_of_the_console_only(given_path: str | None, path: str) -> None:
    assert local_path(given_path) == path


def test_moments_are_in_utc() -> None:
    assert words.moment(datetime(2026, 11, 27, 9, 5, tzinfo=UTC)) == "2026-11-27 09:05 UTC"
