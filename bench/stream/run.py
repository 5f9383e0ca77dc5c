"""Side by side, in one run, on one broker: our worker, the classic path, a plain micro-batch loop.

    python bench/stream/run.py [--data FILE.csv] [--rounds 8] [--models DIR]

Half of the comments train the model; the other half, which neither training nor the memo has seen,
are streamed. CPU seconds are those of all threads of all processes of a path but the broker's, from
the first held-out message to the last verdict, without the start. Rounds are interleaved and the
least of each is kept: other work on the machine only ever adds. Writes bench/results/stream.json.
"""

import argparse
import contextlib
import csv
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson
import psutil
from calls import grpc_call, latencies, rest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from textmod_dev.figures import figures_dir
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.processes import free_port
from textmod_dev.schema_registry import SchemaRegistry
from textmod_model import artifact
from textmod_model.training import dataset

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = figures_dir(HERE.parent / "results") / "stream.json"
DATA = ROOT.parent / "shared" / "data" / "reddit_science_comments.csv"
AVRO = json.dumps(
    {
        "type": "record",
        "name": "Comment",
        "fields": [{"name": "id", "type": "int"}, {"name": "body", "type": "string"}],
    }
)
PARTITIONS = 4
WARM_PASSES = 4  # what a long stream is like; one pass is a twentieth of a CPU second
CLASSIC_MESSAGES = 600
CALLS = 1_000
IDLE_SECONDS, IDLE_CPU_SHARE = 0.2, 0.02
COMPILES = ["(Some) 1a-b2 x1.y2/z3 of these, e.g. http://a.b/c."]
"""Has the tokenizer compile its expressions, which is part of a start."""
PUMP_CAP = 0.8
"""CPU s per 1,000 of the real Go executor; a Python pump may count for no more than that."""


class Texts(NamedTuple):
    """Comments that trained the model, and comments that nothing has seen."""

    seen: list[str]
    unseen: list[str]


class Lane:
    """Topics, and what is sent and read on them."""

    def __init__(self, bootstrap: str) -> None:
        name = uuid.uuid4().hex[:8]
        self.bootstrap, self.group = bootstrap, f"bench-{name}"
        self.input, self.output, self.dead = f"in-{name}", f"out-{name}", f"dead-{name}"
        admin = AdminClient({"bootstrap.servers": bootstrap})
        topics = [NewTopic(topic, PARTITIONS, 1) for topic in (self.input, self.output, self.dead)]
        for future in admin.create_topics(topics).values():
            future.result(30)
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"reader-{name}",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 5,
            }
        )
        self._consumer.assign([TopicPartition(self.output, n, 0) for n in range(PARTITIONS)])
        self.encode: Callable[[dict[str, object]], bytes] = _json

    def send(self, texts: list[str]) -> None:
        for number, text in enumerate(texts):
            value = self.encode({"id": number, "body": text})
            self._producer.produce(self.input, value, f"k{number}")
        self._producer.flush(30)

    def read(self, count: int, seconds: float = 180) -> list[bytes]:
        values: list[bytes] = []
        deadline = time.monotonic() + seconds
        while len(values) < count:
            assert time.monotonic() < deadline, f"{len(values)} of {count} verdicts"
            values += [m.value() for m in self._consumer.consume(1000, 0.02) if not m.error()]
        return values

    def produce(self, topic: str, value: bytes, key: bytes) -> None:
        self._producer.produce(topic, value, key)
        self._producer.poll(0)

    def poll(self, wait: float) -> Message | None:
        return self._consumer.poll(wait)

    def scores(self) -> list[tuple[int, float]]:
        """(number of the text, P(removed)) of every verdict on the output, from its start."""
        inputs = self._all(self.input)
        numbers = {(m.partition(), m.offset()): orjson.loads(m.value())["id"] for m in inputs}
        found = []
        for message in self._all(self.output):
            _, partition, offset = dict(message.headers())["ce_id"].decode().split("/")
            number = numbers[int(partition), int(offset)]
            found.append((number, orjson.loads(message.value())["data"]["ndarray"][0][1]))
        return found

    def _all(self, topic: str) -> list[Message]:
        starts = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
        self._consumer.assign(starts)
        left = sum(self._consumer.get_watermark_offsets(one)[1] for one in starts)
        messages: list[Message] = []
        while len(messages) < left:
            messages += self._consumer.consume(1000, 0.1)
        return messages

    def close(self) -> None:
        self._consumer.close()


def _json(document: dict[str, object]) -> bytes:
    return json.dumps(document).encode()


def avro_encoder(registry: str, topic: str) -> Callable[[dict[str, object]], bytes]:
    """Return what frames a document for a schema registry, which has its schema then."""
    client = SchemaRegistryClient({"url": registry})
    serializer = AvroSerializer(client, AVRO)
    context = SerializationContext(topic, MessageField.VALUE)
    return lambda document: serializer(document, context)


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """CPU time of processes and their children, ended threads included, to the nanosecond."""
    family = [one for process in processes for one in (process, *process.children(recursive=True))]
    return sum(time.clock_gettime(_cpu_clock(one.pid)) for one in family)


def _cpu_clock(pid: int) -> int:
    """Return the clock that counts a process's CPU time (Linux, clock_getcpuclockid)."""
    return ~pid << 3 | 2


@contextlib.contextmanager
def running(command: list[str | Path], **environment: str) -> Iterator[subprocess.Popen]:
    """A process, ended on leaving; what it logged is shown if the block fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **environment}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
        try:
            yield process
        except BaseException:
            log.seek(0)
            print(process.poll(), log.read()[-4000:].decode(errors="replace"), file=sys.stderr)
            raise
        finally:
            _end(process)


def _end(process: subprocess.Popen) -> None:
    family = [process]
    with contextlib.suppress(psutil.NoSuchProcess):  # it has ended
        family += psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    for one in family:  # gunicorn's workers outlive their parent
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


def ports() -> dict[str, str]:
    return {
        f"PREDICTIVE_UNIT_{name}_SERVICE_PORT": str(free_port())
        for name in ("HTTP", "GRPC", "METRICS")
    }


def worker_environment(path: Lane, model: Path, delivery: str = "AtLeastOnce") -> dict[str, str]:
    return {
        "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": path.bootstrap,
        "TEXTMOD_INPUT_TOPIC": path.input,
        "TEXTMOD_OUTPUT_TOPIC": path.output,
        "TEXTMOD_DEAD_LETTER_TOPIC": path.dead,
        "TEXTMOD_CONSUMER_GROUP": path.group,
        "TEXTMOD_STREAMING": "Native",
        "TEXTMOD_DELIVERY": delivery,
        "TEXTMOD_ARTIFACT": str(model),
        "TEXTMOD_BIND_ADDRESS": "127.0.0.1",
        **ports(),
    }


def loop_environment(path: Lane, model: Path) -> dict[str, str]:
    return {
        "BOOTSTRAP": path.bootstrap,
        "INPUT": path.input,
        "OUTPUT": path.output,
        "GROUP": path.group,
        "TEXTMOD_ARTIFACT": str(model),
    }


@contextlib.contextmanager
def suspended(processes: list[psutil.Process]) -> Iterator[None]:
    """Processes and their children stand still meanwhile."""
    family = [one for process in processes for one in (process, *process.children(recursive=True))]
    for one in family:
        one.suspend()
    try:
        yield
    finally:
        for one in family:
            one.resume()


def measure(
    path: Lane,
    processes: list[subprocess.Popen],
    texts: list[str],
    *,
    live: bool = False,
    holds: bytes = b'"names"',
) -> list[float]:
    """CPU seconds per 1,000 messages of each process; every verdict that is JSON `holds` something.

    All messages are on the topic before the first is read: a sender beside takes of the caches and
    of what the two cores share, and with some hundredths of a second to measure, how much depends
    on when each message comes. `live`: they are sent while they are read.
    """
    watched = [psutil.Process(process.pid) for process in processes]
    before = [cpu_seconds([one]) for one in watched]
    with suspended([] if live else watched):
        path.send(texts)
    assert all(holds in one or one[:1] == b"\0" for one in path.read(len(texts)))
    return [
        1000 * (cpu_seconds([one]) - start) / len(texts)
        for one, start in zip(watched, before, strict=True)
    ]


def warm_up(path: Lane, seen: list[str]) -> None:
    path.send(seen)
    path.read(len(seen))


def bench_ours(
    bootstrap: str, model: Path, texts: Texts, delivery: str, registry: str = ""
) -> dict[str, float]:
    """Unseen texts, then the same again with the memo warm; memory after both.

    With the URL of a schema registry texts come and verdicts go as Avro.
    """
    path = Lane(bootstrap)
    command = [sys.executable, "-m", "textmod_model", "serve"]
    environment = worker_environment(path, model, delivery)
    if registry:
        path.encode = avro_encoder(registry, path.input)
        environment |= {
            "TEXTMOD_SCHEMA_REGISTRY_URL": registry,
            "TEXTMOD_MESSAGE_FORMAT": "SchemaRegistry",
            "TEXTMOD_MESSAGE_OUTPUT_FORMAT": "Avro",
        }
    with running(command, **environment) as process:
        warm_up(path, [*texts.seen[:100], *COMPILES])
        wait_until_idle(process)
        [cold] = measure(path, [process], texts.unseen)
        [warm] = measure(path, [process], texts.unseen * WARM_PASSES)
        status = Path(f"/proc/{process.pid}/status").read_text()
    path.close()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return {"cold": cold, "warm": warm, "resident": int(peak.split()[1]) / 1024}


def bench_live(bootstrap: str, model: Path, texts: Texts) -> float:
    """Unseen texts, sent while they are read."""
    path = Lane(bootstrap)
    command = [sys.executable, "-m", "textmod_model", "serve"]
    environment = worker_environment(path, model)
    with running(command, **environment) as process:
        warm_up(path, [*texts.seen[:100], *COMPILES])
        wait_until_idle(process)
        [cost] = measure(path, [process], texts.unseen, live=True)
    path.close()
    return cost


def bench_loop(bootstrap: str, model: Path, texts: Texts, script: str, repeat: int = 1) -> float:
    path = Lane(bootstrap)
    with running([sys.executable, HERE / script], **loop_environment(path, model)) as process:
        warm_up(path, texts.seen[:100])
        [cost] = measure(path, [process], texts.unseen * repeat)
    path.close()
    return cost


def bench_classic(bootstrap: str, model: Path, texts: Texts, wrapper: Path) -> tuple[float, float]:
    """(pump, wrapper with model) CPU seconds per 1,000 messages."""
    path = Lane(bootstrap)
    free = ports()
    port = free["PREDICTIVE_UNIT_HTTP_SERVICE_PORT"]
    serve = [wrapper, "classic_model.ClassicModel", "--service-type", "MODEL"]
    pump = [sys.executable, HERE / "pump.py"]
    code = f"{ROOT / 'model-server'}{os.pathsep}{HERE}"
    environment = loop_environment(path, model) | free
    with running(serve, **environment, PYTHONPATH=code) as server:
        wait_for_port(int(port))
        with running(pump, **environment, PORT=port) as pumping:
            warm_up(path, texts.seen[:20])
            costs = measure(path, [pumping, server], texts.unseen[:CLASSIC_MESSAGES])
    path.close()
    return costs[0], costs[1]


def bench_calls(model: Path, texts: Texts, wrapper: Path) -> dict[str, float]:
    """Milliseconds of a synchronous call: ours by REST and gRPC, the wrapper's by REST."""
    ours, theirs = ports(), ports()
    serve = [sys.executable, "-m", "textmod_model", "serve"]
    classic = [wrapper, "classic_model.ClassicModel", "--service-type", "MODEL"]
    code = f"{ROOT / 'model-server'}{os.pathsep}{HERE}"
    settings = {"TEXTMOD_ARTIFACT": str(model), "TEXTMOD_BIND_ADDRESS": "127.0.0.1"}
    with (
        running(serve, **settings, **ours),
        running(classic, **settings, **theirs, PYTHONPATH=code),
    ):
        found = [ours, theirs]
        http, wrapped = (int(one["PREDICTIVE_UNIT_HTTP_SERVICE_PORT"]) for one in found)
        for port in (http, wrapped):
            wait_for_port(port)
        servers = {
            "rest": rest(http),
            "grpc": grpc_call(int(ours["PREDICTIVE_UNIT_GRPC_SERVICE_PORT"])),
            "wrapper": rest(wrapped),
        }
        return latencies(servers, texts.unseen[:CALLS])


def wait_until_idle(process: subprocess.Popen, seconds: float = 60) -> None:
    """Wait for the end of what a worker does behind its first verdicts: REST and gRPC come up."""
    watched = [psutil.Process(process.pid)]
    deadline, used = time.monotonic() + seconds, 0.0
    while (now := cpu_seconds(watched)) - used > IDLE_CPU_SHARE * IDLE_SECONDS:
        assert time.monotonic() < deadline, "the worker is never idle"
        used = now
        time.sleep(IDLE_SECONDS)


def wait_for_port(port: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, f"nothing answers on port {port}"
            time.sleep(0.1)
        else:
            return


def bench_latency(bootstrap: str, model: Path, texts: Texts) -> tuple[list[float], list[float]]:
    """Milliseconds from send to verdict at 50 messages/s, and through the broker alone.

    Every tick sends one message to the worker and one straight to a topic that is read back, so
    both see the same machine.
    """
    ours, echo = Lane(bootstrap), Lane(bootstrap)
    rate, seconds = 50, 20
    with running(
        [sys.executable, "-m", "textmod_model", "serve"], **worker_environment(ours, model)
    ):
        warm_up(ours, texts.seen[:100])
        times = {name: Stopwatch(lane) for name, lane in (("ours", ours), ("broker", echo))}
        began = time.monotonic()
        for tick in range(rate * seconds):
            time.sleep(max(0.0, began + tick / rate - time.monotonic()))
            times["ours"].send(ours.input, texts.unseen[tick % len(texts.unseen)])
            times["broker"].send(echo.output, "x")
        found = {name: stopwatch.finish() for name, stopwatch in times.items()}
    ours.close()
    echo.close()
    return found["ours"], found["broker"]


class Stopwatch:
    """Times messages from a send to their arrival on a lane's output, by their key."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._sent: dict[bytes, float] = {}
        self._took: list[float] = []
        self._stop = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def send(self, topic: str, text: str) -> None:
        key = uuid.uuid4().bytes
        self._sent[key] = time.monotonic()
        self._lane.produce(topic, orjson.dumps({"body": text}), key)

    def finish(self) -> list[float]:
        deadline = time.monotonic() + 30
        while len(self._took) < len(self._sent) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._stop.set()
        self._reader.join()
        assert len(self._took) == len(self._sent)
        return [1000 * took for took in self._took]

    def _read(self) -> None:
        while not self._stop.is_set():
            message = self._lane.poll(0.1)
            if message is not None and message.key() in self._sent:
                self._took.append(time.monotonic() - self._sent[message.key()])


def bench_start(bootstrap: str, model: Path, texts: Texts) -> float:
    """Seconds from the process's start to its first verdict, the message waiting already."""
    lane = Lane(bootstrap)
    lane.send(texts.unseen[:1])
    began = time.monotonic()
    with running(
        [sys.executable, "-m", "textmod_model", "serve"], **worker_environment(lane, model)
    ):
        lane.read(1)
        took = time.monotonic() - began
    lane.close()
    return took


def score_difference(bootstrap: str, model: Path, texts: Texts) -> float:
    """The largest difference of a verdict on the output topic to scikit-learn's own answer."""
    lane = Lane(bootstrap)
    with running(
        [sys.executable, "-m", "textmod_model", "serve"], **worker_environment(lane, model)
    ):
        lane.send(texts.unseen)
        lane.read(len(texts.unseen))
    expected = artifact.load(model).pipeline().predict_proba(texts.unseen)[:, 1]
    difference = max(abs(score - expected[number]) for number, score in lane.scores())
    lane.close()
    return float(difference)


def prepare(data: Path, folder: Path, recipe: str) -> tuple[Path, Texts]:
    """Train on a random half of the comments, if the folder has no such model yet."""
    comments = dataset.read(data)
    rows = list(zip(comments.texts, comments.labels, strict=True))
    random.Random(0).shuffle(rows)  # noqa: S311 - a split, not a secret
    rows = [(text, int(label)) for text, label in rows if text.strip()]
    half = len(rows) // 2
    train, model = folder / "train.csv", folder / recipe
    if not model.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with train.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *rows[:half]])
        command = [sys.executable, "-m", "textmod_model", "train", train, "--out", model]
        subprocess.run([*command, "--recipe", recipe], check=True, stderr=subprocess.DEVNULL)
    return model, Texts([text for text, _ in rows[:half]], [text for text, _ in rows[half:]])


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything started is ended
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--models", type=Path, help="keep the trained models here, or take them")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--wrapper", type=Path, help="seldon-core-microservice 1.17.1")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        KafkaBroker(Path(folder) / "kafka") as broker,
        SchemaRegistry(Path(folder) / "registry") as registry,
    ):
        models = args.models or Path(folder)
        default, _ = prepare(args.data, models, "default")
        model, texts = prepare(args.data, models, "seed")
        servers = broker.bootstrap_servers, registry.url
        results = run(*servers, model, default, texts=texts, args=args)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


def run(
    bootstrap: str,
    registry: str,
    model: Path,
    default: Path,
    *,
    texts: Texts,
    args: argparse.Namespace,
) -> dict[str, float]:
    rounds: dict[str, list[float]] = {}

    def keep(name: str, value: float) -> None:
        rounds.setdefault(name, []).append(value)
        print(f"{name:34} {value:10.4f}", flush=True)

    for _ in range(args.rounds):
        at_least = bench_ours(bootstrap, model, texts, "AtLeastOnce")
        keep("ours_cpu_s_per_1000", at_least["cold"])
        keep("ours_warm_cpu_s_per_1000", at_least["warm"])
        keep("ours_live_cpu_s_per_1000", bench_live(bootstrap, model, texts))
        recipe = bench_ours(bootstrap, default, texts, "AtLeastOnce")
        keep("default_cpu_s_per_1000", recipe["cold"])
        keep("default_warm_cpu_s_per_1000", recipe["warm"])
        keep("default_resident_mib", recipe["resident"])
        exactly = bench_ours(bootstrap, model, texts, "ExactlyOnce")
        keep("exactly_once_cpu_s_per_1000", exactly["cold"])
        keep("exactly_once_warm_cpu_s_per_1000", exactly["warm"])
        avro = bench_ours(bootstrap, model, texts, "AtLeastOnce", registry)
        keep("avro_cpu_s_per_1000", avro["cold"])
        keep("avro_warm_cpu_s_per_1000", avro["warm"])
        keep("resident_mib", max(at_least["resident"], exactly["resident"]))
        keep("microbatch_cpu_s_per_1000", bench_loop(bootstrap, model, texts, "microbatch.py"))
        keep(
            "librdkafka_only_cpu_s_per_1000",
            bench_loop(bootstrap, model, texts, "passthrough.py", 8),
        )
        keep("start_seconds", bench_start(bootstrap, model, texts))
    if args.wrapper:
        pump, wrapper = bench_classic(bootstrap, model, texts, args.wrapper)
        keep("classic_pump_cpu_s_per_1000", pump)
        keep("classic_wrapper_cpu_s_per_1000", wrapper)
        keep("classic_cpu_s_per_1000", wrapper + min(pump, PUMP_CAP))
        for name, value in bench_calls(model, texts, args.wrapper).items():
            keep(name, value)
    ours, echo = bench_latency(bootstrap, model, texts)
    for name, quantile in (("p50", 50), ("p99", 99)):
        keep(f"{name}_ms", float(np.percentile(ours, quantile)))
        keep(f"{name}_ms_broker", float(np.percentile(echo, quantile)))
        keep(f"{name}_ms_above_broker", rounds[f"{name}_ms"][0] - rounds[f"{name}_ms_broker"][0])
    keep("max_score_difference", score_difference(bootstrap, model, texts))
    keep("default_max_score_difference", score_difference(bootstrap, default, texts))
    return {name: float(f"{value:.4g}") for name, value in summary(rounds).items()}


def summary(rounds: dict[str, list[float]]) -> dict[str, float]:
    """The least of each figure's rounds (of memory the most), and what follows from them."""
    results = {name: min(values) for name, values in rounds.items()}
    for name in ("resident_mib", "default_resident_mib"):
        results[name] = max(rounds[name])
    ours, warm = results["ours_cpu_s_per_1000"], results["ours_warm_cpu_s_per_1000"]
    results["default_over_seed"] = results["default_cpu_s_per_1000"] / ours
    results["default_warm_over_seed"] = results["default_warm_cpu_s_per_1000"] / warm
    # The memo warm, where the formats are the larger part.
    results["avro_vs_json"] = results["avro_warm_cpu_s_per_1000"] / warm
    results["exactly_once_over_ours"] = results["exactly_once_cpu_s_per_1000"] / ours
    results["ours_over_librdkafka_only"] = ours / results["librdkafka_only_cpu_s_per_1000"]
    results["ours_warm_over_librdkafka_only"] = warm / results["librdkafka_only_cpu_s_per_1000"]
    results["messages_per_second_per_core"] = 1000 / ours
    results["warm_messages_per_second_per_core"] = 1000 / warm
    for name in ("microbatch", "classic"):
        if f"{name}_cpu_s_per_1000" in results:
            results[f"{name}_over_ours"] = results[f"{name}_cpu_s_per_1000"] / ours
            results[f"{name}_over_ours_warm"] = results[f"{name}_cpu_s_per_1000"] / warm
    return results


if __name__ == "__main__":
    main()
