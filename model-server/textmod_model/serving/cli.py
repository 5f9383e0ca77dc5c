"""The commands that serve: `serve` (everything the settings ask for) and `stream` (Kafka alone)."""

import argparse
import contextlib
import gc
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from textmod_model import log_lines, output
from textmod_model import settings as settings_module
from textmod_model.budget import limit_arenas
from textmod_model.errors import ArtifactRefused, ConfigurationError, ServingError, StreamError
from textmod_model.health import Health
from textmod_model.serving.stream_parts import make_source, make_worker
from textmod_model.settings import Settings

if TYPE_CHECKING:
    from textmod_model.artifact import Manifest
    from textmod_model.scoring.scorer import Scorer
    from textmod_model.serving.policies import PolicyFile
    from textmod_model.serving.predictor import Predictor
    from textmod_model.serving.scorer_process import ScorerProcess
    from textmod_model.stream.worker import Worker

log = logging.getLogger("textmod_model")

GC_OBJECTS = 50_000
"""New containers before a collection: a batch makes thousands, and none of them is garbage yet."""

AWAIT_SECONDS = 0.2

Subparsers = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def add_commands(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add `serve` and `stream`."""
    serve = subparsers.add_parser(
        "serve", help="serve the model: REST, gRPC, and the stream if TEXTMOD_STREAMING=Native"
    )
    serve.set_defaults(run=lambda _args: run(os.environ, synchronous=True))
    stream = subparsers.add_parser("stream", help="moderate a Kafka topic, without REST and gRPC")
    stream.add_argument(
        "--dry-run", action="store_true", help="print the effective configuration and exit"
    )
    stream.set_defaults(run=_stream)


def _stream(args: argparse.Namespace) -> int:
    environment = {**os.environ, "TEXTMOD_STREAMING": "Native"}
    if args.dry_run:
        return dry_run(environment)
    return run(environment, synchronous=False)


def dry_run(environment: Mapping[str, str]) -> int:
    """Print what would be used, secrets masked; returns the exit code."""
    from textmod_model.stream import kafka_config

    try:
        settings = settings_module.load(environment)
    except ConfigurationError as error:
        sys.stderr.write(f"{log_lines.escaped(str(error))}\n")
        return error.exit_code
    configuration = {
        "settings": settings_module.describe(settings),
        "consumer": kafka_config.masked(kafka_config.consumer(settings, "consumer")),
        "producer": kafka_config.masked(kafka_config.producer(settings)),
    }
    output.say(json.dumps(configuration, indent=2))
    return 0


def run(environment: Mapping[str, str], *, synchronous: bool) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    A fatal error is one sentence on standard error and in the termination log, which Kubernetes
    shows as the container's last state.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    termination_log = environment.get("TEXTMOD_TERMINATION_LOG", "")
    try:
        settings = settings_module.load(environment)
        termination_log = str(settings.termination_log)
        log_lines.configure(settings.log_level)
        _serve(settings, stop, synchronous=synchronous)
    except ServingError as error:
        sentence = log_lines.escaped(str(error))
        sys.stderr.write(f"{sentence}\n")
        with contextlib.suppress(OSError), open(termination_log, "w") as file:  # noqa: PTH123 - a device
            file.write(f"{sentence}\n")
        return error.exit_code
    return 0


def _serve(settings: Settings, stop: threading.Event, *, synchronous: bool) -> None:
    """Load, and only then join the group: a model that can't be loaded must take no partitions from
    those that serve."""
    limit_arenas()
    health = Health(streaming=settings.streaming == "Native")
    predictor = load_predictor(settings, calls_apart=synchronous and health.streaming)
    policies = open_policies(settings, predictor)
    health.undecided = None if policies is None else policies.missing()
    from textmod_model.metrics import Metrics
    from textmod_model.serving.dropins import DropIns
    from textmod_model.serving.servers import Servers

    dropins = DropIns.of(predictor.info, settings)
    source = None
    if health.streaming and health.undecided is None:
        source = make_source(settings, health, predictor)
    metrics = Metrics()
    failed = threading.Event()

    def refresh() -> None:
        metrics.show_mismatches(predictor.mismatches())
        metrics.show_losses(predictor.losses())
        metrics.blocked.set(health.blocked is not None or health.stalled is not None)
        if policies is not None:
            metrics.show_policies(policies.version, policies.error)
        if source is not None:
            metrics.show_lag(settings.consumer_group, settings.input_topic, source.lags().items())

    def fail() -> None:
        failed.set()
        stop.set()

    worker = make_worker(settings, source, predictor, health, metrics) if source else None
    if health.streaming and synchronous:
        from textmod_model.serving.turns import SWITCH_SECONDS

        sys.setswitchinterval(SWITCH_SECONDS)
    describe = partial(describe_model, predictor, policies)
    servers = Servers(
        settings,
        predictor,
        health,
        metrics,
        refresh,
        fail,
        describe,
        dropins,
        synchronous=synchronous,
    )
    servers.start()
    health.model = predictor.info.label
    gc.freeze()  # what is loaded by now stays; no use in looking through it again and again
    gc.set_threshold(GC_OBJECTS)
    log.info("Serving %s.", predictor.info.label)
    try:
        _await_policies(policies, health, stop)
        if health.streaming and source is None and not stop.is_set():
            source = make_source(settings, health, predictor)
            worker = make_worker(settings, source, predictor, health, metrics)
        _until_stopped(worker, stop)
    finally:
        health.stopping = True
        servers.stop()
        predictor.close()
    if failed.is_set():
        raise ServingError("A server ended by itself; the log says why.")


def open_policies(settings: Settings, predictor: "Predictor") -> "PolicyFile | None":
    """Have a predictor decide by the policies of the settings' file; None without a file."""
    if settings.policies_file is None:
        return None
    from textmod_model.serving.policies import PolicyFile

    policies = PolicyFile(settings.policies_file, predictor.info.columns)
    predictor.policies = policies.evaluator
    policies.check()
    return policies


def describe_model(predictor: "Predictor", policies: "PolicyFile | None") -> dict[str, object]:
    """Say what the model is and which policies are in force, for the operator."""
    said = {
        "version": None if policies is None else policies.version,
        "error": None if policies is None else policies.error,
    }
    return predictor.info.manifest() | {"policies": said}


def _await_policies(policies: "PolicyFile | None", health: Health, stop: threading.Event) -> None:
    """Watch the policies, and wait for the first ones: a verdict without an action would say that
    nothing is to be done. Until then the process has no part in the consumer group."""
    if policies is None:
        return
    policies.start(stop)
    while health.undecided is not None and not stop.wait(AWAIT_SECONDS):
        health.undecided = policies.missing()


def _until_stopped(worker: "Worker | None", stop: threading.Event) -> None:
    if worker is None:
        stop.wait()
        return
    if not worker.run(stop):
        raise StreamError(
            "Stopped before the last verdicts were acknowledged: their messages are read again by"
            " the next consumer."
        )


def _for_calls(scorer: "Scorer") -> "ScorerProcess | None":
    """Start the process that scores for calls, if there can be a second scorer of the model."""
    from textmod_model.serving.scorer_process import ScorerProcess

    other = scorer.another()
    return None if other is None else ScorerProcess.fork(other)


def load_predictor(settings: Settings, *, calls_apart: bool = False) -> "Predictor":
    """Check and load the artifact; raises ArtifactRefused.

    With `calls_apart` another process scores for calls. It is forked here: call this first.
    """
    from textmod_model import artifact, budget
    from textmod_model.scoring.scorer import Scorer
    from textmod_model.serving.predictor import ModelInfo, Predictor

    try:
        loaded = artifact.load(settings.artifact, digest=settings.model_digest)
        scorer = Scorer.from_artifact(loaded)
    except artifact.DigestMismatch as error:
        raise ArtifactRefused(f"ModelDigestMismatch: {error}") from None
    except artifact.ArtifactError as error:
        raise ArtifactRefused(str(error)) from None
    manifest = loaded.manifest
    info = ModelInfo(
        name=manifest.name,
        version=manifest.version,
        digest=manifest.digest,
        recipe=manifest.recipe,
        labels=_sides(manifest),
        threshold=_threshold(settings, manifest.threshold),
        messages_per_second=manifest.messages_per_second,
        names=manifest.labels if manifest.several else (),
        thresholds=tuple(attribute.threshold for attribute in manifest.attributes[1:]),
        attributes=manifest.attributes,
    )
    calls = _for_calls(scorer) if calls_apart else None
    return Predictor(
        scorer.score,
        info,
        settings.message_text_field,
        mismatches=lambda: scorer.mismatches + (calls.mismatches if calls else 0),
        largest=budget.largest_value(settings, calls_apart=calls is not None),
        beside_stream=settings.streaming == "Native",
        briefs=scorer.briefs,
        for_calls=calls,
        losses=lambda: calls.losses if calls else 0,
    )


def _sides(manifest: "Manifest") -> tuple[str, str]:
    """Return the two sides of the first label, as a verdict calls them."""
    first, second = manifest.labels[:2]
    return (f"not {first}", first) if manifest.several else (first, second)


def _threshold(settings: Settings, default: float) -> float:
    """The setting, else the graph parameter `threshold`, else the artifact's own."""
    if settings.model_threshold is not None:
        return settings.model_threshold
    for name in settings.parameters.keys() - {"threshold"}:
        log.warning(
            "PREDICTIVE_UNIT_PARAMETERS: nothing here is called %s; it has no effect.", name
        )
    given = settings.parameters.get("threshold")
    if given is None:
        return default
    try:
        threshold = float(given)
    except ValueError:
        threshold = float("nan")
    if not 0 <= threshold <= 1:
        raise ConfigurationError("PREDICTIVE_UNIT_PARAMETERS: threshold must be from 0 to 1.")
    return threshold
