"""What explanations cost, and that they add up.

    python -m bench.policies.explanation [--data FILE.csv] [--rounds 24]

Half of the comments train a model of each recipe; the other half, new to it, is judged in batches,
as the stream judges messages: decoded, scored, decided, explained and written, all but the broker's
part, which costs the same either way. Two judges take turns batch by batch, one explains and the
other does not; neither remembers texts of the round before, and garbage is collected as the worker
does. The least CPU time of each batch over all rounds counts, since other work on the machine only
ever adds.

- `explanation_error_max`: the greatest difference between the sum of an explanation's parts and its
  total, and between the total and the pipeline's own decision value, over all comments;
- `explained_cost_ratio`: of texts that are all explained, the quarter with the highest scores;
- `judge_cost_ratio_5_percent`: of all texts, where the policy flags the highest 5 %. The whole
  worker's is `bench/stream/explained.py`.

Of both recipes the larger ratio counts; `explanation` has them one by one.
"""

import argparse
import gc
import json
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.scorer.__main__ import BATCH, DATA, compiled, fitted, read
from textmod_dev.figures import figures_dir, merge_figures
from textmod_model.artifact import Artifact
from textmod_model.formats import catalog
from textmod_model.formats.message import Reading, Verdicts, Writing
from textmod_model.formats.verdict_headers import VerdictHeaders
from textmod_model.policies.evaluate import Evaluator
from textmod_model.policies.solved import parse
from textmod_model.scoring.compiled_backend import CompiledBackend
from textmod_model.scoring.scorer import Scorer
from textmod_model.serving.cli import GC_OBJECTS
from textmod_model.stream.explanations import Explanations
from textmod_model.stream.judge import Judge
from textmod_model.stream.letters import DeadLetters
from textmod_model.training import dataset, train

RESULTS = Path(__file__).parents[1] / "results"
FLAGGED = 0.05
FLAGGED_TEXTS = 0.25


class Message:
    """A message as the consumer returns it."""

    def __init__(self, text: str, offset: int) -> None:
        self._value, self._offset = json.dumps({"body": text}).encode(), offset

    def __len__(self) -> int:
        return len(self._value)

    def value(self) -> bytes:
        return self._value

    def topic(self) -> str:
        return "in"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return b"key"

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_764_000_000_000


def judge(backend: CompiledBackend, at_least: float, *, explains: bool) -> Judge:
    """Return a judge whose only policy removes from a score on."""
    document = {
        "policies": [{"name": "all", "rules": [{"action": "Remove", "atLeast": at_least}]}],
        "explanation": {"actions": ["Remove"] if explains else []},
    }
    policies = Evaluator(parse(json.dumps(document).encode(), versioned=False), ("removed",))
    verdicts = Verdicts(("kept", "removed"), 0.5, "bench:0")
    scorer = Scorer(backend)
    return Judge(
        decode=catalog.decoder("Json", Reading(("body",))),
        score=scorer.score,
        encode=catalog.encoder("Verdict", Writing(verdicts, decided=True)),
        headers=VerdictHeaders("/textmoderation/bench", "0", "sha256:0", "application/json"),
        letters=DeadLetters("bench:0"),
        policies=lambda: policies,
        explanations=Explanations(scorer.briefs),
    )


def ratio(made: Artifact, texts: Sequence[str], at_least: float, rounds: int) -> float:
    """Return what judging costs with explanations over what it costs without."""
    backends = [CompiledBackend(compiled(made)) for _ in range(2)]
    judges = [judge(backends[explains], at_least, explains=bool(explains)) for explains in (0, 1)]
    messages = [Message(text, at) for at, text in enumerate(texts)]
    batches = [messages[start : start + BATCH] for start in range(0, len(messages), BATCH)]
    least = np.full((2, len(batches)), np.inf)
    gc.freeze()
    gc.set_threshold(GC_OBJECTS)
    for turn in range(rounds):
        for backend in backends:
            backend.forget()
        for at, batch in enumerate(batches):
            for explains in (0, 1) if (turn + at) % 2 else (1, 0):
                start = time.process_time()
                judges[explains].judge(batch)  # type: ignore[arg-type]  # all that it asks for
                least[explains, at] = min(least[explains, at], time.process_time() - start)
    without, explained = least.sum(axis=1)
    return float(explained / without)


def error(made: Artifact, texts: Sequence[str]) -> float:
    """Return the greatest difference between an explanation's sum, its total and the pipeline."""
    backend, pipeline = CompiledBackend(compiled(made)), made.pipeline()
    worst = 0.0
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        backend.score(batch)
        expected = np.asarray(pipeline.decision_function(batch)).reshape(len(batch), -1)
        for label in range(expected.shape[1]):
            explained = backend.explain(batch, label)
            for one, decision in zip(explained, expected[:, label].tolist(), strict=True):
                weights = [span.weight for span in one.spans]
                weights += [feature.weight for feature in one.features]
                whole = math.fsum((one.base, *weights))
                worst = max(worst, abs(whole - one.total), abs(one.total - decision))
    return worst


def main() -> None:
    """Measure both recipes, and write the figures."""
    parser = argparse.ArgumentParser(prog="bench.policies.explanation")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rounds", type=int, default=24)
    arguments = parser.parse_args()
    by_recipe = {}
    with tempfile.TemporaryDirectory() as folder:
        data = read(arguments.data, Path(folder))
        half = len(data) // 2
        seen = dataset.Dataset(data.texts[:half], data.labels[:half], data.digest)
        for recipe in ("seed", "default"):
            path = Path(folder) / recipe
            path.mkdir()
            made = train.package(
                fitted(seen, recipe), seen, path, recipe=recipe, name="bench", version="0"
            )
            texts = data.texts[half:]
            scores = CompiledBackend(compiled(made)).score(texts)
            highest = np.flatnonzero(scores >= np.quantile(scores, 1 - FLAGGED_TEXTS))
            flagged = [texts[at] for at in highest.tolist()]
            some = float(np.quantile(scores, 1 - FLAGGED))
            by_recipe[recipe] = {
                "error_max": error(made, data.texts),
                "explained_cost_ratio": round(ratio(made, flagged, 0.0, arguments.rounds), 4),
                "judge_cost_ratio_5_percent": round(ratio(made, texts, some, arguments.rounds), 4),
            }
            print(recipe, by_recipe[recipe], flush=True)
    figures = by_recipe.values()
    merge_figures(
        figures_dir(RESULTS) / "policies.json",
        {
            "explanation": by_recipe,
            "explanation_error_max": max(one["error_max"] for one in figures),
            "explained_cost_ratio": max(one["explained_cost_ratio"] for one in figures),
            "judge_cost_ratio_5_percent": max(one["judge_cost_ratio_5_percent"] for one in figures),
        },
    )


if __name__ == "__main__":
    main()
