"""Tokens for Amazon MSK."""

import pytest

from textmod_model.errors import ConfigurationError
from textmod_model.stream.aws import Token, Tokens

LIFE = 900.0


class Signer:
    """AWS: signs tokens of 15 minutes, or has no credentials."""

    def __init__(self) -> None:
        self.now, self.signed, self.fails = 1000.0, 0, False

    def sign(self, region: str) -> Token:
        if self.fails:
            raise ConfigurationError("no credentials")
        self.signed += 1
        return Token(f"{region} {self.signed}", self.now + LIFE)


@pytest.fixture
def aws() -> Signer:
    return Signer()


@pytest.fixture
def tokens(aws: Signer) -> Tokens:
    return Tokens(aws.sign, lambda: aws.now)


def test_clients_opened_one_after_the_other_share_a_token(aws: Signer, tokens: Tokens):
    first = tokens.token("eu")
    aws.now += 400
    assert tokens.token("eu") == first == Token("eu 1", 1900.0)
    assert tokens.token("us").text == "us 2"


def test_a_client_that_renews_its_token_gets_a_new_one(aws: Signer, tokens: Tokens):
    """librdkafka renews once four fifths of the time have passed; of a shared token, what was
    left of it."""
    tokens.token("eu")
    aws.now += 440
    aws.now += (tokens.token("eu").until - aws.now) * 0.8
    assert tokens.token("eu") == Token("eu 2", aws.now + LIFE)


def test_a_token_outlasts_an_outage_of_aws(aws: Signer, tokens: Tokens):
    first = tokens.token("eu")
    aws.fails = True
    aws.now += 860
    assert tokens.token("eu") == first
    aws.now += 20
    with pytest.raises(ConfigurationError, match="no credentials"):
        tokens.token("eu")


def test_without_any_credentials_that_is_said(aws: Signer, tokens: Tokens):
    aws.fails = True
    with pytest.raises(ConfigurationError, match="no credentials"):
        tokens.token("eu")
