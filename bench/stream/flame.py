"""Where the worker's time goes, as a flame graph and as shares.

    python bench/stream/flame.py --py-spy PATH [--recipe seed] [--models DIR]

A backlog of comments, sent twice so that the memo knows them, and py-spy on the process while it
works through it: Python's frames and native ones, of threads that run. Being sampled costs the
process time, so the shares count here and the seconds are `run.py`'s. Writes
bench/results/stream-profile.svg and stream-profile.json.
"""

import argparse
import collections
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from run import DATA, RESULTS, Lane, prepare, running, warm_up, worker_environment

from textmod_dev.kafka_broker import KafkaBroker

BACKLOG = 60
"""Times that all comments are sent."""
SECONDS = 6
PER_SECOND = 200

# The deepest frame with one of these names decides.
PARTS = {
    "CompiledBackend._score": "scoring",
    "tidy": "scoring: text repaired",
    "Chunks.__init__": "scoring: text split into chunks",
    "Shortcut.find": "scoring: chunks looked up",
    "CompiledBackend._words": "scoring: words and n-grams summed",
    "CompiledBackend._correct": "scoring: chunks that depend on their neighbours",
    "Judge.judge": "judging: decoding, headers, encoding",
    "CompiledBackend.score": "scoring",
    "AtLeastOnce._write_waiting": "handing records to the producer",
    "AtLeastOnce.settle": "acknowledgements and offsets",
    "Observer.done": "metrics",
    "Source.fetch": "consuming",
    "CompiledBackend._letters": "scoring: letters summed",
    "CompiledBackend._curve": "scoring: word vectors and shape",
    "CompiledBackend._vectors": "scoring: word vectors and shape",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--models", type=Path, help="as run.py's")
    parser.add_argument("--recipe", default="seed")
    parser.add_argument("--py-spy", type=Path, required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder) / "kafka") as broker:
        model, texts = prepare(args.data, args.models or Path(folder), args.recipe)
        path = Lane(broker.bootstrap_servers)
        command = [sys.executable, "-m", "textmod_model", "serve"]
        with running(command, **worker_environment(path, model)) as process:
            warm_up(path, texts.unseen)
            for _ in range(BACKLOG):
                path.send(texts.unseen)
            stacks = Path(folder) / "stacks"
            for form, file in (
                ("flamegraph", RESULTS.parent / "stream-profile.svg"),
                ("raw", stacks),
            ):
                record = [args.py_spy, "record", "--native", "--pid", str(process.pid)]
                options = ["--rate", str(PER_SECOND), "--duration", str(SECONDS)]
                subprocess.run([*record, *options, "--format", form, "--output", file], check=True)
            assert path.read(1), "the worker has stopped"
            graph = RESULTS.parent / "stream-profile.svg"
            command_line = {str(args.py_spy): "py-spy", str(graph): graph.name}
            for path_here, name in command_line.items():  # the graph's title is its command
                graph.write_text(graph.read_text().replace(path_here, name))
        path.close()
        found = shares(stacks.read_text())
    (RESULTS.parent / "stream-profile.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


def shares(folded: str) -> dict[str, float]:
    """Return the share of the loop's samples of each part, in percent, the greatest first.

    The loop alone: of librdkafka's threads, py-spy takes many for running that wait.
    """
    counts: collections.Counter[str] = collections.Counter()
    for line in folded.splitlines():
        stack, count = line.rsplit(" ", 1)
        frames = [frame.split(" (")[0] for frame in stack.split(";")]
        if "Worker.turn" in frames:
            counts[part(frames)] += int(count)
    total = counts.total()
    return {name: round(100 * count / total, 1) for name, count in counts.most_common()}


def part(frames: list[str]) -> str:
    for frame in reversed(frames):
        if frame in PARTS:
            return PARTS[frame]
    return "all else"


if __name__ == "__main__":
    main()
