"""Coverage-guided fuzzing of every decoder, loader and parser, by atheris (libFuzzer).

    python -m faults.fuzz TARGET [--seconds S] [--corpus DIR]

A target takes bytes and may raise nothing; what it promises of its result is asserted. Inputs that
reach new code are kept in the corpus, of which a small part stands beside this file: the tests
replay it without atheris (`make fuzz` brings that one along).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import faults.fuzz_console
import faults.fuzz_stream  # noqa: F401 - these two register their targets
from faults.fuzz_targets import TARGETS, environment, scratch, target
from faults.poison import payload

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
LONGEST = 4096
"""Bytes of an input: what is long costs time and reaches little more."""


# --- the model server -----------------------------------------------------------------------------


@cache
def _stream(name: str) -> Callable[[bytes, list[tuple[str, str | bytes | None]]], None]:
    """Return a function that takes a message through a decoder and every encoder."""
    from textmod_model.formats import catalog
    from textmod_model.formats.message import Decoded, Reading, Refused, RefusedError, Verdicts
    from textmod_model.formats.message import Writing as _Writing

    decode = catalog.decoder(name, Reading(("body",), None, 1 << 20))
    writing = _Writing(Verdicts(("kept", "removed"), 0.5, "model:1"))
    encoders = [
        catalog.encoder(one.name, writing)
        for one in catalog.output_formats().values()
        if not one.needs_registry
    ]

    def judge(value: bytes, headers: list[tuple[str, str | bytes | None]]) -> None:
        decoded = decode(value, headers)
        if isinstance(decoded, Refused):
            assert decoded.reason.isalnum(), decoded
            return
        assert isinstance(decoded, Decoded)
        assert decoded.texts, "a message without a text is refused"
        for encode in encoders:
            with contextlib.suppress(RefusedError):
                json.loads(encode(decoded, [0.25] * len(decoded.texts), "topic/0/1"))

    return judge


def _message(name: str, data: bytes) -> None:
    """A first line, if there is one, is the content type."""
    kind, line, value = data.partition(b"\n")
    headers: list[tuple[str, str | bytes | None]] = [("content-type", kind)] if line else []
    _stream(name)(value if line else data, headers)


for _name in ("Auto", "Json", "Seldon", "Text"):
    TARGETS[f"message-{_name.lower()}"] = partial(_message, _name)


@target
def cleaning(data: bytes) -> None:
    """A text is read as a person would, and twice is as good as once."""
    from textmod_model.text.cleaning import clean, tidy
    from textmod_model.text.evasion import origins, undisguise

    try:
        text = data.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        text = data.decode(errors="replace")
    clean(text)
    plain = tidy(text)
    seen, places = origins(plain)
    assert seen == undisguise(plain)
    assert len(places) == len(seen)
    assert all(0 <= place <= len(plain) for place in places)


@target
def csv_rows(data: bytes) -> None:
    """A file of comments is read whole or refused in one sentence."""
    _read_file(data, "comments.csv")


@target
def json_lines(data: bytes) -> None:
    """The same of JSON Lines."""
    _read_file(data, "comments.jsonl")


def _read_file(data: bytes, name: str) -> None:
    from textmod_model.training import dataset
    from textmod_model.training.files import DatasetError

    file = scratch() / name
    file.write_bytes(data)
    with contextlib.suppress(DatasetError):
        read = dataset.read(file)
        assert len(read.texts) == len(read.labels)


@cache
def _predictor() -> Any:  # noqa: ANN401 - its module is imported here first
    import numpy as np

    from textmod_model.serving.predictor import ModelInfo, Predictor

    info = ModelInfo("science", "1", "sha256:00", "seed", ("kept", "removed"), 0.5)
    return Predictor(lambda texts: np.full(len(texts), 0.25), info)


@target
def perspective(data: bytes) -> None:
    """A request of Perspective is answered or refused in Google's shape; spans are of the text."""
    from textmod_model.formats.payload import dumps
    from textmod_model.serving import perspective as protocol
    from textmod_model.serving.calls import AnswerError
    from textmod_model.serving.dropins import DropIns
    from textmod_model.serving.perspective_request import AnalyzeRequest, SuggestRequest, parse

    for kind in (SuggestRequest, AnalyzeRequest):
        try:
            request = parse(kind, data)
        except AnswerError as error:
            dumps(error.document)
            continue
        if isinstance(request, AnalyzeRequest):
            dropins = DropIns({"TOXICITY": "removed"}, ())
            with contextlib.suppress(AnswerError):
                found: Any = protocol.answer(request, _predictor(), dropins)
                dumps(found)
                for scores in found.get("attributeScores", {}).values():
                    for span in scores["spanScores"]:
                        assert 0 <= span["begin"] < span["end"] <= len(request.comment.text)


@target
def moderations(data: bytes) -> None:
    """A request of OpenAI's moderations is answered or refused in its shape."""
    from textmod_model.formats.payload import dumps
    from textmod_model.serving import openai
    from textmod_model.serving.calls import AnswerError

    try:
        found = openai.answer(openai.texts(data), _predictor())
    except AnswerError as error:
        found = error.document
    dumps(found)


@target
def recorded_scores(data: bytes) -> None:
    """A file of two scores makes thresholds or one sentence."""
    from textmod_model.training import thresholds
    from textmod_model.training.dataset import DatasetError

    file = scratch() / "both.csv"
    file.write_bytes(data)
    with contextlib.suppress(DatasetError):
        pairs = thresholds.read(file, "perspective", "ours")
        found = thresholds.mapped(pairs, 0.8)
        assert 0 <= found.low <= found.high <= 1


@target
def manifest(data: bytes) -> None:
    """A damaged artifact is refused in one sentence."""
    from textmod_model import artifact

    (scratch() / artifact.MANIFEST).write_bytes(data)
    with contextlib.suppress(artifact.ArtifactError):
        artifact.load(scratch())


@target
def settings(data: bytes) -> None:
    """An environment makes settings or a sentence for each fault."""
    from textmod_model import settings as module
    from textmod_model.errors import ConfigurationError

    with contextlib.suppress(ConfigurationError):
        json.dumps(module.describe(module.load(environment(data))))


# --- the operator ---------------------------------------------------------------------------------


@target
def text_moderation(data: bytes) -> None:
    """A spec is accepted or refused with InvalidSpec."""
    from textmod_operator.api.v1alpha1 import TextModeration
    from textmod_operator.errors import NotAccepted

    with contextlib.suppress(ValueError, RecursionError):
        spec: Any = json.loads(data)
        if isinstance(spec, dict):  # the API server sees to it
            body = {"metadata": {"name": "fuzz", "namespace": "default"}, "spec": spec}
            with contextlib.suppress(NotAccepted):
                TextModeration.parse(body)


@target
def pem(data: bytes) -> None:
    """Any three texts of a Secret are usable or named."""
    from textmod_operator.kafka.connection import bad_credential

    ca, _, rest = data.decode(errors="replace").partition("\n---\n")
    certificate, _, key = rest.partition("\n---\n")
    bad_credential.__wrapped__(ca, certificate or None, key or None)


@target
def reported_rate(data: bytes) -> None:
    """What anybody may write beside an offset is a rate that a process can reach, or nothing."""
    from textmod_operator.kafka.backlog import MOST_RATE
    from textmod_operator.kafka.backlog import reported_rate as read

    rate = read(data.decode(errors="replace").splitlines())
    assert rate is None or 0 < rate <= MOST_RATE


@target
def learned(data: bytes) -> None:
    """What anybody may have written into an object's annotations is taken or ignored."""
    from textmod_operator.controller.streams import remembered
    from textmod_operator.policies.record import Record

    text = data.decode(errors="replace")
    remembered(text, "way")
    Record.read(text)


def _sow(folder: Path) -> None:
    """Begin with hostile messages made by rule: chance alone hardly comes to a JSON document."""
    random = Random(0)  # noqa: S311 - nothing secret
    for number in range(400):
        value, headers = payload(random)
        kind = next((text or b"" for name, text in headers if name == "content-type"), b"")
        message = kind + b"\n" + (value or b"")
        if len(message) <= LONGEST:
            (folder / f"sown-{number}").write_bytes(message)


def main() -> int:
    """Fuzz one target; libFuzzer ends the process by itself, with 77 for a finding."""
    parser = argparse.ArgumentParser(prog="faults.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="where inputs that reach new code are kept")
    args = parser.parse_args()
    atheris = importlib.import_module("atheris")
    grown = args.corpus or Path(tempfile.mkdtemp(prefix="textmod-corpus-"))
    grown.mkdir(parents=True, exist_ok=True)
    if args.target.startswith("message-"):
        _sow(grown)
    seeds = CORPUS / args.target
    with atheris.instrument_imports(
        include=["textmod_model", "textmod_operator", "textmod_console"]
    ):
        TARGETS[args.target](b"")  # imports what it needs
    limits = [f"-max_total_time={args.seconds}", f"-max_len={LONGEST}", "-timeout=20"]
    folders = [str(grown), *([str(seeds)] if seeds.is_dir() else [])]
    options = [*limits, f"-artifact_prefix={grown}{os.sep}found-", "-rss_limit_mb=4096"]
    atheris.Setup([sys.argv[0], *options, *folders], TARGETS[args.target])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
