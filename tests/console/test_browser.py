"""The pages in the system's Chromium: keyboard, no JavaScript, accessibility, hostile texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright")
import console_browser as support
from axe_playwright_python.sync_playwright import Axe
from desk_world import World
from desk_world import request as review_request
from hostile_texts import MARK, hostile_texts
from playwright.sync_api import Browser, Page, expect

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(support.CHROMIUM is None, reason=support.MISSING),
]
PAGES = (
    "/queue", "/items/science-input/0/0", "/escalated", "/quality", "/policies", "/audit",
    "/guide", "/settings", "/nothing-here",
)  # fmt: skip
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the file."""
    with support.chromium() as running:
        yield running


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A real desk with twelve texts."""
    with support.filled(tmp_path) as made:
        yield made


@pytest.fixture
def origin(world: World) -> Iterator[str]:
    """The address of the pages."""
    with support.served(support.FilledDesk(world.desk)) as address:
        yield address


def uncover(page: Page, origin: str) -> None:
    """Choose to see texts at once, by keyboard."""
    page.goto(f"{origin}/settings")
    page.locator("#cover").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**/settings?saved=1")


def why(page: Page) -> str:
    return page.locator(".card").get_attribute("data-item") or ""


def test_ten_cards_by_keyboard_alone(browser: Browser, world: World, origin: str) -> None:
    """Enter shows the text, a letter decides, and the focus is where the next act needs it."""
    context = browser.new_context()
    page, seen = support.opened(context, origin)
    page.goto(f"{origin}/queue")
    items = []
    for number in range(10):
        items.append(why(page))
        page.keyboard.press("f")  # does nothing to a covered text
        expect(page.get_by_role("button", name="Show the text")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#text")).to_be_visible()
        expect(page.locator("h1")).to_be_focused()
        page.keyboard.press("fdseu"[number % 5])
        expect(page.locator(f'.card[data-item="{items[-1]}"]')).to_have_count(0)
        expect(page.locator("#notices")).to_contain_text(
            ("Approved", "Removed", "Skipped", "Escalated", "Marked as unsure")[number % 5]
        )
    assert len(set(items)) == 10
    names = [world.desk.card(item, None).decided[-1].decision for item in items]
    assert names == ["Approve", "Remove", "Skip", "Escalate", "Unsure"] * 2
    decided = world.desk.card(items[0], None).decided[-1]
    assert decided.milliseconds is not None
    assert seen == support.Seen()
    context.close()


def test_undo_next_previous_guide_and_switching_keys_off(
    browser: Browser, world: World, origin: str
) -> None:
    context = browser.new_context()
    page, seen = support.opened(context, origin)
    uncover(page, origin)
    page.goto(f"{origin}/queue")
    first = why(page)
    page.keyboard.press("d")
    expect(page.locator("#notices")).to_contain_text("Removed")
    page.keyboard.press("j")  # the undo stays while other texts are shown
    page.keyboard.press("z")
    expect(page.locator(f'.card[data-item="{first}"]')).to_be_visible()
    expect(page.locator("[data-undo]")).to_have_count(0)
    assert world.desk.card(first, None).decided == ()
    page.keyboard.press("j")
    expect(page.locator(f'.card[data-item="{first}"]')).to_have_count(0)
    page.keyboard.press("k")
    expect(page.locator(f'.card[data-item="{first}"]')).to_be_visible()
    page.get_by_text("Add a reason or a note").click()
    page.locator("#note").fill("")
    page.locator("#note").press_sequentially("fed up")  # letters of a note are no keys
    assert world.desk.card(first, None).decided == ()
    page.locator("h1").focus()
    page.keyboard.press("?")
    page.wait_for_url("**/guide")
    page.goto(f"{origin}/settings")
    page.locator("#keys").uncheck()
    page.get_by_role("button", name="Save").click()
    page.goto(f"{origin}/queue")
    page.keyboard.press("d")
    page.keyboard.press("j")
    assert page.locator("kbd").count() == 0
    page.wait_for_timeout(200)
    assert world.desk.card(why(page), None).decided == ()
    assert seen == support.Seen()
    context.close()


def test_a_decision_that_was_not_taken_is_told_even_when_the_next_card_is_shown(
    browser: Browser, world: World, origin: str
) -> None:
    context = browser.new_context()
    page, _ = support.opened(context, origin)
    uncover(page, origin)
    with page.expect_response("**/queue?passed=*"):  # the next card is there
        page.goto(f"{origin}/queue")
    item = why(page)
    world.desk.release(item, "ada")
    world.desk.claim(item, "bob")
    page.keyboard.press("d")
    expect(page.get_by_role("alert")).to_contain_text("nother reviewer")
    assert world.desk.card(item, None).decided == ()
    page.keyboard.press("j")
    expect(page.locator(".card[data-item]")).to_be_visible()
    assert why(page) != item
    context.close()


def test_the_console_works_without_javascript(browser: Browser, world: World, origin: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page, seen = support.opened(context, origin)
    page.goto(f"{origin}/queue")
    items = []
    for _ in range(3):
        items.append(why(page))
        page.get_by_role("button", name="Show the text").click()
        page.get_by_role("button", name="Remove").click()
        expect(page.locator("#notices")).to_contain_text("Removed")
    page.get_by_role("button", name="Undo").click()
    assert why(page) == items[-1]
    assert [bool(world.desk.card(item, None).decided) for item in items] == [True, True, False]
    page.goto(f"{origin}/policies?label=removed&now=0.5&then=0.9")
    assert "fewer texts a day" in page.locator("#outcome").inner_text()
    assert seen == support.Seen()
    context.close()


def test_the_slider_answers_while_it_moves(browser: Browser, origin: str) -> None:
    context = browser.new_context()
    page, seen = support.opened(context, origin)
    page.goto(f"{origin}/policies")
    page.locator("#then").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#outcome")).to_contain_text("0.93 → 0.98")
    expect(page.locator("#then")).to_be_focused()
    assert seen == support.Seen()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_barrier(browser: Browser, world: World, origin: str, scheme: str) -> None:
    """Axe finds no violation of WCAG 2.2 AA, on any page, in both colour schemes."""
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)  # axe is a script
    page = context.new_page()
    axe = Axe()
    # Of all rules contrast alone depends on the colours; the others are tried once.
    rules = {"type": "rule", "values": ["color-contrast"]}
    options = {"runOnly": {"type": "tag", "values": RULES} if scheme == "light" else rules}
    found = {}

    def check(name: str) -> None:
        violations = axe.run(page, options=options).response["violations"]
        found[name] = [(v["id"], v["nodes"][0]["html"]) for v in violations]

    for path in PAGES:
        page.goto(origin + path)
        check(path)
    page.goto(f"{origin}/queue")
    page.get_by_role("button", name="Show the text").click()
    page.locator("#text").wait_for()
    page.get_by_text("Add a reason or a note").click()
    check("an open card")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Escalate").click()
    page.locator("[data-undo]").wait_for()
    check("a notice")
    page.goto(f"{origin}/escalated")
    check("an escalated text")
    assert {name: violations for name, violations in found.items() if violations} == {}
    assert len(found) == len(PAGES) + 3
    context.close()


def test_no_line_is_longer_than_a_reader_likes(browser: Browser, origin: str) -> None:
    """60 to 70 characters a line on a wide screen, and no sideways scrolling on a narrow one."""
    context = browser.new_context()
    page, seen = support.opened(context, origin)
    uncover(page, origin)
    for width in (320, 360, 768, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"{origin}/queue")
        lines = page.evaluate(LONGEST_LINE)
        assert lines <= 75
        assert width < 700 or lines >= 55
        for path in PAGES:
            page.goto(origin + path)
            over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, f"{path} at {width} pixels is {over} pixels too wide"
    assert seen.strangers == []
    context.close()


LONGEST_LINE = """() => {
  const range = document.createRange(), counts = new Map();
  const walk = document.createTreeWalker(document.getElementById("text"), NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (node.parentElement.className === "weight") continue;
    for (let i = 0; i < node.length; i++) {
      range.setStart(node, i); range.setEnd(node, i + 1);
      const y = Math.round(range.getBoundingClientRect().bottom / 20);
      counts.set(y, (counts.get(y) || 0) + 1);
    }
  }
  return Math.max(...counts.values());
}"""


RUNS_OR_FETCHES = "main :is(script, img, iframe, object, embed, video, style, link, a[href^=http])"


def test_500_hostile_texts_run_nothing_and_fetch_nothing(browser: Browser, tmp_path: Path) -> None:
    """Ten to a page, as text, author and context; the browser's own eyes are on it."""
    # No event carries half a surrogate: JSON's readers refuse it.
    hostile = [text.encode(errors="replace").decode() for text in hostile_texts()]
    groups = [hostile[n : n + 10] for n in range(0, len(hostile), 10)]
    with support.World(f"sqlite:///{tmp_path}/hostile.db") as world:
        world.ask(
            *(
                review_request(
                    f"science-input/0/{n}",
                    text="\n".join(group),
                    author=group[0][:200],
                    context="\n".join(group)[:2000],
                )
                for n, group in enumerate(groups)
            )
        )
        with support.served(world.desk) as origin:
            context = browser.new_context()
            page, seen = support.opened(context, origin)
            uncover(page, origin)
            for number in range(len(groups)):
                page.goto(f"{origin}/items/science-input/0/{number}", wait_until="load")
                assert page.evaluate(f"window.{MARK}") is None
                assert page.url.startswith(origin)
                assert (
                    page.locator("main script, main img, main iframe, main a[href^=http]").count()
                    == 0
                )
            assert seen == support.Seen()
            context.close()


def test_a_double_click_decides_the_text_that_was_read_alone(
    browser: Browser, world: World, origin: str
) -> None:
    """The next card, with the same buttons at the same place, is there before the second click."""
    context = browser.new_context()
    page, seen = support.opened(context, origin)
    uncover(page, origin)
    with page.expect_response("**/queue?passed=*"):  # the next card is there
        page.goto(f"{origin}/queue")
    item = why(page)
    page.get_by_role("button", name="Remove").dblclick()
    expect(page.locator("#notices")).to_contain_text("Removed")
    page.wait_for_timeout(200)
    following = why(page)
    assert following != item
    assert [len(world.desk.card(one, None).decided) for one in (item, following)] == [1, 0]
    page.get_by_role("button", name="Remove").click()  # a click of its own counts
    expect(page.locator(f'.card[data-item="{following}"]')).to_have_count(0)
    assert seen == support.Seen()
    context.close()


def test_a_double_click_without_javascript_is_one_decision_with_its_undo(
    browser: Browser, world: World, origin: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page, _ = support.opened(context, origin)
    page.goto(f"{origin}/queue")
    item = why(page)
    page.get_by_role("button", name="Show the text").click()
    page.get_by_role("button", name="Remove").dblclick()
    expect(page.locator("#notices")).to_contain_text("Removed")
    assert len(world.desk.card(item, None).decided) == 1
    page.get_by_role("button", name="Undo").click()
    assert why(page) == item
    context.close()


@pytest.mark.parametrize(
    ("key", "code", "decides"),
    [
        ("а", "KeyF", True),  # Russian
        ("ב", "KeyF", True),  # Hebrew, another place's letter
        ("F", "KeyF", True),  # Caps Lock
        ("ğ", "KeyE", False),  # Turkish F: `e` is elsewhere
        ("é", "KeyF", False),
        ("Dead", "KeyF", False),
    ],
)
def test_keys_count_on_keyboards_of_other_scripts(
    browser: Browser, world: World, origin: str, key: str, code: str, *, decides: bool
) -> None:
    context = browser.new_context()
    page, _ = support.opened(context, origin)
    uncover(page, origin)
    page.goto(f"{origin}/queue")
    item = why(page)
    page.evaluate(
        "([key, code]) => document.querySelector('h1').dispatchEvent("
        "new KeyboardEvent('keydown', {key, code, bubbles: true, cancelable: true}))",
        [key, code],
    )
    if decides:
        expect(page.locator("#notices")).to_contain_text("Approved")
    page.wait_for_timeout(100)
    assert bool(world.desk.card(item, None).decided) is decides
    context.close()


def test_a_long_name_leaves_the_other_columns_of_the_audit_in_sight(
    browser: Browser, world: World, origin: str
) -> None:
    world.desk.record("eve" * 100, "reveal", "science-input/0/0")
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{origin}/audit")
    begin = page.get_by_role("columnheader", name="Text").bounding_box()
    assert begin is not None
    assert begin["x"] < 1100
    page.close()


def test_the_sign_of_a_weight_is_before_its_figure_in_arabic(
    browser: Browser, world: World, origin: str
) -> None:
    explanation = {"offsets": "CodePoint", "spans": [{"begin": 0, "end": 3, "weight": 1.31}]}
    world.ask(review_request("rtl/0/0", text="زرت المتحف أمس", explanation=explanation))
    context = browser.new_context()
    page, _ = support.opened(context, origin)
    uncover(page, origin)
    page.goto(f"{origin}/items/rtl/0/0")
    assert page.locator(".weight").inner_text() == "+1.31"
    assert page.evaluate("getComputedStyle(document.getElementById('text')).direction") == "rtl"
    sign, figure = page.evaluate(
        """() => {
          const node = document.querySelector(".weight").firstChild, range = document.createRange();
          return [0, 1].map((at) => {
            range.setStart(node, at); range.setEnd(node, at + 1);
            return range.getBoundingClientRect().left;
          });
        }"""
    )
    assert sign < figure
    context.close()
