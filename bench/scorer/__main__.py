"""Measure the scorer: speed, start, memory, and how cost grows with the length of a text.

    python -m bench.scorer [speed] [labels] [start] [memory] [growth] [profile]
        [--data CSV] [--recipe R] [--json FILE]

Half of the comments train a model, the other half is scored, so that the texts are new to it.
CPU time of one process; the pipeline and the compiled scorer take turns in the same run, because
only their ratio means something on a busy machine.
"""

import argparse
import cProfile
import json
import math
import pstats
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from textmod_model import pipeline
from textmod_model.artifact import Artifact
from textmod_model.formats.encoders import verdict
from textmod_model.formats.message import Decoded, Encoder, Verdicts, Writing
from textmod_model.scoring.compiled import Compiled
from textmod_model.scoring.compiled_backend import CompiledBackend
from textmod_model.text.cleaning import clean
from textmod_model.training import dataset, recipes, sample, train

DATA = Path(__file__).parents[3] / "shared" / "data" / "reddit_science_comments.csv"
BATCH = 256
ROUNDS = 3
LABELS = (1, 2, 4)
MEBIBYTE = 2**20

PEAK_PROGRAM = """
def peak():  # not getrusage: what it tells starts at the parent's peak
    return next(int(line.split()[1]) for line in open("/proc/self/status") if "VmHWM" in line)
"""

START_PROGRAM = """
import sys
from pathlib import Path
from textmod_model import artifact
from textmod_model.scoring import scorer
loaded = scorer.Scorer.from_artifact(artifact.load(Path(sys.argv[1])))
loaded.score(["Is there (any) evidence that this isn't a :) joke? http://a.b"])
print(peak())
"""

MEMORY_PROGRAM = """
import random, sys
from pathlib import Path
from textmod_model import artifact
from textmod_model.scoring import scorer
draw = random.Random(1)
loaded = scorer.Scorer.from_artifact(artifact.load(Path(sys.argv[1])))
loaded.score(["warm up"])
print(peak())
for _ in range(int(sys.argv[2])):
    loaded.score([" ".join(f"w{draw.getrandbits(48):x}" for _ in range(1000)) for _ in range(20)])
print(peak())
loaded.score([" ".join(f"{draw.getrandbits(16):x}" for _ in range(210_000))])
print(peak())
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.scorer", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*MEASUREMENTS, []])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--recipe", default="seed")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = read(arguments.data, Path(folder))
        half = len(data) // 2
        seen = dataset.Dataset(data.texts[:half], data.labels[:half], data.digest)
        trained = fitted(seen, arguments.recipe)
        made = train.package(
            trained, seen, Path(folder), recipe=arguments.recipe, name="bench", version="0"
        )
        figures: dict[str, object] = {"recipe": arguments.recipe, "comments": len(data)}
        for what in arguments.what or MEASUREMENTS:
            figures[what] = MEASUREMENTS[what](made, data.texts[half:])
    print(json.dumps(figures, indent=2))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def read(path: Path, folder: Path) -> dataset.Dataset:
    """Read the comments, or make some where there are none."""
    if not path.exists():
        path = folder / "sample.csv"
        sample.write_csv(path, 4000)
    return dataset.read(path)


def fitted(data: dataset.Dataset, recipe: str) -> train.Trained:
    """Fit a recipe without the cross-validation that only its figures need."""
    model = recipes.build(recipe).fit(data.texts, data.labels)
    scores = np.full((len(data), 1), 0.5)
    return train.Trained(
        model, (train.attribute(data.names[0], np.array(data.labels, float), scores[:, 0]),), scores
    )


def compiled(made: Artifact) -> Compiled:
    form = made.compiled()
    assert form is not None
    return form


def speed(made: Artifact, texts: list[str]) -> dict[str, float]:
    """CPU µs a text: the pipeline, the scorer on unseen texts, and once its memo knows them.

    All three take each batch in turn, in several rounds; the least time of each batch counts.
    """
    plain = made.pipeline()
    form = compiled(made)
    pipeline.removed_probability(plain, texts[:BATCH])  # loads spaCy
    parts = list(batches(texts))
    best = {name: [math.inf] * len(parts) for name in ("unseen", "warm", "pipeline")}
    difference = 0.0
    for _ in range(ROUNDS):
        # A fresh memo each round: the artifact's chunks are known, this half's are not.
        backend = CompiledBackend(form)
        backend.score(["(Compile) the regular expressions, e.g. these."])
        for at, batch in enumerate(parts):
            for name in ("unseen", "warm"):
                started = time.process_time()
                scores = backend.score(batch)
                best[name][at] = min(best[name][at], time.process_time() - started)
            started = time.process_time()
            expected = pipeline.removed_probability(plain, batch)
            best["pipeline"][at] = min(best["pipeline"][at], time.process_time() - started)
            difference = max(difference, float(np.abs(scores - expected).max()))
    micros = {name: sum(times) / len(texts) * 1e6 for name, times in best.items()}
    return {
        **{f"{name}_us": round(value, 1) for name, value in micros.items()},
        "unseen_per_second": round(1e6 / micros["unseen"]),
        "warm_per_second": round(1e6 / micros["warm"]),
        "unseen_ratio": round(micros["pipeline"] / micros["unseen"], 1),
        "warm_ratio": round(micros["pipeline"] / micros["warm"], 1),
        "chunks_per_text": round(sum(len(text.split()) for text in texts) / len(texts), 1),
        "misses_per_text": round(backend.new_chunks / len(texts), 2),
        "max_score_difference": difference,
    }


def labels(made: Artifact, texts: list[str]) -> dict[str, object]:
    """CPU µs a text with its verdict written, and times of one label's, for 1, 2 and 4 labels.

    The models differ in nothing but how often they have the one label; each batch goes through all
    in turn, in several rounds; the least time of each batch counts.
    """
    forms = {count: of_labels(compiled(made), count) for count in LABELS}
    parts = list(batches(texts))
    best = {
        (name, count): [math.inf] * len(parts) for name in ("unseen", "warm") for count in forms
    }
    for turn in range(ROUNDS):
        backends = {count: CompiledBackend(form) for count, form in forms.items()}
        writers = {count: verdict_writer(count) for count in forms}
        for backend in backends.values():
            backend.score(["(Compile) the regular expressions, e.g. these."])
        for at, batch in enumerate(parts):
            decoded = [Decoded((text,)) for text in batch]
            for count in LABELS if (at + turn) % 2 else LABELS[::-1]:
                for name in ("unseen", "warm"):
                    started = time.process_time()
                    rows = backends[count].score(batch).tolist()
                    for place, one in enumerate(decoded):
                        writers[count](one, rows[place : place + 1], "topic/0/1")
                    took = time.process_time() - started
                    best[name, count][at] = min(best[name, count][at], took)
    micros = {key: sum(times) / len(texts) * 1e6 for key, times in best.items()}
    return {
        name: {
            str(count): {
                "us": round(micros[name, count], 1),
                "times_one": round(micros[name, count] / micros[name, 1], 3),
            }
            for count in forms
        }
        for name in ("unseen", "warm")
    }


def of_labels(form: Compiled, count: int) -> Compiled:
    """Return a model that has the one label of `form` so often."""
    if count == 1:
        return form
    own = ("intercept", "weights", "gram_weights", "straight", "bend", "quadratic")
    weights = np.column_stack([form.memory.weights] * count)
    return replace(
        form,
        memory=replace(form.memory, weights=weights),
        **{name: np.stack([np.asarray(getattr(form, name))] * count) for name in own},
    )


def verdict_writer(count: int) -> Encoder:
    names = tuple(f"label-{number}" for number in range(count)) if count > 1 else ()
    return verdict.encoder(Writing(Verdicts(("kept", "removed"), 0.5, "bench:0", names)))


def start(made: Artifact, texts: list[str]) -> dict[str, float]:  # noqa: ARG001  # one signature
    """Seconds from process start to the first verdict, files in the page cache; peak memory."""
    seconds = []
    peak = 0
    for _ in range(ROUNDS):
        started = time.perf_counter()
        output = run(START_PROGRAM, made)
        seconds.append(time.perf_counter() - started)
        peak = int(output[0])
    return {"seconds": round(min(seconds), 3), "peak_mib": round(peak / 1024, 1)}


def memory(made: Artifact, texts: list[str]) -> dict[str, float]:  # noqa: ARG001
    """Peak memory in MiB: at rest, after a million ever new chunks, after 1 MiB of short ones."""
    rest, new, short = (int(line) / 1024 for line in run(MEMORY_PROGRAM, made, "50"))
    return {"rest_mib": round(rest, 1), "new_chunks_mib": round(new, 1), "mib": round(short, 1)}


def growth(made: Artifact, texts: list[str]) -> dict[str, dict[str, float]]:  # noqa: ARG001
    """Nanoseconds a character at 1 KiB … 1 MiB, for cleaning and scoring, of awkward texts."""
    form = compiled(made)
    result: dict[str, dict[str, float]] = {}
    for name, text in awkward():
        for size in (2**10, 2**15, 2**20):
            part = text[:size]
            result.setdefault(name, {})[f"clean {size >> 10} KiB"] = per_character(clean, part)
            backend = CompiledBackend(form)
            result[name][f"score {size >> 10} KiB"] = per_character(
                lambda text, score=backend.score: score([text]), part
            )
    return result


def awkward() -> Iterator[tuple[str, str]]:
    """Yield texts of 1 MiB that expressions and tokenizers are slow with."""
    draw = random.Random(7)  # noqa: S311  # a repeatable measurement

    def repeat(piece: str) -> str:
        return (piece * (MEBIBYTE // len(piece) + 1))[:MEBIBYTE]

    def mix(alphabet: str) -> str:
        return "".join(draw.choices(alphabet, k=MEBIBYTE))

    yield "one letter", repeat("a")
    yield "one bracket", repeat("(")
    yield "brackets and marks", mix("()[]{}\"'.,;:!?")
    yield "entities", repeat("&amp;amp;lt;")
    yield "entity without end", "&#" + repeat("1")
    yield "links", repeat("[a](b")
    yield "escapes", repeat("<U+")
    yield "dots", mix("a.")
    yield "at signs", mix("a:@./")
    yield "emoji", mix("😀👍🏽")
    yield "surrogates", repeat("\ud800")
    yield "CJK", mix("科学是研究自然")
    yield "letters set apart", repeat("s t u p i d  ")
    yield "signs for letters", mix("il1!|$a ")
    yield "short new words", " ".join(f"{draw.getrandbits(20):x}" for _ in range(200_000))
    yield "words with marks", " ".join(f"({draw.getrandbits(20):x}):" for _ in range(130_000))


def per_character(call: Callable[[str], object], text: str) -> float:
    started = time.process_time()
    call(text)
    return round((time.process_time() - started) / len(text) * 1e9, 1)


def profile(made: Artifact, texts: list[str]) -> dict[str, str]:
    """Print where the time on unseen texts goes."""
    backend = CompiledBackend(compiled(made))
    profiler = cProfile.Profile()
    profiler.enable()
    for batch in batches(texts):
        backend.score(batch)
    profiler.disable()
    pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(25)
    return {"written": "to standard error"}


def batches(texts: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(texts), BATCH):
        yield texts[at : at + BATCH]


def run(program: str, made: Artifact, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", PEAK_PROGRAM + program, str(made.path), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


MEASUREMENTS: dict[str, Callable[[Artifact, list[str]], object]] = {
    "speed": speed,
    "labels": labels,
    "start": start,
    "memory": memory,
    "growth": growth,
    "profile": profile,
}

if __name__ == "__main__":
    sys.exit(main())
