"""The clients' configurations follow the settings, and print without their secrets."""

import json

import pytest

from textmod_model import settings
from textmod_model.errors import ConfigurationError
from textmod_model.serving import cli as serving_cli
from textmod_model.stream import kafka_config

STREAM = {
    "TEXTMOD_STREAMING": "Native",
    "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "TEXTMOD_INPUT_TOPIC": "in",
    "TEXTMOD_OUTPUT_TOPIC": "out",
    "TEXTMOD_DEAD_LETTER_TOPIC": "dead",
    "TEXTMOD_CONSUMER_GROUP": "group",
}
SECURE = STREAM | {
    "TEXTMOD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "TEXTMOD_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "TEXTMOD_KAFKA_SASL_USERNAME": "moderator",
    "TEXTMOD_KAFKA_SASL_PASSWORD": "hunter2",
    "TEXTMOD_KAFKA_SSL_CA_FILE": "/etc/kafka/ca.crt",
}


def test_the_cluster_is_reached_as_asked():
    options = kafka_config.client(settings.load(SECURE))
    assert options["security.protocol"] == "SASL_SSL"
    assert options["sasl.mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl.username"], options["sasl.password"]) == ("moderator", "hunter2")
    assert options["ssl.ca.location"] == "/etc/kafka/ca.crt"
    assert "ssl.key.location" not in options


OAUTH = STREAM | {
    "TEXTMOD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "TEXTMOD_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
    "TEXTMOD_KAFKA_OAUTH_TOKEN_ENDPOINT_URL": "https://login.example.com/token",
    "TEXTMOD_KAFKA_OAUTH_CLIENT_ID": "anna",
    "TEXTMOD_KAFKA_OAUTH_CLIENT_SECRET": "hunter2",
    "TEXTMOD_KAFKA_OAUTH_SCOPE": "kafka",
    "TEXTMOD_KAFKA_OAUTH_CA_FILE": "/etc/oauth/ca.crt",
}


def test_the_client_gets_its_tokens_from_the_provider():
    options = kafka_config.client(settings.load(OAUTH))
    assert options["sasl.mechanism"] == "OAUTHBEARER"
    assert options["sasl.oauthbearer.method"] == "oidc"
    assert options["sasl.oauthbearer.client.secret"] == "hunter2"
    assert options["sasl.oauthbearer.scope"] == "kafka"
    assert options["https.ca.location"] == "/etc/oauth/ca.crt"
    assert "hunter2" not in str(kafka_config.masked(options))


def test_an_aws_login_is_oauthbearer_with_a_region_for_the_callback():
    found = settings.load(
        STREAM
        | {
            "TEXTMOD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "TEXTMOD_KAFKA_SASL_MECHANISM": "AWS_MSK_IAM",
            "TEXTMOD_KAFKA_AWS_REGION": "eu-central-1",
        }
    )
    options = kafka_config.client(found)
    assert options["sasl.mechanism"] == "OAUTHBEARER"
    assert options["sasl.oauthbearer.config"] == "eu-central-1"


@pytest.mark.parametrize(
    ("mechanism", "missing"),
    [
        ("OAUTHBEARER", "TEXTMOD_KAFKA_OAUTH_CLIENT_SECRET"),
        ("AWS_MSK_IAM", "TEXTMOD_KAFKA_AWS_REGION"),
        ("PLAIN", "TEXTMOD_KAFKA_SASL_PASSWORD"),
    ],
)
def test_a_login_that_lacks_something_is_refused_with_its_name(mechanism, missing):
    asked = {
        "TEXTMOD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "TEXTMOD_KAFKA_SASL_MECHANISM": mechanism,
    }
    with pytest.raises(ConfigurationError, match=missing):
        settings.load(STREAM | asked)


def test_reading_alone_never_stores_an_offset():
    for delivery, commits in (("AtLeastOnce", True), ("ExactlyOnce", False)):
        options = kafka_config.consumer(
            settings.load(STREAM | {"TEXTMOD_DELIVERY": delivery}), "consumer"
        )
        assert options["enable.auto.offset.store"] is False
        assert options["enable.auto.commit"] is commits


def test_the_classic_protocol_says_how_to_assign_and_the_new_one_leaves_it_to_the_broker():
    found = settings.load(STREAM | {"TEXTMOD_POD_NAME": "pod-1"})
    classic, new = (kafka_config.consumer(found, name) for name in ("classic", "consumer"))
    assert classic["partition.assignment.strategy"] == "range"
    assert "partition.assignment.strategy" not in new
    assert "session.timeout.ms" not in new
    assert classic["group.instance.id"] == "pod-1"
    assert "group.instance.id" not in new


@pytest.mark.parametrize(("batch", "poll"), [(1, 300), (150, 300), (600, 1200), (20_000, 3600)])
def test_a_member_may_score_for_as_long_as_a_batch_takes(batch, poll):
    options = kafka_config.consumer(settings.load(STREAM), "consumer", batch_seconds=batch)
    assert options["max.poll.interval.ms"] == poll * 1000


def test_a_pods_transactions_carry_its_name_and_others_their_own():
    pod = settings.load(
        STREAM | {"TEXTMOD_DELIVERY": "ExactlyOnce", "TEXTMOD_POD_NAME": "science-0"}
    )
    assert kafka_config.producer(pod)["transactional.id"] == "group.science-0"
    assert "transactional.id" not in kafka_config.producer(settings.load(STREAM))
    assert kafka_config.transactional_id(settings.load(STREAM)).startswith("group.")


def test_the_dry_run_prints_everything_but_secrets(capsys):
    assert serving_cli.dry_run(SECURE) == 0
    printed = capsys.readouterr().out
    assert "hunter2" not in printed
    document = json.loads(printed)
    assert document["consumer"]["sasl.password"] == "**********"
    assert document["producer"]["enable.idempotence"] is True
    assert document["settings"]["TEXTMOD_INPUT_TOPIC"] == "in"


def test_the_dry_run_says_what_is_missing(capsys):
    assert serving_cli.dry_run({"TEXTMOD_STREAMING": "Native"}) == 78
    assert "TEXTMOD_INPUT_TOPIC" in capsys.readouterr().err
