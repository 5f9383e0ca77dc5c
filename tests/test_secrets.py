"""No secret leaves a process: in logs at any level, in errors, metrics, objects, Events, status."""

from __future__ import annotations

import ast
import base64
import http.server
import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from pydantic import SecretStr
from world import DEPLOYMENT, World, serving

import textmod_console.settings
import textmod_model.settings
from textmod_model.formats.schema_registry import open_client
from textmod_model.log_lines import QUIET
from textmod_model.serving import cli
from textmod_model.stream import kafka, kafka_config

ROOT = Path(__file__).parents[1]
SHIPPED = ("operator/textmod_operator", "model-server/textmod_model", "console/textmod_console")
SECRET = "hunter2-5f0c7a"
PROGRAMS = [textmod_model.settings, textmod_console.settings]


def hidden_in(*texts: object) -> None:
    """Assert that no text holds the secret, as it is or in base64."""
    encoded = [base64.b64encode(b"x" * pad + SECRET.encode()).decode()[4:-4] for pad in range(3)]
    for text in map(str, texts):
        for form in (SECRET, *encoded):
            assert form not in text, text[max(0, text.find(form) - 100) :][:300]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that a program logs whose log level is DEBUG."""
    for name in QUIET:  # as `configure` has them
        caplog.set_level(logging.WARNING, logger=name)
    for name in ("textmod_model.librdkafka", "kafka", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=name)
    caplog.set_level(logging.DEBUG)  # the last one: it is the handler's level too
    return caplog


# --- settings -------------------------------------------------------------------------------------


def secrets_of(program: Any) -> dict[str, str]:
    """An environment with the secret in every variable that holds one."""
    found = {
        str(field.validation_alias): SECRET
        for field in program.Settings.model_fields.values()
        if SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))
    }
    assert len(found) >= 5
    return found


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda one: one.__name__)
def test_settings_show_no_secret(program: Any) -> None:
    found = program.load(secrets_of(program))
    shown = program.describe(found)
    hidden_in(repr(found), found, json.dumps(shown), found.model_dump_json(), vars(found))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda one: one.__name__)
@pytest.mark.parametrize(
    "wrong",
    [
        {"TEXTMOD_KAFKA_OAUTH_TOKEN_ENDPOINT_URL": f"https://me:{SECRET}@login.example.com"},
        {"TEXTMOD_SCHEMA_REGISTRY_URL": f"https://me:{SECRET}@registry.example.com"},
        {"TEXTMOD_LOG_LEVEL": SECRET},
        {"TEXTMOD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
        {"TEXTMOD_CONSOLE_WEBHOOKS": json.dumps([{"name": "x", "url": f"https://a:{SECRET}@b"}])},
        {"TEXTMOD_CONSOLE_PORT": SECRET},
        {"TEXTMOD_MEMORY_LIMIT": SECRET},
        {"PREDICTIVE_UNIT_PARAMETERS": f'[{{"name": "x", "value": "{SECRET}"'},
    ],
)
def test_what_is_wrong_with_settings_repeats_no_secret(program: Any, wrong: dict[str, str]) -> None:
    try:
        program.load(secrets_of(program) | wrong)
    except Exception as error:  # noqa: BLE001 - whatever it raises
        hidden_in(error, repr(error), repr(error.__cause__))


def test_a_dry_run_masks_every_secret(capsys: pytest.CaptureFixture[str]) -> None:
    environment = secrets_of(textmod_model.settings) | {
        "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
        "TEXTMOD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "TEXTMOD_KAFKA_SASL_USERNAME": "me",
        "TEXTMOD_KAFKA_OAUTH_TOKEN_ENDPOINT_URL": "https://login.example.com",
        "TEXTMOD_KAFKA_OAUTH_CLIENT_ID": "me",
        **{f"TEXTMOD_{name}_TOPIC": name for name in ("INPUT", "OUTPUT", "DEAD_LETTER")},
        "TEXTMOD_CONSUMER_GROUP": "g",
        "TEXTMOD_STREAMING": "Native",
    }
    for mechanism in ("PLAIN", "SCRAM-SHA-512", "OAUTHBEARER"):
        assert cli.dry_run(environment | {"TEXTMOD_KAFKA_SASL_MECHANISM": mechanism}) == 0
        found = capsys.readouterr()
        assert "**********" in found.out
        hidden_in(found.out, found.err)


# --- clients, at the level at which they say most -------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"])
def test_librdkafka_logs_no_secret_when_it_logs_everything(
    log: pytest.LogCaptureFixture, mechanism: str
) -> None:
    """Nobody can switch this on in our programs; whoever does for a diagnosis sees no password."""
    settings = textmod_model.settings.load(
        {
            "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
            "TEXTMOD_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "TEXTMOD_KAFKA_SASL_MECHANISM": mechanism,
            "TEXTMOD_KAFKA_SASL_USERNAME": "me",
            "TEXTMOD_KAFKA_SASL_PASSWORD": SECRET,
            "TEXTMOD_KAFKA_OAUTH_TOKEN_ENDPOINT_URL": "http://127.0.0.1:9/token",
            "TEXTMOD_KAFKA_OAUTH_CLIENT_ID": "me",
            "TEXTMOD_KAFKA_OAUTH_CLIENT_SECRET": SECRET,
            "TEXTMOD_CONSUMER_GROUP": "g",
        }
    )
    sparing, kafka._client_log.filters = kafka._client_log.filters, []
    try:
        options = kafka_config.consumer(settings, "classic") | {"debug": "all"}
        consumer = kafka.open_consumer(options)
        consumer.subscribe(["in"])
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            consumer.poll(0.1)
        consumer.close()
    finally:
        kafka._client_log.filters = sparing
    assert "Client configuration" in log.text, "librdkafka logs all options"
    hidden_in(log.text)


class Registry(http.server.BaseHTTPRequestHandler):
    """A schema registry that wants another password, and repeats the one it got."""

    def do_GET(self) -> None:
        self.send_response(401, f"no: {self.headers['Authorization']} {SECRET}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_registrys_password_is_in_no_log_and_no_error(
    log: pytest.LogCaptureFixture, registry: str
) -> None:
    from textmod_model.formats.message import RegistryUnavailable
    from textmod_model.formats.schema_registry import SchemaRegistry

    schemas = SchemaRegistry(open_client(registry, "me", SECRET, None), "in", "out")
    with pytest.raises(RegistryUnavailable) as refused:
        schemas.read(b"\0\0\0\0\7value", None)
    hidden_in(refused.value, repr(refused.value))
    hidden_in(log.text)


# --- the operator ---------------------------------------------------------------------------------

SPEC = DEPLOYMENT | {
    "kafka": {
        "tls": {"caSecretRef": {"name": "ca"}},
        "sasl": {"mechanism": "SCRAM-SHA-512", "secretRef": {"name": "login"}},
        "schemaRegistry": {"url": "https://registry", "secretRef": {"name": "registry"}},
    },
    "message": {"format": "SchemaRegistry"},
    "serving": {
        "platform": "Deployment",
        "perspective": {"keySecretRef": {"name": "keys"}},
        "openai": {"keySecretRef": {"name": "keys"}},
    },
    "review": {"console": {"database": {"secretRef": {"name": "database"}}}},
}


def secret_world() -> World:
    world = serving()
    word = SECRET.encode()
    world.cluster.secrets |= {
        "login": {"username": b"me", "password": word},
        "registry": {"username": b"me", "password": word},
        "keys": {"key": word, "perspective": word, "openai": word},
        "database": {"url": b"postgresql://me:" + word + b"@db/review"},
        "ca": {"ca.crt": b"-----BEGIN CERTIFICATE-----\n" + word},
    }
    return world


@pytest.mark.parametrize("ca", [True, False], ids=["a CA that is none", "no CA"])
def test_no_pass_writes_a_secret_anywhere(log: pytest.LogCaptureFixture, ca: bool) -> None:
    world = secret_world()
    kafka_spec = SPEC["kafka"] if ca else {**SPEC["kafka"], "tls": {}}
    for _ in range(3):
        world.run(SPEC | {"kafka": kafka_spec})
    assert world.told["Ready"]
    assert world.cluster.live or ca
    hidden_in(
        json.dumps(world.cluster.body),
        json.dumps(list(world.cluster.live.values())),
        world.cluster.events,
        world.cluster.writes,
        world.kafka.writes,
        log.text,
        prometheus_client.generate_latest(prometheus_client.REGISTRY).decode(),
    )


@pytest.mark.parametrize("name", ["login", "registry", "keys", "database"])
def test_a_secret_without_the_key_that_is_asked_for_is_not_repeated(
    log: pytest.LogCaptureFixture, name: str
) -> None:
    world = secret_world()
    world.cluster.secrets[name] = {"another": SECRET.encode()}
    for _ in range(2):
        world.run(SPEC | {"kafka": {**SPEC["kafka"], "tls": {}}})
    hidden_in(json.dumps(world.cluster.body), world.cluster.events, log.text)


# --- the code -------------------------------------------------------------------------------------


@cache
def calls() -> list[tuple[str, ast.Call]]:
    """Every call of the shipped code, and its file."""
    return [
        (str(file.relative_to(ROOT)), node)
        for folder in SHIPPED
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
    ]


def test_no_option_of_a_command_takes_a_secret() -> None:
    """Everybody on a machine can read the arguments of its processes."""
    word = re.compile(r"password|secret|token|credential|private|\bkey\b")
    options = [
        (file, option.value)
        for file, call in calls()
        if ast.unparse(call.func).endswith("add_argument")
        for option in call.args
        if isinstance(option, ast.Constant) and isinstance(option.value, str)
    ]
    assert len(options) > 50
    assert [one for one in options if word.search(one[1])] == []


def test_secrets_are_unwrapped_where_clients_are_configured_alone() -> None:
    found = {file for file, call in calls() if ast.unparse(call.func).endswith("get_secret_value")}
    assert found == {
        "console/textmod_console/pages/app.py",
        "console/textmod_console/record/kafka_config.py",
        "console/textmod_console/settings.py",
        "model-server/textmod_model/serving/dropins.py",
        "model-server/textmod_model/serving/stream_parts.py",
        "model-server/textmod_model/settings.py",
        "model-server/textmod_model/stream/kafka_config.py",
    }


def test_nothing_logs_settings_options_or_the_environment() -> None:
    whole = re.compile(
        r"environ|environment|settings|options|configuration|connection|secrets?|password|headers"
    )
    logged = re.compile(
        r"^(self\.)?(_?log|logger|_logger|logging)\.(debug|info|warning|error|\w+)$"
    )
    found = [
        f"{file}:{call.lineno}"
        for file, call in calls()
        if logged.match(ast.unparse(call.func))
        for argument in call.args[1:]
        if whole.fullmatch(ast.unparse(argument).rpartition(".")[2])
    ]
    assert found == []
