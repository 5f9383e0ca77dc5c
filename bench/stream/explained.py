"""The cost of policies and explanations in the whole worker, on a real broker.

    python bench/stream/explained.py [--data FILE.csv] [--rounds 12] [--models DIR]

Half of the comments train a model of each recipe; the other half, which neither training nor the
memo has seen, is streamed through three workers that take turns: one without policies, one whose
policy removes the highest 5 % of the scores, and one that explains these too. Each is a process of
its own in every round, and all its CPU time counts, librdkafka's threads included; see `measure`.
The layout of a process's memory alone makes a difference of one or two per cent, so one round is
not enough; the least of all rounds counts. Writes bench/results/policies.json:

- `stream_cost_ratio_5_percent`: with policies and explanations over policies alone, on texts not
  met before; of both recipes the larger one;
- `stream`: by recipe, for texts not met before and for texts that the memo knows (`warm`), the CPU
  seconds per 1,000 texts of all three, and explained over policies alone (`ratio`) and over no
  policies (`ratio_without_policies`).
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

import flagging
import numpy as np
from run import (
    COMPILES,
    DATA,
    HERE,
    Lane,
    Texts,
    measure,
    prepare,
    running,
    wait_until_idle,
    warm_up,
    worker_environment,
)

from textmod_dev.figures import figures_dir, merge_figures
from textmod_dev.kafka_broker import KafkaBroker

RESULTS = figures_dir(HERE.parent / "results") / "policies.json"
WORKERS = ("none", "policies", "explained")
PASSES = {"unseen": 1, "warm": 4}


def policies(model: Path, texts: Texts, folder: Path) -> dict[str, Path]:
    """Write two policies that flag the highest scores; one has them explained."""
    at_least = flagging.threshold(model, texts.unseen)
    files = {name: folder / f"{model.name}-{name}.json" for name in ("policies", "explained")}
    for name, file in files.items():
        flagging.write(file, "Remove", at_least, explained=name == "explained")
    return files


def cost(bootstrap: str, model: Path, texts: Texts, file: Path | None) -> dict[str, float]:
    """CPU seconds per 1,000 texts of one worker: texts not met before, and the same once more."""
    lane = Lane(bootstrap)
    environment = {
        **worker_environment(lane, model),
        "TEXTMOD_MESSAGE_OUTPUT_FORMAT": "Verdict",
        **({} if file is None else {"TEXTMOD_POLICIES_FILE": str(file)}),
    }
    holds = b'"score"' if file is None else b'"policyVersion"'
    with running([sys.executable, "-m", "textmod_model", "serve"], **environment) as process:
        warm_up(lane, [*texts.seen[:256], *COMPILES])  # some of them are explained
        wait_until_idle(process)
        found = {
            name: measure(lane, [process], texts.unseen * passes, holds=holds)[0]
            for name, passes in PASSES.items()
        }
    lane.close()
    return found


def rounds(
    bootstrap: str, model: Path, texts: Texts, files: dict[str, Path], count: int
) -> dict[str, object]:
    """The least cost of each worker over all rounds, and their ratios."""
    least = {(worker, name): np.inf for worker in WORKERS for name in PASSES}
    for turn in range(count):
        at = turn % len(WORKERS)
        for worker in (*WORKERS[at:], *WORKERS[:at]):
            for name, value in cost(bootstrap, model, texts, files.get(worker)).items():
                least[worker, name] = min(least[worker, name], value)
                print(f"{model.name} {worker:10} {name:8} {value:8.4f}", flush=True)
    return {
        name: {
            **{
                f"{worker}_cpu_s_per_1000": float(f"{least[worker, name]:.4g}")
                for worker in WORKERS
            },
            "ratio": round(least["explained", name] / least["policies", name], 4),
            "ratio_without_policies": round(least["explained", name] / least["none", name], 4),
        }
        for name in PASSES
    }


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything started is ended
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--models", type=Path, help="keep the trained models here, or take them")
    parser.add_argument("--rounds", type=int, default=12)
    args = parser.parse_args()
    by_recipe: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder) / "kafka") as broker:
        for recipe in ("seed", "default"):
            model, texts = prepare(args.data, args.models or Path(folder), recipe)
            files = policies(model, texts, Path(folder))
            found = rounds(broker.bootstrap_servers, model, texts, files, args.rounds)
            by_recipe[recipe] = found  # type: ignore[assignment]
    worst = max(found["unseen"]["ratio"] for found in by_recipe.values())
    merge_figures(RESULTS, {"stream": by_recipe, "stream_cost_ratio_5_percent": worst})


if __name__ == "__main__":
    main()
