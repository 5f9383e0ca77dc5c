"""A sample of labelled comments made from templates: enough to run everything, anywhere.

The comments are invented. They follow the pattern of a strict science forum: jokes, anecdotes and
abuse are removed, questions about method and summaries stay, and a part of the labels is wrong, as
moderators' labels are. Use real data to train a model that judges people.
"""

import csv
import random
from pathlib import Path
from typing import Final

_TOPICS: Final = (
    "gut bacteria", "coral reefs", "lithium batteries", "sleep deprivation", "dark matter",
    "antibiotic resistance", "microplastics", "vaccines", "black holes", "CRISPR", "bees",
    "sea ice", "type 2 diabetes", "neural networks", "ketamine", "permafrost", "gravity waves",
    "air pollution", "octopus cognition", "fusion reactors", "soil carbon", "prions",
)  # fmt: skip
_METHODS: Final = (
    "sample size", "control group", "effect size", "confidence interval", "p-value", "methodology",
    "baseline", "cohort", "confounders", "measurement error", "follow-up period", "meta-analysis",
)  # fmt: skip
_PEOPLE: Final = (
    "my uncle", "my neighbour", "my ex", "a guy at work", "my dentist", "some YouTuber",
    "my roommate", "the government", "big pharma", "politicians", "my cat",
)  # fmt: skip
_KEPT: Final = (
    "Does anyone know the {method} of this study on {topic}? The abstract doesn't say.",
    "The paper is at https://doi.org/10.{n}/{topic_slug}.{m}, the {method} is in section {s}.",
    "I work on {topic}. The {method} here is {s}% larger than in earlier work, significantly so.",
    "How does this result on {topic} compare with the {year} trial? The {method} was different.",
    "Correlation isn't causation, but the authors control for the {method} (n = {n}).",
    "What they found: {topic} changed by {s}.{m}%; see [Table {s}](https://example.org/{n}).",
    "Interesting. Could the {method} explain the difference between the groups in figure {s}?",
    "> effects of {topic}\n\nThe press release overstates this; they discuss the {method}.",
    "A good review of {topic} from {year} has the same {method}, e.g. Fig. {s} (n = {n}).",
    "Is there evidence that {topic} depends on temperature? I'd expect the {method} to matter.",
)  # fmt: skip
_REMOVED: Final = (
    "lol {person} has been saying this about {topic} for years",
    "So {topic} walks into a bar... I'll see myself out",
    "This is such bullshit. {person} paid for this garbage, wake up people!!",
    "When I was a kid {person} did that every day and I turned out fine haha",
    "Who cares about {topic}, you idiots will believe anything",
    "TIL {person} is basically {topic}",
    "Can't wait for {topic} to kill us all. Thanks {person}!",
    "I, for one, welcome our new {topic} overlords.",
    "No shit. {person} could have told you that for free &lt;3",
    "Why are all the comments deleted? [removed] [removed] what a mod party",
    "{person} tried this with {topic} once. Worst trip of my life, 10/10 would do again",
    "username checks out ( ͡° ͜ʖ ͡°) {topic}",
    "And people still vote for {person}. Nobody believes in {topic} anymore, sheep.",
)
_LABEL_NOISE: Final = 0.12
_REMOVED_SHARE: Final = 0.33


def comments(rows: int, *, seed: int = 0) -> list[tuple[str, int]]:
    """Return `rows` pairs of text and label (1: removed); the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311  # a repeatable sample, no secret
    return [_comment(draw) for _ in range(rows)]


def _comment(draw: random.Random) -> tuple[str, int]:
    removed = draw.random() < _REMOVED_SHARE
    sentences = 1 + min(4, int(draw.expovariate(0.9)))
    wrong = draw.random() < _LABEL_NOISE
    text = " ".join(_sentence(draw, removed) for _ in range(sentences))
    return text, int(removed != wrong)


def _sentence(draw: random.Random, removed: bool) -> str:
    topic = draw.choice(_TOPICS)
    return draw.choice(_REMOVED if removed else _KEPT).format(
        topic=topic,
        topic_slug=topic.replace(" ", "-").lower(),
        method=draw.choice(_METHODS),
        person=draw.choice(_PEOPLE),
        n=draw.randint(12, 4800),
        m=draw.randint(1, 99),
        s=draw.randint(1, 9),
        year=draw.randint(1998, 2024),
    )


def write_csv(path: Path, rows: int, *, seed: int = 0) -> None:
    """Write a ``text,label`` CSV of `rows` comments. Raises OSError if it cannot be written."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows(comments(rows, seed=seed))
