"""The environment in, checked settings or a sentence out."""

import pytest

from textmod_model import settings
from textmod_model.errors import ConfigurationError

STREAM = {
    "TEXTMOD_STREAMING": "Native",
    "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "TEXTMOD_INPUT_TOPIC": "in",
    "TEXTMOD_OUTPUT_TOPIC": "out",
    "TEXTMOD_DEAD_LETTER_TOPIC": "dead",
    "TEXTMOD_CONSUMER_GROUP": "group",
}


def test_an_empty_environment_serves_synchronously_on_seldons_ports():
    found = settings.load({})
    assert found.streaming == "Off"
    assert (found.http_port, found.grpc_port, found.metrics_port) == (9000, 9500, 6000)
    assert (found.batch_max_messages, found.batch_max_wait_milliseconds) == (256, 20)


def test_an_empty_value_counts_as_unset():
    assert settings.load({"TEXTMOD_MODEL_DIGEST": "", "TEXTMOD_DELIVERY": ""}).model_digest is None


def test_it_listens_on_addresses_of_the_clusters_family():
    assert settings.load({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}).bind_address != "::"
    assert settings.load({"KUBERNETES_SERVICE_HOST": "fd00::1"}).bind_address == "::"
    local = {"KUBERNETES_SERVICE_HOST": "fd00::1", "TEXTMOD_BIND_ADDRESS": "127.0.0.1"}
    assert settings.load(local).bind_address == "127.0.0.1"


def test_reads_what_seldon_injects():
    found = settings.load(
        {
            "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "9001",
            "PREDICTIVE_UNIT_PARAMETERS": '[{"name":"threshold","value":"0.3","type":"FLOAT"}]',
        }
    )
    assert found.http_port == 9001
    assert found.parameters == {"threshold": "0.3"}


def test_a_password_shows_nowhere():
    found = settings.load({"TEXTMOD_KAFKA_SASL_PASSWORD": "hunter2"})
    assert "hunter2" not in repr(found)
    assert "hunter2" not in str(settings.describe(found))
    assert found.kafka_sasl_password is not None
    assert found.kafka_sasl_password.get_secret_value() == "hunter2"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"TEXTMOD_INPUT_TOPIC": ""}, "TEXTMOD_STREAMING=Native needs TEXTMOD_INPUT_TOPIC: set"),
        ({"TEXTMOD_OUTPUT_TOPIC": "in"}, "three different topics"),
        ({"TEXTMOD_DELIVERY": "AtMostOnce"}, "TEXTMOD_DELIVERY: input should be 'AtLeastOnce' or"),
        (
            {"TEXTMOD_BATCH_MAX_MESSAGES": "0"},
            "TEXTMOD_BATCH_MAX_MESSAGES: input should be",
        ),
        ({"TEXTMOD_MODEL_DIGEST": "sha256:abc"}, "TEXTMOD_MODEL_DIGEST: "),
        ({"TEXTMOD_MODEL_THRESHOLD": "1.5"}, "TEXTMOD_MODEL_THRESHOLD: "),
        ({"TEXTMOD_MESSAGE_TEXT_FIELD": "a..b"}, "TEXTMOD_MESSAGE_TEXT_FIELD: must be a dotted"),
        ({"PREDICTIVE_UNIT_GRPC_SERVICE_PORT": "0"}, "PREDICTIVE_UNIT_GRPC_SERVICE_PORT: "),
        ({"PREDICTIVE_UNIT_PARAMETERS": "{}}"}, "must be a JSON list of {name, value, type}"),
        ({"TEXTMOD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "TEXTMOD_KAFKA_SASL_MECHANISM"),
        (
            {
                "TEXTMOD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                "TEXTMOD_KAFKA_SASL_MECHANISM": "PLAIN",
            },
            "TEXTMOD_KAFKA_SASL_USERNAME",
        ),
        ({"TEXTMOD_KAFKA_SSL_KEY_FILE": "/key"}, "belong together"),
        ({"TEXTMOD_SHUTDOWN_SECONDS": "soon"}, "TEXTMOD_SHUTDOWN_SECONDS: "),
    ],
)
def test_says_in_a_sentence_what_is_wrong(change, says):
    with pytest.raises(ConfigurationError) as raised:
        settings.load(STREAM | change)
    assert says in str(raised.value)
    assert str(raised.value).endswith(".")
    assert raised.value.exit_code == 78


def test_a_complaint_never_repeats_a_value():
    with pytest.raises(ConfigurationError) as raised:
        settings.load(STREAM | {"TEXTMOD_MODEL_DIGEST": "hunter2", "TEXTMOD_LOG_LEVEL": "hunter2"})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("quantity", "size"),
    [
        ("512Mi", 2**29), ("1e9", 10**9), ("1E9", 10**9), ("5.e8", 5 * 10**8), (".5Gi", 2**29),
        ("1e+06", 10**6), ("536870912.0", 2**29), ("1m", 1), ("1n", 1), ("2000000u", 2),
        ("1E", 10**18), ("10Ei", 2**63 - 1), ("1e400", 2**63 - 1),
        ("0", None), ("0Mi", None), ("+1k", 1000),
    ],
)  # fmt: skip
def test_the_memory_limit_is_any_quantity_of_kubernetes(quantity, size):
    assert settings.load({"TEXTMOD_MEMORY_LIMIT": quantity}).memory_limit == size
