"""The environment that the operator writes against the settings that the model server reads.

The two never import each other; this is where they meet.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import FakeMessage
from objects import moderation
from pydantic import BaseModel

from textmod_console import events, measurement
from textmod_console import settings as console_settings
from textmod_console.internal.figures import evidence_document, quality_document
from textmod_console.measurement.sums import Labelled
from textmod_console.policies import InForce
from textmod_console.record import kafka_config as console_kafka
from textmod_model.artifact import Attribute
from textmod_model.formats import catalog
from textmod_model.formats.message import Reading, Verdicts, Writing
from textmod_model.formats.verdict_headers import VerdictHeaders
from textmod_model.policies.evaluate import Evaluator
from textmod_model.policies.solved import MOST_POLICIES, MOST_RULES, MOST_SPANS, parse
from textmod_model.review.event import EventHeaders
from textmod_model.review.selection import Sample
from textmod_model.review.suggestion import Origin, Suggestion, event, judged
from textmod_model.serving.cli import describe_model
from textmod_model.serving.policies import PolicyFile
from textmod_model.serving.predictor import ModelInfo, Predictor
from textmod_model.settings import Settings, load
from textmod_model.stream import kafka_config as model_kafka
from textmod_model.stream.counting import EVENT_TYPE, Counting
from textmod_model.stream.explanations import Explanations
from textmod_model.stream.judge import Judge
from textmod_model.stream.letters import DeadLetters
from textmod_model.stream.review_requests import ReviewRequests
from textmod_operator import policies
from textmod_operator.api import policies as api
from textmod_operator.api.message import FORMATS_OF_A_REGISTRY, Message
from textmod_operator.api.quantity import PATTERN
from textmod_operator.api.status import PolicyRuleStatus, PolicyStatus
from textmod_operator.conditions import measured_of
from textmod_operator.desired import console_webhooks, desired
from textmod_operator.desired.console_policies import with_policies
from textmod_operator.naming import ENV_REVISION
from textmod_operator.settings import ConsoleSettings
from textmod_operator.state import Capabilities, KafkaConnection

FULL = {
    "kafka": {
        "tls": {"caSecretRef": {"name": "ca"}, "certificateSecretRef": {"name": "pair"}},
        "sasl": {"mechanism": "SCRAM-SHA-512", "secretRef": {"name": "login"}},
        "schemaRegistry": {
            "url": "https://registry:8081",
            "secretRef": {"name": "registry-login"},
            "caSecretRef": {"name": "registry-ca"},
        },
    },
    "message": {
        "format": "Json",
        "textField": "post.body",
        "outputFormat": "Verdict",
        "tombstones": "Forward",
    },
    "model": {"digest": "sha256:" + "0" * 64, "threshold": 0.25},
    "policies": [{"name": "off-topic", "rules": [{"action": "Remove", "atLeast": 0.9}]}],
    "review": {"sample": 0.01, "topics": {"review": {"name": "to-review"}}},
    "serving": {
        "platform": "Deployment",
        "delivery": "ExactlyOnce",
        "batch": {"maxMessages": 512, "maxWaitMilliseconds": 7},
        "perspective": {
            "attributes": {"TOXICITY": "removed"},
            "languages": ["en", "de"],
            "keySecretRef": {"name": "perspective"},
            "allowedOrigins": ["https://a.example.org", "http://localhost:3000"],
        },
        "openai": {"keySecretRef": {"name": "openai", "key": "token"}},
    },
}
MINIMAL = {"serving": {"platform": "Deployment"}}
REVIEWED = {
    "policies": [
        {
            "name": "off-topic",
            "rules": [{"action": "Review", "hold": True, "atLeast": 0.9}],
        }
    ]
}
ORDER = ["ce_specversion", "ce_type", "ce_id", "ce_source", "ce_time", "content-type"]
SECURE = KafkaConnection("a:1,b:2", "SCRAM-SHA-512", "sally", "open-sesame", tls=True)
PLAIN = KafkaConnection("kafka:9092")
FROM_REFERENCES = {
    "TEXTMOD_POD_NAME": "science-1",
    "TEXTMOD_SCHEMA_REGISTRY_USERNAME": "reggie",
    "TEXTMOD_SCHEMA_REGISTRY_PASSWORD": "sesame",
    "TEXTMOD_KAFKA_SASL_USERNAME": "sally",
    "TEXTMOD_KAFKA_SASL_PASSWORD": "open-sesame",
    "TEXTMOD_PERSPECTIVE_KEY": "p1 p2",
    "TEXTMOD_OPENAI_KEY": "o1",
}
"""What the kubelet resolves in the pod."""


def written(spec: dict, connection: KafkaConnection) -> dict[str, str]:
    """The container's environment as the process will see it."""
    want = desired(moderation(spec), connection, Capabilities(), "digest")
    deployment = next(item for item in want.objects if item["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {
        entry["name"]: entry["value"] if "value" in entry else FROM_REFERENCES[entry["name"]]
        for entry in container["env"]
    }


def variables() -> set[str]:
    """Every variable that the model server reads."""
    return {
        str(field.validation_alias or f"TEXTMOD_{name.upper()}")
        for name, field in Settings.model_fields.items()
    }


def test_the_model_server_reads_what_the_operator_writes() -> None:
    read = load(written(FULL, SECURE))
    assert read.kafka_bootstrap_servers == "a:1,b:2"
    assert read.kafka_security_protocol == "SASL_SSL"
    assert (read.streaming, read.delivery) == ("Native", "ExactlyOnce")
    assert (read.batch_max_messages, read.batch_max_wait_milliseconds) == (512, 7)
    assert (read.message_format, read.message_text_field) == ("Json", "post.body")
    assert (read.message_output_format, read.message_tombstones) == ("Verdict", "Forward")
    assert (read.model_digest, read.model_threshold) == ("sha256:" + "0" * 64, 0.25)
    assert read.schema_registry_url == "https://registry:8081"
    assert read.schema_registry_username == "reggie"
    assert str(read.schema_registry_ca_file) == "/etc/textmod/schema-registry-ca/ca.crt"
    assert read.memory_limit == 512 * 2**20
    assert str(read.policies_file) == "/etc/textmod/policies/policies.json"
    assert read.consumer_group == "textmod.reddit.science"
    assert (read.review_topic, read.review_sample) == ("to-review", 0.01)
    assert read.review_salt == "reddit/science"
    assert read.pod_name == "science-1"
    assert read.perspective_attributes == {"TOXICITY": "removed"}
    assert read.perspective_languages == ("en", "de")
    assert read.perspective_origins == ("https://a.example.org", "http://localhost:3000")
    assert read.perspective_key is not None and read.openai_key is not None
    assert read.perspective_key.get_secret_value() == "p1 p2"
    assert read.openai_key.get_secret_value() == "o1"


def test_no_languages_are_any_language() -> None:
    spec = {"serving": {"platform": "Deployment", "perspective": {"languages": []}}}
    assert load(written(spec, PLAIN)).perspective_languages == ()


def test_drop_in_protocols_that_are_not_named_change_no_pod() -> None:
    environment = written({"serving": {"platform": "Deployment"}}, PLAIN)
    assert not [name for name in environment if "PERSPECTIVE" in name or "OPENAI" in name]


def test_without_review_the_pods_know_nothing_of_it() -> None:
    assert not [name for name in written(MINIMAL, PLAIN) if "REVIEW" in name]
    assert written({**MINIMAL, "review": {}}, PLAIN)["TEXTMOD_REVIEW_TOPIC"] == "science-review"


@pytest.mark.parametrize("spec", [FULL, {"serving": {"platform": "Deployment"}}])
def test_every_variable_that_is_written_is_read(spec: dict) -> None:
    connection = SECURE if spec is FULL else PLAIN
    assert set(written(spec, connection)) - variables() - {ENV_REVISION} == set()


@pytest.mark.parametrize(
    ("field", "variable", "registered"),
    [
        ("format", "message_format", catalog.input_formats),
        ("output_format", "message_output_format", catalog.output_formats),
    ],
)
def test_every_registered_format_can_be_asked_for(
    field: str, variable: str, registered: Any
) -> None:
    names = set(registered())
    assert set(get_args(Message.model_fields[field].annotation)) == names
    assert set(get_args(Settings.model_fields[variable].annotation)) == names


def test_the_formats_that_need_a_registry_are_those_that_the_object_asks_one_for() -> None:
    registered = [*catalog.input_formats().values(), *catalog.output_formats().values()]
    needing = {one.name for one in registered if one.needs_registry}
    assert needing == set(FORMATS_OF_A_REGISTRY)


# --- review ---------------------------------------------------------------------------------------


def test_the_console_reads_the_requests_that_the_model_server_writes() -> None:
    found = parse(json.dumps(REVIEWED).encode(), versioned=False)
    evaluator = Evaluator(found, ("removed",))
    explanations = Explanations(lambda texts, _asked: [{"spans": [], "base": 0.5}] * len(texts))
    verdicts = Verdicts(("kept", "removed"), 0.5, "m:1")
    review = ReviewRequests(
        Sample(1.0, "reddit/science"),
        EventHeaders("/textmoderation/g"),
        verdicts,
        "sha256:" + "0" * 64,
        explanations,
    )
    judge = Judge(
        decode=catalog.decoder("Auto", Reading(("body",))),
        score=lambda texts: np.array([0.95 if "bad" in text else 0.1 for text in texts]),
        encode=catalog.encoder("Seldon", Writing(verdicts)),
        headers=VerdictHeaders("/textmoderation/g", "1", "sha256:0"),
        letters=DeadLetters("m:1"),
        policies=lambda: evaluator,
        review=review,
        counting=Counting(EventHeaders("/textmoderation/g", EVENT_TYPE), verdicts, "sha256:0"),
    )
    sent = [
        b'{"body": "bad \\ud800 \\u0000", "author": "ann", "parent": "why?"}',
        b"good",
    ]
    batch = judge.judge([FakeMessage(value, at) for at, value in enumerate(sent)])
    [bad, good] = [record for record in batch.records if record.request is not None]
    headers: Any = bad.headers
    assert events.header(headers, "ce_type") == events.REVIEW_REQUESTED
    assert [name for name, _ in events.headers("t", "i", "s", datetime.now(UTC))] == sorted(
        (name for name, _ in headers), key=ORDER.index
    )
    event = events.parse(events.REVIEW_REQUESTED, bad.value or b"")
    assert isinstance(event, events.ReviewRequested)
    assert (event.item, event.text) == ("in/0/0", "bad \ufffd \0")
    assert bad.key == event.item.encode() == dict(headers)["ce_id"]
    assert (event.author, event.context) == ("ann", "why?")
    assert [reason.kind for reason in event.reasons] == ["Policy", "Random"]
    assert (event.reasons[0].policy, event.reasons[0].action) == ("off-topic", "Review")
    assert (event.selection.strategy, event.selection.probability) == ("Mixed", 1.0)
    assert (event.action, event.flagged, event.hold, event.blind) == ("Review", True, True, False)
    assert (event.label, event.scores) == ("removed", {"removed": 0.95})
    assert event.explanation == {"spans": [], "base": 0.5}
    assert (event.model, event.policy_version) == ("sha256:" + "0" * 64, found.version)
    assert event.at.timestamp() == 0.005
    other = events.parse(events.REVIEW_REQUESTED, good.value or b"")
    assert isinstance(other, events.ReviewRequested)
    rest = judge.rest(None)
    assert rest is not None
    [counts] = rest.records
    kind = events.header(cast("Any", counts.headers), "ce_type")
    counted = events.parse(kind, counts.value or b"")
    assert isinstance(counted, events.Counted)
    assert (counted.source, counted.begin, counted.until) == ("in/0", 0, 2)
    by_flag = {one.flagged: one for one in counted.counts}
    assert (by_flag[True].texts, by_flag[True].scores) == (1, 0.95)
    assert [(said.name, said.action) for said in by_flag[True].policies] == [
        ("off-topic", "Review")
    ]
    assert (by_flag[False].scores, by_flag[False].policies) == (0.1, ())
    assert by_flag[True].policy_version == found.version
    assert (other.action, other.flagged, other.blind) == ("Allow", False, True)
    written = json.loads(bad.value or b"")
    known = {str(field.alias) for field in events.ReviewRequested.model_fields.values()}
    assert set(written) - known == set(), "the console would pass over it"


# --- policies -------------------------------------------------------------------------------------


RISING = [float(count) for count in range(200)]
ANSWER = {
    "digest": "sha256:" + "a" * 64,
    "labels": ["kept", "removed"],
    "attributes": [{"name": "removed", "threshold": 0.5, "without": [50] * 200, "having": RISING}],
}


@pytest.mark.parametrize("rate", [None, 10.0])
@pytest.mark.parametrize("model", [None, policies.model_of(ANSWER)])
def test_the_solved_form_that_the_operator_writes_is_read(rate: float | None, model: Any) -> None:
    rules = [
        {"action": "Remove", "precision": 0.75},
        {"action": "Remove", "precision": 1},
        {"action": "Review", "hold": True, "budgetPerDay": 200},
        {"action": "Review", "atLeast": 0},
    ]
    names = ({"name": "a-1"}, {"name": "b", "label": "löschen", "mode": "Observe"})
    asked = [{**one, "otherwise": "Review", "rules": rules} for one in names]
    explanation = {"actions": [], "maxSpans": 1, "offsets": "Utf16"}
    spec = moderation({"policies": asked, "explanation": explanation}).spec
    known = policies.Known(model, rate, policies.Record(), 0.0)
    solution = policies.solve(spec.policies, spec.explanation, known)
    read = parse(solution.written().encode())
    assert read.version == solution.version
    assert [policy.name for policy in read.policies] == ["a-1", "b"]
    assert [rule.at_least for rule in read.policies[0].rules] == [
        rule.at_least for rule in solution.policies[0].rules
    ]
    assert (read.explanation.actions, read.explanation.offsets) == ((), "Utf16")


def test_what_a_pod_says_of_its_model_is_read(tmp_path: Path) -> None:
    histogram = {"without": (50,) * 200, "having": tuple(range(200))}
    labels = [
        Attribute(name=name, threshold=0.5, metrics={}, **histogram) for name in ("toxic", "insult")
    ]
    one = ModelInfo(
        "m", "1", "sha256:" + "a" * 64, "seed", ("kept", "removed"), 0.5, attributes=(labels[0],)
    )
    two = replace(one, names=("toxic", "insult"), attributes=tuple(labels))
    old = replace(one, attributes=())
    file = PolicyFile(tmp_path / "policies.json", ("removed",))
    file.check()

    def asked(info: ModelInfo, policies_file: PolicyFile | None) -> policies.ModelAnswer:
        predictor = Predictor(lambda _texts: np.empty(0), info)
        document = json.loads(json.dumps(describe_model(predictor, policies_file)))
        return policies.answered(document)

    assert asked(two, None).model.labels == ("toxic", "insult")
    assert asked(two, None).model.histogram("insult") is not None
    assert asked(one, None).model.histogram("toxic") is not None
    assert asked(old, None).model.labels == ("removed",)
    assert asked(old, None).model.histogram("removed") is None
    assert asked(one, file).version is None
    assert "cannot be read" in str(asked(one, file).error)


# --- the review console ---------------------------------------------------------------------------


def written_for_console(console: dict, connection: KafkaConnection) -> dict[str, str]:
    """The console's environment as its process will see it."""
    resolved = FROM_REFERENCES | {
        "TEXTMOD_CONSOLE_DATABASE_URL": "postgresql://db/review",
        "TEXTMOD_CONSOLE_PROXY_SECRET": "shared",
        "TEXTMOD_CONSOLE_SESSION_KEY": "k" * 43,
    }
    kafka = FULL["kafka"] if connection is SECURE else {}
    review = {"labelDelayHours": 24, "minimumLabels": 7, "console": console}
    settings = ConsoleSettings(webhook_networks=("10.96.0.0/12", "fd00::/8"))
    capabilities = Capabilities(console=settings)
    want = desired(moderation({"kafka": kafka, "review": review}), connection, capabilities)
    (container,) = want.console[-1]["spec"]["template"]["spec"]["containers"]
    return {
        entry["name"]: entry.get("value", resolved.get(entry["name"])) for entry in container["env"]
    }


CONSOLES = [
    ({}, PLAIN),
    (
        {
            "database": {"secretRef": {"name": "db"}},
            "authentication": {
                "proxy": {
                    "secretRef": {"name": "proxy"},
                    "userHeader": "X-User",
                    "groupsHeader": "X-Groups",
                }
            },
            "webhooks": [
                {"name": "site", "url": "https://example.com/a", "secretRef": {"name": "site"}}
            ],
        },
        SECURE,
    ),
]


@pytest.mark.parametrize(("console", "connection"), CONSOLES)
def test_the_console_reads_what_the_operator_writes(
    console: dict, connection: KafkaConnection
) -> None:
    environment = written_for_console(console, connection)
    read = console_settings.load(environment)
    known = {str(f.validation_alias) for f in console_settings.Settings.model_fields.values()}
    assert set(environment) - known == set()
    assert read.kafka_bootstrap_servers == connection.bootstrap_servers
    assert read.kafka_security_protocol == connection.security_protocol
    assert (read.review_topic, read.feedback_topic) == ("science-review", "science-feedback")
    assert read.consumer_group == "textmod.reddit.science.console"
    assert (read.object_namespace, read.object_name) == ("reddit", "science")
    assert (read.label_delay_hours, read.minimum_labels) == (24, 7)
    assert read.removes_unseen
    assert (read.console_port, read.console_internal_port) == (8080, 8081)
    assert str(read.console_data) == "/data"
    assert read.console_session_key is not None
    read.require_kafka()


def test_the_console_signs_in_as_the_object_says() -> None:
    token, proxy = (console_settings.load(written_for_console(*one)) for one in CONSOLES)
    assert token.console_authentication == "Token"
    assert token.database_url == "sqlite:////data/console.db"
    assert proxy.console_authentication == "Proxy"
    assert token.console_webhooks == ()
    assert [str(one) for one in proxy.console_webhook_networks] == ["10.96.0.0/12", "fd00::/8"]
    (hook,) = proxy.console_webhooks
    assert (hook.name, hook.url) == ("site", "https://example.com/a")
    assert set(hook.decisions) == {"Approve", "Remove", "Escalate"}
    assert str(proxy.console_webhooks_folder) == console_webhooks.FOLDER
    assert (proxy.console_proxy_user_header, proxy.console_proxy_groups_header) == (
        "X-User",
        "X-Groups",
    )
    assert proxy.database_url == "postgresql://db/review"


def test_the_console_takes_the_kafka_settings_of_the_model_server() -> None:
    def of_kafka(settings: type[BaseModel]) -> dict[str, str]:
        fields = settings.model_fields.items()
        return {name: repr(field) for name, field in fields if name.startswith("kafka_")}

    assert of_kafka(console_settings.Settings) == of_kafka(Settings)


LOGINS = {
    "none": {},
    "certificate": {
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CA_FILE": "/ca",
        "KAFKA_SSL_CERTIFICATE_FILE": "/crt",
        "KAFKA_SSL_KEY_FILE": "/key",
    },
    "SCRAM": {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": "anna",
        "KAFKA_SASL_PASSWORD": "hunter2",
    },
    "OAuth": {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        "KAFKA_OAUTH_TOKEN_ENDPOINT_URL": "https://login.example.com/token",
        "KAFKA_OAUTH_CLIENT_ID": "anna",
        "KAFKA_OAUTH_CLIENT_SECRET": "hunter2",
        "KAFKA_OAUTH_SCOPE": "kafka",
        "KAFKA_OAUTH_CA_FILE": "/oauth",
    },
    "AWS": {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "AWS_MSK_IAM",
        "KAFKA_AWS_REGION": "eu-central-1",
    },
}


@pytest.mark.parametrize("login", LOGINS.values(), ids=LOGINS)
def test_the_console_reaches_kafka_as_the_model_server_does(login: dict[str, str]) -> None:
    given = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "POD_NAME": "a-pod", **login}
    environment = {f"TEXTMOD_{name}": value for name, value in given.items()}
    console = console_kafka.client(console_settings.load(environment))
    assert console == model_kafka.client(load(environment))
    for value in login.values():
        assert value in console.values() or value == "AWS_MSK_IAM"


STATEMENT = {
    "ground": "DECISION_GROUND_ILLEGAL_CONTENT",
    "category": "STATEMENT_CATEGORY_SCAMS_AND_FRAUD",
}


def test_the_console_reads_the_policies_that_the_operator_hands_it() -> None:
    spec = {
        "review": {},
        "policies": [
            {
                "name": "spam",
                "statementOfReasons": STATEMENT,
                "rules": [{"action": "Review", "hold": True, "atLeast": 0.5}],
            }
        ],
    }
    rule = PolicyRuleStatus(
        action="Review", hold=True, threshold=0.5, source="Feedback",
        expectedPrecision=0.9, expectedRecall=0.25,
    )  # fmt: skip
    one = PolicyStatus(name="spam", label="removed", mode="Observe", rules=[rule])
    known = one.model_dump(by_alias=True, exclude_none=True)
    tm = moderation(spec)
    want = with_policies(
        tm, desired(tm, PLAIN, Capabilities()), {"policyVersion": "sha256:1", "policies": [known]}
    )
    (config_map,) = [one for one in want.console if one["kind"] == "ConfigMap"]
    read = InForce.model_validate_json(config_map["data"]["policies.json"])
    written = json.loads(read.model_dump_json(by_alias=True, exclude_none=True))
    assert written == json.loads(config_map["data"]["policies.json"])
    assert read.statement("spam") is not None
    assert read.threshold("removed") == 0.5


# --- what consoles measure ------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [0, 60])
def test_the_operator_reads_the_quality_that_the_console_writes(labels: int) -> None:
    since, until = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 8, tzinfo=UTC)
    items = [
        measurement.Chosen(1.0, True, (("spam", "Remove"),), 0.9, 1.0, times=labels),
        measurement.Chosen(0.01, False, (), 0.1, 0.0, times=labels),
    ]
    given = measurement.quality(
        items if labels else [], measurement.Asked(since, until, 50), 70, agreed=0.5
    )
    document = json.loads(json.dumps(quality_document(given)))
    read = measured_of(document).model_dump(by_alias=True, exclude_none=True, mode="json")
    assert read == document
    assert ("value" in read["precision"]) is bool(labels)


def test_the_operator_reads_the_evidence_that_the_console_writes() -> None:
    given = measurement.evidence([Labelled(1.0, 1.0, 0.93, 30), Labelled(200.0, 0.0, 0.5, 10)])
    document = json.loads(json.dumps(evidence_document("sha256:ab", {"removed": given})))
    read = policies.evidence_of(document)
    assert read is not None
    label = read.of("sha256:ab", "removed")
    assert label is not None
    assert label.labels == 40
    # In labels that weigh the same, at the middle of each bin.
    assert label.points == (policies.Point(0.125, 0.0, 10.0), policies.Point(2.625, 30.0, 0.0))
    assert policies.evidence_of(evidence_document(None, {})) is None


def test_the_model_reads_as_many_policies_as_an_object_may_have():
    spans = api.Explanation.model_json_schema()["properties"]["maxSpans"]
    assert (MOST_POLICIES, MOST_RULES) == (api.MOST_POLICIES, api.MOST_RULES)
    assert spans["maximum"] == MOST_SPANS


def test_the_console_reads_the_decisions_that_the_model_server_writes() -> None:
    origin = Origin(
        "/textmoderation/group", "science-input", "sha256:ab", {"TOXICITY": "removed"}, ""
    )
    given = Suggestion("an ünkind text \ud83d", {"TOXICITY": 0.75}, "comment:1", "Coral:site")
    found = judged(given, origin)
    assert found is not None
    key, value, headers = event(given, found, origin, 1_795_780_800.25)
    read = events.parse(events.header(headers, "ce_type"), value)
    assert isinstance(read, events.Decision)
    assert key.decode() == read.item
    assert read.labels == {"removed": 0.75}
    written = json.loads(value)
    known = events.plain(read)
    assert datetime.fromisoformat(known["at"]) == datetime.fromisoformat(written["at"])
    assert {**written, "at": known["at"]} == {name: known[name] for name in written}
    assert set(written) <= {f.alias for f in events.Decision.model_fields.values()}
    assert not read.selection, "it counts in no estimate"


@given(quantity=st.from_regex(PATTERN, fullmatch=True).filter(lambda text: len(text) <= 64))
def test_every_quantity_of_the_schema_is_a_memory_limit(quantity: str) -> None:
    limit = load({"TEXTMOD_MEMORY_LIMIT": quantity}).memory_limit
    assert limit is None or 0 < limit < 2**63
