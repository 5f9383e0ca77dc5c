"""The repository's Markdown as data: pages, headings, links and fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- (run|e2e)(?:: ([^>]*?))? -->\n\Z")


@dataclass(frozen=True)
class Block:
    """A fenced block. `mark` is `run` or `e2e`, from the HTML comment right before it, if any."""

    page: Path
    line: int
    language: str
    text: str
    mark: str | None = None
    why: str | None = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[str]:
        """Its shell commands, continued lines joined and comments left out."""
        joined = self.text.replace("\\\n", " ")
        lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
        return [line for line in lines if line]


def pages() -> list[Path]:
    """Every Markdown file of the repository, generated and installed ones left out."""
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not any(
            part.startswith(".") or part in ("build", "dist", "reports", "node_modules")
            for part in path.relative_to(ROOT).parts
        )
    )


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text()
    for fence in _FENCE.finditer(text):
        mark = _MARK.search(text, 0, fence.start())
        yield Block(
            page,
            text.count("\n", 0, fence.start()) + 1,
            fence[1],
            fence[2],
            mark[1] if mark else None,
            mark[2] if mark else None,
        )


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as the usual renderers make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 1
        unique = slug
        while unique in found:
            unique = f"{slug}-{number}"
            number += 1
        found.add(unique)
    return found


def links(page: Path) -> list[str]:
    """Targets of a page's links and pictures; what looks like one within code is none."""
    return re.findall(
        r"\]\(([^)\s]+)\)", re.sub(r"(?<=[ (|])`[^`\n]+`(?=[ .,;:)|\n])", "`", prose(page))
    )
