"""Kill console, database and brokers while reviewers decide: is a decision lost or repeated?

    python -m bench.console.kills [--decisions 100000] [--reviewers 50] [--kills 50]

Three brokers, Postgres, one console. At moments spread over the run one of them is killed by
SIGKILL and started again. At the end the feedback topic must hold every accepted decision once, and
a rebuild from the topics must give the same state.
"""

import argparse
import json
import random
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.console.crowd import Crowd
from bench.console.parts import of_kills
from bench.console.stage import Console, judge, make_topics, produce, read_feedback, requests
from textmod_dev.figures import figures_dir, merge_figures
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.postgres import Postgres
from textmod_dev.processes import wait_until

RESULTS = figures_dir(Path(__file__).resolve().parents[1] / "results")
SETTLED_SECONDS = 180.0


def run(decisions: int, reviewers: int, kills: int, seed: int, pace: float) -> dict[str, object]:
    """Run it; returns the figures."""
    luck = random.Random(seed)  # noqa: S311 - repeatable, not secret
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kafka = stack.enter_context(KafkaBroker(folder / "kafka", brokers=3))
        make_topics(kafka.bootstrap_servers, replicas=3)
        produce(kafka.bootstrap_servers, requests(int(decisions * 1.2) + 50))
        database = stack.enter_context(Postgres())
        console = Console(kafka.bootstrap_servers, folder, database.new_database())
        console.start()
        stack.callback(console.stop)
        console.wait(120)
        crowd = Crowd(
            console.port, size=reviewers, wanted=decisions, seed=seed, undo_share=0.02, pace=pace
        )
        crowd.start()
        stack.callback(crowd.stop)
        done = {"console": 0, "database": 0, "broker": 0}
        for number in range(kills):
            goal = (number + 1) * decisions // (kills + 2)
            wait_until(
                lambda goal=goal: len(crowd.seen.accepted) >= goal, "decisions came", timeout=600
            )
            victim = luck.choice(list(done))
            _kill(victim, console, database, kafka, luck)
            done[victim] += 1
        wait_until(crowd.done, "all decisions came", timeout=3600)
        crowd.stop()
        found = _figures(crowd, console, kafka.bootstrap_servers)
        return found | {"kills": kills, "kills_of": done}


def _kill(
    victim: str, console: Console, database: Postgres, kafka: KafkaBroker, luck: random.Random
) -> None:
    if victim == "console":
        console.kill()
        console.start()
    elif victim == "database":
        database.kill()
        time.sleep(0.5)  # its children end, and free the shared memory
        database.start()
    else:
        number = luck.randrange(3)
        kafka.stop_broker(number, kill=True)
        kafka.start_broker(number)


def _figures(crowd: Crowd, console: Console, servers: str) -> dict[str, object]:
    end = time.monotonic() + SETTLED_SECONDS
    found = judge(crowd.seen.accepted, read_feedback(servers))
    while found.decisions_lost and time.monotonic() < end:
        time.sleep(2)
        found = judge(crowd.seen.accepted, read_feedback(servers))
    console.stop()
    before = console.run("digest")
    return {
        "decisions": found.decisions,
        "decisions_lost": found.decisions_lost,
        "published_twice": found.published_twice,
        "decided_twice": found.decided_twice,
        "rebuild_same": console.run("rebuild") == before,
        "audit": console.run("verify"),
        "refused_requests": crowd.seen.errors,
    }


def main() -> None:
    """Run it, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=100_000)
    parser.add_argument("--reviewers", type=int, default=50)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pace", type=float, default=0.05, help="seconds between decisions of one")
    given = parser.parse_args()
    found = run(given.decisions, given.reviewers, given.kills, given.seed, given.pace)
    print(json.dumps(found))
    merge_figures(RESULTS / "console.json", of_kills([found]))


if __name__ == "__main__":
    main()
