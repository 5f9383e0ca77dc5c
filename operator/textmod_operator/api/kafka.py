"""`spec.kafka`: how the operator and the model pods reach Kafka."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from textmod_operator.api.fields import ObjectName, SecretKey
from textmod_operator.api.rules import Strict

_PORT = r"(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
_SERVER = rf"([A-Z_]+://)?(\[[0-9a-fA-F:.]+\]|[^\s,:/\[\]]+)(:{_PORT})?"


class CaSecretRef(Strict):
    name: ObjectName = Field(description="Name of a Secret in the object's own namespace.")
    key: SecretKey = Field(
        default="ca.crt", description="Key of the CA certificates (PEM). Default: ca.crt."
    )


class CertificateSecretRef(Strict):
    name: ObjectName = Field(description="Name of a Secret in the object's own namespace.")
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


class SaslSecretRef(Strict):
    name: ObjectName = Field(description="Name of a Secret in the object's own namespace.")
    username_key: SecretKey = Field(
        default="username", description="Key of the user name. Default: username."
    )
    password_key: SecretKey = Field(
        default="password", description="Key of the password. Default: password."
    )


class Sasl(Strict):
    """SASL authentication to the brokers."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."
    )
    secret_ref: SaslSecretRef = Field(description="The Secret that holds user name and password.")


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
