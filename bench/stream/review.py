"""The cost of review in the stream: the worker with and without it, side by side on one broker.

    python bench/stream/review.py [--data FILE.csv] [--rounds 8] [--models DIR] [--recipe default]

Both have a policy that sends the highest-scored 5 % of the texts to review; one of them has a
review topic too, and a random sample of 0.5 %. CPU seconds are the worker's, from the first message
to the last verdict. A ratio is the median of the rounds', in each of which both are run, one after
the other. `stream_cost_ratio` is of texts that the worker has not seen, with flat verdicts,
explained where they ask for review; `stream_cost_ratio_warm` of texts that it knows;
`stream_cost_ratio_seldon` of Seldon's format: its verdicts have no explanations, so that review
alone pays for them. Merges them into bench/results/console.json.
"""

import argparse
import sys
import tempfile
import uuid
from pathlib import Path

import flagging
import numpy as np
from confluent_kafka.admin import AdminClient, NewTopic
from run import (
    COMPILES,
    DATA,
    PARTITIONS,
    RESULTS,
    WARM_PASSES,
    Lane,
    Texts,
    measure,
    prepare,
    running,
    wait_until_idle,
    warm_up,
    worker_environment,
)

from textmod_dev.figures import merge_figures
from textmod_dev.kafka_broker import KafkaBroker

SAMPLE = 0.005
FORMATS = {"Verdict": b'"score"', "Seldon": b'"names"'}
"""Bytes that every verdict contains, by format."""
COMMAND = ["textmod_model", "serve"]


def cost(
    bootstrap: str, model: Path, texts: Texts, policies: Path, *, output: str, review: bool
) -> tuple[float, float]:
    """Return CPU seconds per 1,000 messages: unseen texts, and the same again."""
    path = Lane(bootstrap)
    environment = worker_environment(path, model) | {
        "TEXTMOD_POLICIES_FILE": str(policies),
        "TEXTMOD_MESSAGE_OUTPUT_FORMAT": output,
    }
    if review:
        topic = f"review-{uuid.uuid4().hex[:8]}"
        admin = AdminClient({"bootstrap.servers": bootstrap})
        [made] = admin.create_topics([NewTopic(topic, PARTITIONS, 1)]).values()
        made.result(30)
        environment |= {
            "TEXTMOD_REVIEW_TOPIC": topic,
            "TEXTMOD_REVIEW_SAMPLE": str(SAMPLE),
            "TEXTMOD_REVIEW_SALT": "bench/review",
        }
    with running([sys.executable, "-m", *COMMAND], **environment) as process:
        warm_up(path, [*texts.seen[:100], *COMPILES])
        wait_until_idle(process)
        holds = FORMATS[output]
        [cold] = measure(path, [process], texts.unseen, holds=holds)
        [warm] = measure(path, [process], texts.unseen * WARM_PASSES, holds=holds)
    path.close()
    return cold, warm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--models", type=Path, help="keep the trained models here, or take them")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--recipe", default="default")
    args = parser.parse_args()
    costs: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        KafkaBroker(Path(folder) / "kafka") as broker,
    ):
        model, texts = prepare(args.data, args.models or Path(folder), args.recipe)
        policies = Path(folder) / "policies.json"
        at_least = flagging.threshold(model, texts.unseen)
        flagging.write(policies, "Review", at_least, explained=True)
        for turn in range(args.rounds):
            for output in FORMATS:
                for review in (False, True) if turn % 2 else (True, False):
                    found = cost(
                        broker.bootstrap_servers,
                        model,
                        texts,
                        policies,
                        output=output,
                        review=review,
                    )
                    print(
                        f"{output:8} review={review!s:5} {found[0]:.5f} {found[1]:.5f}", flush=True
                    )
                    costs.setdefault((output, review), []).append(found)
    ratios = {
        output: np.median(np.divide(costs[output, True], costs[output, False]), axis=0).tolist()
        for output in FORMATS
    }
    figures = {
        "stream_cost_ratio": round(ratios["Verdict"][0], 4),
        "stream_cost_ratio_warm": round(ratios["Verdict"][1], 4),
        "stream_cost_ratio_seldon": round(ratios["Seldon"][0], 4),
    }
    merge_figures(RESULTS.parent / "console.json", figures)


if __name__ == "__main__":
    main()
