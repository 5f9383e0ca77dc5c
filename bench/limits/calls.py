"""What synchronous calls cost the stream: p99 of the stream alone, and beside ten clients.

    python bench/limits/calls.py [--seconds 20]

50 messages/s go through the stream, first alone, then while ten clients send the worst bodies that
a call may have, one after the other: long texts, many texts, and texts that are refused.
`stream_p99_ratio_under_calls` is the second p99 divided by the first; `calls_process_own_mib` is
the private (unshared) memory of the process that scores for calls at the end of the run.
"""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from lane import BROKER, MIB, Lane, in_thread, merge, own_mib, train

from textmod_dev.kafka_broker import KafkaBroker

RATE = 50
CLIENTS = 10
BODIES = [
    json.dumps({"strData": "'" * 16_000}),
    json.dumps({"strData": '["' * 8_000}),
    json.dumps({"data": {"ndarray": ["you are a wonderful idiot, it's n't so "] * 9_000}}),
    json.dumps({"strData": "'" * MIB}),
]


def latencies(lane: Lane, seconds: float) -> list[float]:
    """Milliseconds from a send to its verdict."""
    sent: dict[int, float] = {}
    took: list[float] = []
    count = int(RATE * seconds)

    def read() -> None:
        while len(took) < count:
            message = lane.consumer.poll(30)
            assert message is not None, f"{len(took)} of {count} verdicts"
            took.append(1000 * (time.monotonic() - sent[int(message.key() or b"0")]))

    reader = in_thread(read)
    began = time.monotonic()
    for tick in range(count):
        time.sleep(max(0.0, began + tick / RATE - time.monotonic()))
        sent[tick] = time.monotonic()
        lane.producer.produce(lane.input, f"you are number {tick}", str(tick))
        lane.producer.poll(0)
    reader.join(60)
    assert len(took) == count
    return took


def client(port: int, number: int, stop: threading.Event, answers: dict[int, int]) -> None:
    """Send bodies until `stop`; count the answers by code."""
    while not stop.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            body = BODIES[number % len(BODIES)]
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            answers[answer.status] = answers.get(answer.status, 0) + 1
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
        number += 1


def clients(port: int) -> None:
    """Run all clients until standard input is closed; print what they were answered."""
    stop, answers = threading.Event(), dict[int, int]()
    threads = [in_thread(client, port, number, stop, answers) for number in range(CLIENTS)]
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join(60)
    print(json.dumps({str(code): count for code, count in sorted(answers.items())}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--model", type=Path, help="a packaged model; trained if left out")
    parser.add_argument("--clients-of", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.clients_of:
        clients(args.clients_of)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = args.model or train(folder)
        with KafkaBroker(folder / "kafka", properties=BROKER) as broker:
            lane = Lane(broker.bootstrap_servers, model)
            with lane.worker() as worker:
                lane.send(b"a first one")
                lane.read()
                time.sleep(2)
                quiet = float(np.percentile(latencies(lane, args.seconds), 99))
                command = [sys.executable, __file__, "--clients-of", str(lane.http)]
                with subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
                ) as calling:
                    time.sleep(2)
                    beside = float(np.percentile(latencies(lane, args.seconds), 99))
                    answers, _ = calling.communicate()
                    own = own_mib(worker.pid)
            lane.consumer.close()
    merge(
        {
            "stream_p99_ms_quiet": round(quiet, 2),
            "stream_p99_ms_under_calls": round(beside, 2),
            "stream_p99_ratio_under_calls": round(beside / quiet, 2),
            "calls_process_own_mib": round(own, 1),
            "calls_answered": json.loads(answers),
        }
    )


if __name__ == "__main__":
    main()
