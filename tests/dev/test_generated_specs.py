"""Generated specs: within what the CRD allows, and what is taken out of one that is refused."""

from __future__ import annotations

import copy
import itertools
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from textmod_dev.generated_specs import CRD, PATTERNS, SpecGenerator
from textmod_dev.spec_repair import Cause, take_out

SCHEMA = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
SPEC = SCHEMA["properties"]["spec"]


def strings(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if schema.get("type") == "string" and "pattern" in schema:
        yield schema
    for part in (*schema.get("properties", {}).values(), schema.get("items")):
        if part is not None:
            yield from strings(part)


def test_every_pattern_has_texts_and_each_fits() -> None:
    for schema in strings(SPEC):
        if schema["pattern"].startswith("^([A-Z_]+://)?"):
            continue  # the brokers' addresses are real ones
        assert schema["pattern"] in PATTERNS, "add texts that the new pattern admits"
        for text in PATTERNS[schema["pattern"]]:
            cut = text[: schema.get("maxLength")]
            assert re.search(schema["pattern"], cut), (schema["pattern"], cut)


def test_the_same_seed_makes_the_same_specs() -> None:
    one, other = (SpecGenerator(7, "kafka:9092") for _ in range(2))
    specs = [next_spec(one) for _ in range(20)]
    assert specs == [next_spec(other) for _ in range(20)]
    assert one.edited(specs[0])["kafka"] == specs[0]["kafka"]


def next_spec(generator: SpecGenerator) -> dict[str, Any]:
    found: dict[str, Any] = next(generator.bodies("a"))["spec"]
    return found


def test_every_field_of_the_schema_is_tried_within_a_few_hundred_specs() -> None:
    generator = SpecGenerator(1, "kafka:9092")
    seen: set[str] = set()
    for body in itertools.islice(generator.bodies("a"), 300):
        seen |= set(paths(body["spec"]))
    fields = generator.field_paths()
    assert len(fields - seen) < len(fields) / 10, fields - seen


def paths(value: Any, at: str = "spec") -> Iterator[str]:
    yield at
    parts = value.items() if isinstance(value, dict) else ()
    for name, part in parts:
        yield from paths(part, f"{at}.{name}")
    for part in value if isinstance(value, list) else ():
        yield from paths(part, at)


SPOILT: dict[str, Any] = {
    "kafka": {"bootstrapServers": "kafka:9092", "tls": {}},
    "model": {"image": "x", "env": [{"name": "A"}, {"name": "B", "value": "x"}]},
    "topics": {"input": {"config": {"retention.ms": "x", "a": "b"}}},
    "serving": {"platform": "Deployment", "streaming": "SeldonExecutor", "protocol": "Rest"},
}


@pytest.mark.parametrize(
    ("field", "message", "gone"),
    [
        ("spec.serving.platform", "Unsupported value", {"serving.platform"}),
        ("spec.model.env[1].value", "Too long", {"model.env.1.value"}),
        ("spec.model.env[0].value", "Required value", {"model.env.0"}),
        ("spec.topics.input.config.retention.ms", "Invalid", {"topics.input.config.retention.ms"}),
        (
            "spec.serving",
            "serving.streaming SeldonExecutor needs serving.platform Seldon: without",
            {"serving.streaming", "serving.platform"},
        ),
        ("spec", "serving.streaming SeldonExecutor needs …", {"serving.streaming"}),
        ("spec", "a rule that names nothing", {"topics", "serving"}),
        ("spec.kafka", "kafka.tls …", {"kafka.tls"}),
        ("spec.model.image", "Required value", set()),
        ("", "no field at all", {"topics", "serving"}),
        ("spec", "failed to create typed patch: .spec.serving.platform: x", {"serving.platform"}),
    ],
)
def test_what_was_refused_is_taken_out(field: str, message: str, gone: set[str]) -> None:
    for seed in range(8):
        spec = copy.deepcopy(SPOILT)
        took = take_out(spec, [Cause(field, message)], random.Random(seed))  # noqa: S311
        assert took == bool(gone)
        missing = {one for one in gone if not has(spec, one)}
        assert len(missing) == min(1, len(gone))
        assert spec["kafka"]["bootstrapServers"]
        assert spec["model"]["image"]


def has(spec: Any, path: str) -> bool:
    """Whether a value is there; an entry of `env` by its first name."""
    if path == "topics.input.config.retention.ms":
        return "retention.ms" in spec["topics"]["input"]["config"]
    if path == "model.env.0":
        return any(one["name"] == "A" for one in spec["model"]["env"])
    for name in path.split("."):
        key: Any = int(name) if name.isdigit() else name
        if isinstance(spec, dict) and key not in spec:
            return False
        spec = spec[key]
    return True
