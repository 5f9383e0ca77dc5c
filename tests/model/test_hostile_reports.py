"""Reports are pages that people open: no word, label or name of the data becomes markup or math."""

import random
from html.parser import HTMLParser

import numpy as np
import pytest

from textmod_model.training import report, train
from textmod_model.training.dataset import Dataset

WORDS = [
    "<script>alert(1)</script>", "<img/src=x/onerror=alert(1)>", "</svg><iframe>", "]]><!--",
    "javascript:alert(1)", "\"'onload='x", r"$\frac{$", "$x_$y$", r"\$", "{{7*7}}", "&lt;b&gt;",
]  # fmt: skip
LABELS = [
    ('"><img src=x onerror=alert(1)>', "<script>alert(1)</script>"),
    (r"$\frac{$",),
]


WITHIN = ("#", "data:image/png;base64,")
"""Beginnings of references that fetch nothing: within the page, and matplotlib's own images."""


class Seen(HTMLParser):
    """What a browser would take for an element, an attribute that runs, or a reference."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.risky: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            loads = name in {"src", "href", "xlink:href", "action", "data", "srcset"}
            if name.startswith("on") or (loads and not (value or "").startswith(WITHIN)):
                self.risky.append((name, value))


@pytest.mark.slow
@pytest.mark.parametrize("labels", LABELS, ids=[labels[0] for labels in LABELS])
def test_a_training_report_runs_and_fetches_nothing(labels: tuple[str, ...], tmp_path) -> None:
    draw = random.Random(4)  # noqa: S311 - nothing secret
    texts = [" ".join(draw.choices([*WORDS, "kind", "words", "of", "you"], k=9)) for _ in range(40)]
    yes = np.array([[draw.random() < 0.5 for _ in labels] for _ in texts])
    targets = [tuple(map(float, row)) for row in yes]
    first = [int(row[0]) for row in yes]
    data = Dataset(texts, first, "sha256:" + "1" * 64, labels, targets)
    trained = train.train(data, "seed")
    made = train.package(
        trained, data, tmp_path / "model", recipe="seed", name="<b>x</b>", version="<i>1</i>"
    )
    page = report.render(made.manifest, trained, data, {"<u>recipe</u>": [0.5, 0.6]})
    seen = Seen(page)
    assert not seen.tags & {"script", "img", "iframe", "object", "embed", "link", "base", "form"}
    assert not seen.tags & {"i", "u"}, "of the version and of a recipe's name"
    assert seen.risky == []
