"""TextModerations made from the CRD's own schema, seeded: legal ones, odd ones and hostile ones.

What the schema leaves open (affinity, tolerations, where a variable comes from, quantities, keys of
maps) is filled with what people get wrong: a field misspelt, a number as a string, null, a unit
that is none, characters that a label can't have. The API server decides which it admits.

Sizes are small where a large one only costs the machine: replicas, partitions, addresses of Kafka.
"""

from __future__ import annotations

import copy
import itertools
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from textmod_dev.paths import repository_root

Schema = dict[str, Any]
Json = dict[str, Any]

CRD: Final = repository_root() / "crds" / "textmoderations.yaml"
OPTIONAL_SHARE: Final = 0.3
"""How often a field is there that may be left out."""
HOSTILE_SHARE: Final = 0.35
"""How often a field that the schema leaves open gets a value that is wrong somewhere."""
NULL_SHARE: Final = 0.02

_SMALL: Final = {
    "partitions": (1, 2),
    "replicationFactor": (1, 1, 1, 2),
    "replicas": (0, 1, 1, 2),
    "minReplicas": (0, 1, 1, 2),
    "maxReplicas": (1, 2, 3),
}
_RARE: Final = {
    "sasl": 0.04,
    "tls": 0.04,
    "schemaRegistry": 0.04,
    "management": 0.05,
    "strimzi": 0.02,
}
"""Fields with which a spec fails before most of it was looked at."""
_QUANTITIES: Final = ("500m", "1", 1, 0.5, "64Mi", "1Gi", "0", 0, "1e3", "1E", "2n", ".5", "+1.")
_ODD_QUANTITIES: Final[tuple[Any, ...]] = (
    *("256mb", "", " 1", "1 Gi", "-1", -1, "9" * 40, "1e400", 1e300, 1e-12, "Infinity", "0x10"),
    *(True, {}, [], {"size": 1}, "1Kim", "1.1.1", "٣"),
)
_WORDS: Final = ("a", "disk", "zone", "gpu", "team-1", "ssd", "x" * 63)
_ODD_WORDS: Final = (
    *("", " ", "x" * 64, "x" * 254, "a/b/c", "-a", "a-", "ÄÖ", "🙂", "a\u0000b", "a\nb", "{{x}}"),
    *("kubernetes.io/x", "example.com/", "/x", "A" * 317 + "/b", "null", "true", "${HOME}", "$(A)"),
)
_TERM: Final[Json] = {"key": "disk", "operator": "In", "values": ["ssd"]}
_SELECTOR: Final[Json] = {"matchLabels": {"app": "x"}}
_AFFINITIES: Final[tuple[Json, ...]] = (
    {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [_TERM]}]
            }
        }
    },
    {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 50,
                    "podAffinityTerm": {"topologyKey": "zone", "labelSelector": _SELECTOR},
                }
            ]
        }
    },
    {
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "topologyKey": "zone",
                    "labelSelector": _SELECTOR,
                    "matchLabelKeys": ["pod-template-hash"],
                }
            ]
        }
    },
)
_TOLERATIONS: Final[tuple[Json, ...]] = (
    {"operator": "Exists"},
    {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
    {"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
)
_SOURCES: Final[tuple[Json, ...]] = (
    {"secretKeyRef": {"name": "x", "key": "y"}},
    {"configMapKeyRef": {"name": "x", "key": "y", "optional": True}},
    {"fieldRef": {"fieldPath": "metadata.name"}},
    {"resourceFieldRef": {"resource": "limits.cpu"}},
)


class SpecGenerator:
    """Specs, one after the other; the same seed makes the same ones.

    Args:
        bootstrap_servers: brokers that answer. Now and then another address is taken, of which
            nothing answers.
    """

    def __init__(self, seed: int, bootstrap_servers: str, crd: Path = CRD) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._servers = bootstrap_servers
        (version,) = yaml.safe_load(crd.read_text())["spec"]["versions"]
        self._schema: Schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]

    def bodies(self, prefix: str) -> Iterator[Json]:
        """TextModerations without end, named after their number."""
        for number in itertools.count():
            yield {
                "apiVersion": "textmoderation.dev/v1alpha1",
                "kind": "TextModeration",
                "metadata": {"name": f"{prefix}-{number}"},
                "spec": self.spec(),
            }

    def spec(self) -> Json:
        """One spec. It may be one that the API server does not admit."""
        spec: Json = self._value("spec", self._schema)
        topics = spec.get("topics") or {}
        if "strimzi" in topics:
            topics["management"] = "Strimzi"
        elif topics.get("management") == "Strimzi":
            del topics["management"]
        small = {**(topics.get("input") or {})}
        small.setdefault("partitions", 1)
        spec["topics"] = {**topics, "input": small}
        return spec

    # --- by the schema ----------------------------------------------------------------------

    def _value(self, name: str, schema: Schema) -> Any:  # noqa: ANN401 - any JSON value
        if "type" not in schema:
            return self._pick(_QUANTITIES, _ODD_QUANTITIES)
        if name in _SMALL:
            return self._random.choice(_SMALL[name])
        if name == "bootstrapServers":
            return self._address()
        if schema.get("x-kubernetes-preserve-unknown-fields"):
            return self._open(name)
        made = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._number,
            "number": self._number,
        }.get(schema["type"])
        return self._random.choice((True, False)) if made is None else made(name, schema)

    def _object(self, name: str, schema: Schema) -> Json:
        if "additionalProperties" in schema:
            return self._map(name, schema["additionalProperties"])
        required = set(schema.get("required", ()))
        made = {}
        for key, part in schema.get("properties", {}).items():
            share = _RARE.get(key, OPTIONAL_SHARE)
            if key not in required and self._random.random() > share:
                continue
            is_null = key not in required and self._random.random() < NULL_SHARE
            made[key] = None if is_null else self._value(key, part)
        if name == "lag" and len(made) != 1:
            made = {"maxSecondsBehind": 30}
        return made

    def _map(self, name: str, values: Schema) -> Json:
        if name in ("requests", "limits"):
            keys = self._random.sample(("cpu", "memory", "ephemeral-storage", "cheese"), k=2)
            return {key: self._value("quantity", values) for key in keys}
        if name == "config":
            return dict([self._setting()])
        count = self._random.randrange(3)
        words = ((self._word(), self._word()) for _ in range(count))
        return dict(words)

    def _setting(self) -> tuple[str, str]:
        return self._random.choice(
            (
                ("retention.ms", "604800000"),
                ("retention.ms", "soon"),
                ("max.message.bytes", "1048588"),
                ("cleanup.policy", "delete"),
                ("no.such.setting", "1"),
                ("min.insync.replicas", "5"),
                (self._word(), self._word()),
            )
        )

    def _array(self, name: str, schema: Schema) -> list[Any]:
        count = self._random.randint(schema.get("minItems", 0), 2)
        return [self._value(name, schema["items"]) for _ in range(count)]

    def _number(self, name: str, schema: Schema) -> float:
        del name
        low, high = schema.get("minimum", 0), schema.get("maximum", 1000)
        if self._random.random() < HOSTILE_SHARE:
            return float(high) if schema["type"] == "number" else int(high)
        whole = self._random.randint(int(low), int(min(high, low + 100)))
        return whole + 1e-9 if schema["type"] == "number" and whole < high else whole

    def _string(self, name: str, schema: Schema) -> str:
        if "enum" in schema:
            return str(self._random.choice(schema["enum"]))
        if name == "selectPolicy":
            return self._random.choice(("Max", "Min", "Disabled"))
        if name == "digest":
            return "sha256:" + "".join(self._random.choices("0123456789abcdef", k=64))
        if "pattern" in schema or name in ("name", "key"):
            letters = string.ascii_lowercase + string.digits
            word = "n" + "".join(self._random.choices(letters, k=self._random.choice((3, 8))))
            odd = ("a..b", "A_B", "x" * schema.get("maxLength", 253), "-", "1", "A B", "=")
            return word if self._random.random() > HOSTILE_SHARE / 3 else self._random.choice(odd)
        return self._word()

    # --- what the schema leaves open --------------------------------------------------------

    def _address(self) -> str:
        dead = ("127.0.0.1:1", "no-such-host.invalid:9092", "[::1]:1", "127.0.0.1:1,127.0.0.1:2")
        return self._random.choice(dead) if self._random.random() < 0.03 else self._servers

    def _open(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        pool = {"affinity": _AFFINITIES, "tolerations": _TOLERATIONS}.get(name, _SOURCES)
        legal = copy.deepcopy(self._random.choice(pool))
        if self._random.random() < HOSTILE_SHARE:
            self._spoil(legal)
        return legal

    def _spoil(self, value: Json) -> None:
        """Break one field, somewhere below."""
        key = self._random.choice(list(value))
        inner = value[key]
        nested = inner[0] if isinstance(inner, list) and inner else inner
        if isinstance(nested, dict) and nested and self._random.random() < 0.6:
            self._spoil(nested)
            return
        how = self._random.randrange(4)
        if how == 0:
            value[key[:-1] or "k"] = value.pop(key)
        elif how == 1:
            value[key] = None
        elif how == 2:
            value[key] = self._random.choice(("30", "", 1.5, -1, 2**40, True, [], {}, [None]))
        else:
            value[self._word()] = self._word()

    def _word(self) -> str:
        return str(self._pick(_WORDS, _ODD_WORDS))

    def _pick(self, legal: tuple[Any, ...], odd: tuple[Any, ...]) -> Any:  # noqa: ANN401
        hostile = self._random.random() < HOSTILE_SHARE / 3
        return self._random.choice(odd if hostile else legal)
