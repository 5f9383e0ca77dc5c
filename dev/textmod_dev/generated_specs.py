"""TextModerations made from the CRD's own schema, seeded: legal ones, odd ones and hostile ones.

What the schema leaves open (affinity, tolerations, where a variable comes from, quantities, keys of
maps) is filled with what people get wrong: a field misspelt, a number as a string, null, a unit
that is none, characters that a label can't have. The API server decides which it admits.

Most values are on the edges of what the schema allows: the least and the greatest number, the
shortest and the longest text, lists and maps that are empty or full.

Sizes are small where a large one only costs the machine: replicas, partitions, addresses of Kafka.
"""

from __future__ import annotations

import copy
import itertools
import random
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from textmod_dev.paths import repository_root

Schema = dict[str, Any]
Json = dict[str, Any]

SECRET: Final = "there"  # noqa: S105 - its name
CRD: Final = repository_root() / "crds" / "textmoderations.yaml"
OPTIONAL_SHARES: Final = (0.15, 0.3, 0.3, 0.6, 0.9)
"""How often a field is there that may be left out: one of these for each spec."""
HOSTILE_SHARES: Final = (0.0, 0.0, 0.0, 0.03, 0.35)
"""How often a value is wrong where the schema leaves that open: one of these for each spec."""
NULL_SHARE: Final = 0.02
EDGE_SHARE: Final = 0.4
"""How often a number or a text is at the end of its range."""
SECRET_SHARE: Final = 0.8
"""How often a reference leads to a Secret that is there."""
FULL_SHARE: Final = 0.03
"""How often a list or a map is as long as it may be."""
MOST_ITEMS: Final = 64
MOST_LENGTH: Final = 4096
"""Longer texts only cost the machine."""

PATTERNS: Final[dict[str, tuple[str, ...]]] = {
    r"^(Max|Min|Disabled)$": ("Max", "Min", "Disabled"),
    r"^([a-z0-9][-a-z0-9.]*)?[a-z0-9]$": ("a", "kafka", "my-cluster.eu", "0", "x" * 63),
    r"^([a-z0-9][-a-z0-9]*)?[a-z0-9]$": ("a", "default", "kube-system", "0-0", "x" * 63),
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$": (
        *("a", "team-1", "0", "a.b-c.d", "x" * 253),
    ),
    r"^[-._a-zA-Z0-9]+$": ("key", "a", "-", ".", "..x", "_", "ca.crt", "x" * 253),
    r"^[A-Za-z0-9-]+$": ("X-User", "a", "-", "x" * 128),
    r"^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$": ("a", "a b", "!", "x" * 1024),
    r"^[a-z0-9]+((-+|[.])[a-z0-9]+)*$": ("a", "review.example.com", "a--b", "0.0", "x" * 253),
    r"^[a-z0-9]+(-+[a-z0-9]+)*$": ("a", "spam", "a--b", "0", "a-1-b"),
    r"^[a-zA-Z0-9._-]*[a-zA-Z0-9_-][a-zA-Z0-9._-]*$": ("-", "_", "A.B", "a..b", "..-", "x" * 249),
    r"^[a-z]{2,3}$": ("en", "xx", "zzz"),
    r"^[a-z]{2,4}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$": ("eu-west-1", "cnnn-northwestern-99"),
    r"^\S+$": ("a", "textmoderation/nlp-model:0.1.0", "A:B@C", "🙂", "$(A)", "x" * 1024),
    r"^https?://[^\s@/?#]+([/?#][^\s]*)?$": ("http://a", "https://h:0/x?y#z", "https://[::1]/"),
    r"^https?://[^\s@]+$": ("http://a", "https://h:99999", "http:///", "https://registry/a?b#c"),
    r"^(\*|https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?)$": (
        "*",
        "http://a",
        "https://a-b.c:0",
    ),
    r"^sha256:[0-9a-f]{64}$": ("sha256:" + "0" * 64, "sha256:" + "0123456789abcdef" * 4),
}
"""Texts that a pattern of the CRD admits, by pattern."""

_SMALL: Final = {
    "partitions": (1, 2),
    "replicationFactor": (1, 1, 1, 2),
    "replicas": (0, 1, 1, 2),
    "minReplicas": (0, 1, 1, 2),
    "maxReplicas": (1, 2, 3),
}
_RARE: Final = {
    "sasl": 0.06,
    "tls": 0.04,
    "schemaRegistry": 0.15,
    "management": 0.05,
    "strimzi": 0.02,
}
"""Fields with which a spec fails before most of it was looked at."""
_ONE_OF: Final = {
    "lag": ("maxSecondsBehind", "messagesPerReplica"),
    "rules": ("precision", "atLeast", "budgetPerDay"),
}
"""Objects, or lists of them, that have exactly one of several fields."""
_LOGIN: Final = {"OAUTHBEARER": "oauth", "AWS_MSK_IAM": "aws"}
"""What a mechanism of SASL logs in with, if it is no secretRef."""
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
        secret: the name of a Secret that is there, with the keys that the schema has by default;
            most references lead to it.
    """

    def __init__(
        self, seed: int, bootstrap_servers: str, crd: Path = CRD, secret: str = SECRET
    ) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.servers = bootstrap_servers
        self.secret = secret
        self._share, self._hostile = OPTIONAL_SHARES[0], 0.0
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
        self._share = self._random.choice(OPTIONAL_SHARES)
        self._hostile = self._random.choice(HOSTILE_SHARES)
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

    def field_paths(self) -> frozenset[str]:
        """The fields that the schema names, as `spec.a.b`, without the numbers of list entries."""
        return frozenset(_fields(self._schema, "spec"))

    def edited(self, spec: Json) -> Json:
        """The spec with some of its parts as in another; Kafka and the topics stay, which for the
        most part can't be changed."""
        parts = [part for part in self._schema["properties"] if part not in ("kafka", "topics")]
        changed = set(self._random.sample(parts, k=self._random.randint(1, len(parts))))
        other = self.spec()
        kept = {part: value for part, value in spec.items() if part not in changed}
        new = {part: value for part, value in other.items() if part in changed}
        return copy.deepcopy({**kept, **new})

    # --- by the schema ----------------------------------------------------------------------

    def _value(self, name: str, schema: Schema) -> Any:  # noqa: ANN401 - any JSON value
        if "type" not in schema:
            return self._pick(_QUANTITIES, _ODD_QUANTITIES)
        if name in _SMALL:
            return max(schema.get("minimum", 0), self._random.choice(_SMALL[name]))
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
            share = _RARE.get(key, self._share)
            if key not in required and self._random.random() > share:
                continue
            is_null = key not in required and self._random.random() < NULL_SHARE
            made[key] = None if is_null else self._value(key, part)
        if name in _ONE_OF:
            self._choose(made, schema["properties"], _ONE_OF[name])
        if made.get("hold") and made.get("action") != "Review":
            made["hold"] = False
        if name == "kafka" and (made.get("sasl") or {}).get("mechanism") == "AWS_MSK_IAM":
            made.setdefault("tls", {})
        if name == "sasl":
            part = _LOGIN.get(str(made["mechanism"]), "secretRef")
            self._choose(made, schema["properties"], ("secretRef", "oauth", "aws"), part)
        if name.endswith("SecretRef") or name == "secretRef":
            self._lead_to_the_secret(made)
        return made

    def _choose(
        self, made: Json, properties: Json, among: tuple[str, ...], chosen: str | None = None
    ) -> None:
        """Leave one of several fields of which an object must have exactly one."""
        kept = chosen or self._random.choice(among)
        for field in among:
            made.pop(field, None)
        made[kept] = self._value(kept, properties[kept])

    def _lead_to_the_secret(self, reference: Json) -> None:
        if self._random.random() < SECRET_SHARE:
            reference.clear()
            reference["name"] = self.secret

    def _map(self, name: str, values: Schema) -> Json:
        if name in ("requests", "limits"):
            keys = self._random.sample(("cpu", "memory", "ephemeral-storage", "cheese"), k=2)
            return {key: self._value("quantity", values) for key in keys}
        if name == "config":
            return dict([self._setting()])
        count = self._random.randrange(3)
        words = [(self._word(), self._string(name, values)) for _ in range(count)]
        if self._random.random() < FULL_SHARE:
            words = [(f"{name}-{n}", self._string(name, values)) for n in range(MOST_ITEMS)]
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
        if self._random.random() < FULL_SHARE:
            count = min(schema.get("maxItems", MOST_ITEMS), MOST_ITEMS)
        made = [self._value(name, schema["items"]) for _ in range(count)]
        keys = schema.get("x-kubernetes-list-map-keys")
        if keys is None and schema.get("x-kubernetes-list-type") != "set":
            return made
        by_key = {tuple(one[key] for key in keys) if keys else one: one for one in made}
        return list(by_key.values())

    def _number(self, name: str, schema: Schema) -> float:
        del name
        low, high = schema.get("minimum", 0), schema.get("maximum", 1000)
        if self._random.random() < EDGE_SHARE:
            end = self._random.choice((low, high))
            return float(end) if schema["type"] == "number" else int(end)
        if schema["type"] == "number":
            return self._random.uniform(low, high)
        return self._random.randint(low, min(high, low + 100))

    def _string(self, name: str, schema: Schema) -> str:
        del name
        if "enum" in schema:
            return str(self._random.choice(schema["enum"]))
        if "pattern" in schema:
            return self._fitting(schema)
        word = self._word()
        if self._random.random() < EDGE_SHARE / 4:
            ends = (schema.get("minLength", 0), min(schema.get("maxLength", 300), MOST_LENGTH))
            length: int = self._random.choice(ends)
            return "x" * length
        longest: int = schema.get("maxLength", MOST_LENGTH)
        return word.ljust(schema.get("minLength", 0), "x")[:longest]

    def _fitting(self, schema: Schema) -> str:
        """A text that the pattern admits."""
        if self._random.random() > EDGE_SHARE and re.match(schema["pattern"], "word"):
            letters = string.ascii_lowercase + string.digits
            return "n" + "".join(self._random.choices(letters, k=self._random.choice((3, 8))))
        longest: int | None = schema.get("maxLength")
        return self._random.choice(PATTERNS[schema["pattern"]])[:longest]

    # --- what the schema leaves open --------------------------------------------------------

    def _address(self) -> str:
        dead = ("127.0.0.1:1", "no-such-host.invalid:9092", "[::1]:1", "127.0.0.1:1,127.0.0.1:2")
        return self._random.choice(dead) if self._random.random() < 0.03 else self.servers

    def _open(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        pool = {"affinity": _AFFINITIES, "tolerations": _TOLERATIONS}.get(name, _SOURCES)
        legal = copy.deepcopy(self._random.choice(pool))
        if self._random.random() < self._hostile:
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
        hostile = self._random.random() < self._hostile / 3
        return self._random.choice(odd if hostile else legal)


def _fields(schema: Schema, at: str) -> Iterator[str]:
    yield at
    for name, part in schema.get("properties", {}).items():
        yield from _fields(part, f"{at}.{name}")
    if "items" in schema:
        yield from (path for path in _fields(schema["items"], at) if path != at)
