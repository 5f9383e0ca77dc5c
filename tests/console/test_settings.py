"""The console's settings: names, defaults, and a sentence for each fault."""

import pytest

from textmod_console import settings
from textmod_console.errors import ConfigurationError

PROXY = {"TEXTMOD_CONSOLE_AUTHENTICATION": "Proxy"}
SASL = {"TEXTMOD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
LOOPBACK = {"TEXTMOD_CONSOLE_AUTHENTICATION": "Loopback"}


def test_the_database_is_sqlite_in_the_data_folder() -> None:
    found = settings.load({"TEXTMOD_CONSOLE_DATA": "/srv"})
    assert found.database_url == "sqlite:////srv/console.db"


def test_an_empty_value_counts_as_unset() -> None:
    found = settings.load({"TEXTMOD_CONSOLE_PORT": "", "TEXTMOD_CONSOLE_DATABASE_URL": ""})
    assert found.console_port == 8080
    assert found.console_database_url is None


def test_it_listens_on_addresses_of_the_clusters_family() -> None:
    assert settings.load({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}).console_bind_address != "::"
    assert settings.load({"KUBERNETES_SERVICE_HOST": "fd00::1"}).console_bind_address == "::"
    local = {"KUBERNETES_SERVICE_HOST": "fd00::1", "TEXTMOD_CONSOLE_BIND_ADDRESS": "127.0.0.1"}
    assert settings.load(local).console_bind_address == "127.0.0.1"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (PROXY, "TEXTMOD_CONSOLE_AUTHENTICATION=Proxy needs TEXTMOD_CONSOLE_PROXY_SECRET: set it."),
        (
            PROXY | {"TEXTMOD_CONSOLE_PROXY_SECRET": " "},
            (
                "TEXTMOD_CONSOLE_PROXY_SECRET: must hold a secret; "
                "leave the variable out to have none."
            ),
        ),
        (
            LOOPBACK,
            (
                "TEXTMOD_CONSOLE_AUTHENTICATION=Loopback admits everyone who can connect: set"
                " TEXTMOD_CONSOLE_BIND_ADDRESS to a loopback address such as 127.0.0.1."
            ),
        ),
        (
            SASL,
            "TEXTMOD_KAFKA_SECURITY_PROTOCOL=SASL_SSL needs TEXTMOD_KAFKA_SASL_MECHANISM: set it.",
        ),
        (
            {"TEXTMOD_CONSOLE_WEBHOOK_NETWORKS": "10.0.0.0/8, 10.0.0.1/8"},
            "TEXTMOD_CONSOLE_WEBHOOK_NETWORKS.1: value is not a valid IPv4 or IPv6 network.",
        ),
        (
            {"TEXTMOD_CONSOLE_PORT": "0"},
            "TEXTMOD_CONSOLE_PORT: input should be greater than or equal to 1.",
        ),
        (
            {"TEXTMOD_REVIEW_TOPIC": "x", "TEXTMOD_FEEDBACK_TOPIC": "x"},
            "TEXTMOD_REVIEW_TOPIC and TEXTMOD_FEEDBACK_TOPIC must name different topics.",
        ),
    ],
)
def test_a_fault_is_one_sentence(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        settings.load(environment)
    assert str(raised.value) == sentence


def test_what_is_described_holds_no_secret() -> None:
    given = {
        "TEXTMOD_CONSOLE_DATABASE_URL": "postgresql://u:hunter2@db/x",
        "TEXTMOD_CONSOLE_SESSION_KEY": "hunter2",
        "TEXTMOD_KAFKA_SASL_PASSWORD": "hunter2",
    }
    assert "hunter2" not in repr(settings.describe(settings.load(given)))
    assert "hunter2" not in repr(settings.load(given))


def test_a_server_needs_its_topics() -> None:
    found = settings.load({"TEXTMOD_REVIEW_TOPIC": "r", "TEXTMOD_FEEDBACK_TOPIC": "f"})
    with pytest.raises(ConfigurationError, match=r"TEXTMOD_KAFKA_BOOTSTRAP_SERVERS.*set them\."):
        found.require_kafka()
