"""How fast dead letters are sent again.

    python bench/limits/redrive.py [--letters 50000]

`redrive_messages_per_second`: letters back to the input in one run of the command, its start (about
a second) included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lane import BROKER, Lane, merge

from textmod_dev.kafka_broker import KafkaBroker
from textmod_model.formats.dead_letter import dead_letter_headers
from textmod_model.formats.message import Refused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--letters", type=int, default=50_000)
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        KafkaBroker(Path(name) / "kafka", properties=BROKER) as broker,
    ):
        lane = Lane(broker.bootstrap_servers, Path(name))
        for number in range(args.letters):
            headers = dead_letter_headers(
                [],
                Refused("NotUtf8", "it is wrong."),
                topic=lane.input,
                partition=0,
                offset=number,
                milliseconds=None,
                model="m:1",
            )
            lane.producer.produce(lane.dead, b"x" * 200, headers=headers)
            lane.producer.poll(0)
        lane.producer.flush(60)
        began = time.monotonic()
        out = subprocess.run(
            [sys.executable, "-m", "textmod_model", "redrive"],
            env=lane.environment,
            check=True,
            capture_output=True,
        ).stdout
        took = time.monotonic() - began
        assert json.loads(out)["redriven"] == args.letters
        lane.consumer.close()
    merge({"redrive_messages_per_second": round(args.letters / took)})


if __name__ == "__main__":
    main()
