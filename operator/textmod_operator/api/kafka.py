"""`spec.kafka`: how the operator and the model pods reach Kafka."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from textmod_operator.api.fields import SecretKey, SecretRef
from textmod_operator.api.rules import Rule, Strict

_PORT = r"(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
_SERVER = rf"([A-Z_]+://)?(\[[0-9a-fA-F:.]+\]|[^\s,:/\[\]]+)(:{_PORT})?"


class CaSecretRef(SecretRef):
    key: SecretKey = Field(
        default="ca.crt", description="Key of the CA certificates (PEM). Default: ca.crt."
    )


class CertificateSecretRef(SecretRef):
    cert_key: SecretKey = Field(
        default="tls.crt", description="Key of the client certificate (PEM). Default: tls.crt."
    )
    key_key: SecretKey = Field(
        default="tls.key", description="Key of the client's private key (PEM). Default: tls.key."
    )


class Tls(Strict):
    """TLS to the brokers."""

    ca_secret_ref: CaSecretRef | None = Field(
        default=None,
        description="The CA that signed the brokers' certificates. Default: the CAs that the "
        "images trust.",
    )
    certificate_secret_ref: CertificateSecretRef | None = Field(
        default=None,
        description="The client certificate, for brokers that want mutual TLS. Default: none.",
    )


class SaslSecretRef(SecretRef):
    username_key: SecretKey = Field(
        default="username", description="Key of the user name. Default: username."
    )
    password_key: SecretKey = Field(
        default="password", description="Key of the password. Default: password."
    )


class OAuthSecretRef(SecretRef):
    client_id_key: SecretKey = Field(
        default="client-id", description="Key of the client's id. Default: client-id."
    )
    client_secret_key: SecretKey = Field(
        default="client-secret", description="Key of the client's secret. Default: client-secret."
    )


class OAuth(Strict):
    """Client credentials of an OpenID Connect provider (OAuth 2.0, RFC 6749, 4.4)."""

    token_endpoint_url: str = Field(
        min_length=1,
        max_length=2048,
        pattern=r"^https?://[^\s@]+$",
        description="Where the provider hands out tokens, such as "
        "https://login.example.com/realms/kafka/protocol/openid-connect/token; without "
        "credentials. Required, so without a default.",
    )
    scope: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        pattern=r"^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$",
        description="Scopes to ask for, separated by spaces. Default: those that the provider "
        "gives unasked.",
    )
    secret_ref: OAuthSecretRef = Field(
        description="The Secret that holds the client's id and secret."
    )
    ca_secret_ref: CaSecretRef | None = Field(
        default=None,
        description="The CA that signed the provider's certificate. Default: the CAs that the "
        "images trust.",
    )


class Aws(Strict):
    """Login to Amazon MSK with the identity that AWS gives to the process."""

    region: str = Field(
        pattern=r"^[a-z]{2,4}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$",
        max_length=32,
        description="Region of the MSK cluster, such as eu-central-1. Required, so without a "
        "default.",
    )


BY_PASSWORD = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
"""Mechanisms with a user name and a password."""


class Sasl(Strict):
    """SASL authentication to the brokers."""

    rules = (
        Rule(
            "(self.mechanism in ['OAUTHBEARER', 'AWS_MSK_IAM']) != has(self.secretRef)",
            "kafka.sasl.secretRef is required for PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, and must "
            "be left out for other mechanisms: it holds a user name and a password",
            lambda sasl: (sasl.mechanism in BY_PASSWORD) == (sasl.secret_ref is not None),
        ),
        Rule(
            "(self.mechanism == 'OAUTHBEARER') == has(self.oauth)",
            "kafka.sasl.oauth is required for OAUTHBEARER, and must be left out for other "
            "mechanisms",
            lambda sasl: (sasl.mechanism == "OAUTHBEARER") == (sasl.oauth is not None),
        ),
        Rule(
            "(self.mechanism == 'AWS_MSK_IAM') == has(self.aws)",
            "kafka.sasl.aws is required for AWS_MSK_IAM, and must be left out for other mechanisms",
            lambda sasl: (sasl.mechanism == "AWS_MSK_IAM") == (sasl.aws is not None),
        ),
    )

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"] = (
        Field(
            description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512: user name and password (secretRef)."
            " OAUTHBEARER: tokens of an OpenID Connect provider (oauth). AWS_MSK_IAM: the pods' "
            "and the operator's own AWS roles (aws). Required, so without a default."
        )
    )
    secret_ref: SaslSecretRef | None = Field(
        default=None,
        description="The Secret that holds user name and password; PLAIN and SCRAM only. Default: "
        "none.",
    )
    oauth: OAuth | None = Field(
        default=None,
        description="Where tokens come from; OAUTHBEARER only. Default: none.",
    )
    aws: Aws | None = Field(
        default=None, description="Which MSK cluster; AWS_MSK_IAM only. Default: none."
    )


class SchemaRegistry(Strict):
    """A schema registry with Confluent's API."""

    url: str = Field(
        min_length=1,
        max_length=2048,
        pattern=r"^https?://[^\s@]+$",
        description="Address of the registry, such as https://registry:8081, several separated by "
        "commas; without credentials. Required, so without a default.",
    )
    secret_ref: SaslSecretRef | None = Field(
        default=None,
        description="The Secret that holds user name and password of the registry. Default: none.",
    )
    ca_secret_ref: CaSecretRef | None = Field(
        default=None,
        description="The CA that signed the registry's certificate. Default: the CAs that the "
        "image trusts.",
    )


class Kafka(Strict):
    """How the operator and the model pods reach Kafka."""

    rules = (
        Rule(
            "!has(self.sasl) || self.sasl.mechanism != 'AWS_MSK_IAM' || has(self.tls)",
            "kafka.sasl.mechanism AWS_MSK_IAM needs kafka.tls: Amazon MSK takes IAM logins only "
            "over TLS; an empty object, tls: {}, trusts its public CA",
            lambda kafka: kafka.sasl is None or kafka.sasl.aws is None or kafka.tls is not None,
        ),
    )

    bootstrap_servers: str = Field(
        min_length=1,
        max_length=2048,
        pattern=rf"^{_SERVER}(,{_SERVER})*$",
        description="Brokers to start from: host:port, several separated by commas; a port is a "
        "number from 1 to 65535, and 9092 where it is left out.",
    )
    tls: Tls | None = Field(
        default=None,
        description="TLS to the brokers; an empty object ({}) is TLS with the "
        "images' own CAs. Default: no TLS.",
    )
    sasl: Sasl | None = Field(default=None, description="SASL to the brokers. Default: no SASL.")
    schema_registry: SchemaRegistry | None = Field(
        default=None,
        description="The schema registry of the topics' values; the model pods ask it. Default: "
        "none.",
    )
