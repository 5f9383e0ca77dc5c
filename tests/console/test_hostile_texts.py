"""Stored texts of 500 attackers: each comes out as text, in every place where a page shows one."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from console_client import ITEM, form_token, loopback
from hostile_texts import hostile_texts
from memory_desk import MemoryDesk, card

from textmod_console.access.limits import RateLimit

EXPLAINED = {"offsets": "CodePoint", "spans": [{"begin": 1, "end": 9, "weight": 1.0}]}


class Markup(HTMLParser):
    """The tags and attributes of a page: what a browser would act on."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.targets: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(sorted(name for name, _ in attrs))))
        self.targets |= {str(v) for n, v in attrs if n in {"href", "src", "action", "formaction"}}


def tags(page: str) -> set[str]:
    return {tag for tag, _ in Markup(page).found}


class Reader:
    """A reviewer to whom texts are not covered."""

    def __init__(self) -> None:
        self._desk = MemoryDesk()
        self._client = loopback(self._desk, limit=RateLimit(1e6, 10**6, lambda: 0.0))
        token = form_token(self._client.get("/settings").text)
        form = {"token_of_form": token, "scores": "on", "theme": "auto", "break_every": "50"}
        self._client.post("/settings", data=form)

    def pages(self, text: str) -> dict[str, str]:
        """Return the pages that show a text, which is also its author's name, label and note."""
        hostile = card(
            1, text, author=text, context=text, explanation=EXPLAINED, label=text[:200],
            policies=(text,), item=ITEM,
        )  # fmt: skip
        self._desk.cards = {ITEM: hostile}
        self._desk.records.clear()
        self._desk.record(text, "setting", None, {"note": text})
        return {
            path: self._client.get(path).text for path in ("/queue", f"/items/{ITEM}", "/audit")
        }


@pytest.mark.parametrize("part", range(10))
def test_a_hostile_text_adds_no_markup(part: int) -> None:
    """Its page has the tags of a harmless text's page, and leads nowhere else."""
    reader = Reader()
    shapes = {path: tags(page) for path, page in reader.pages("A harmless text.").items()}
    texts = hostile_texts()
    assert len(set(texts)) == 500
    for text in texts[part * 50 : (part + 1) * 50]:
        for path, page in reader.pages(text).items():
            markup = Markup(page)
            assert {tag for tag, _ in markup.found} <= shapes[path] | {"mark", "span"}, text
            assert not [a for _, a in markup.found if any(n.startswith("on") for n in a)], text
            assert all(target.startswith(("/", "#")) for target in markup.targets), text
            assert not any(target.startswith("//") for target in markup.targets), text


def test_programs_get_the_text_as_it_is() -> None:
    text = "<b>\u202e\ud800"
    answer = loopback(MemoryDesk.of(card(1, text))).get("/api/next")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["text"] == "<b>\u202e?"
