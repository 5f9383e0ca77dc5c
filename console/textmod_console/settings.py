"""The console's settings, read from environment variables.

The operator writes these variables. An empty value counts as unset. The names of the Kafka
connection are the model server's (`tests/test_contract.py`).
"""

import json
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from textmod_console.errors import ConfigurationError, sentences

Port = Annotated[int, Field(ge=1, le=65535)]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"]
Authentication = Literal["Token", "Proxy", "Loopback"]


class Webhook(BaseModel):
    """A URL that is sent decisions."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[a-z0-9]+(-+[a-z0-9]+)*$")
    """Also of the folder with its secret."""
    url: str = Field(pattern=r"^https?://[^\s@]+$")
    decisions: tuple[str, ...]
    """The decisions that are sent."""


class Settings(BaseModel):
    """The console's settings, checked as a whole; immutable afterwards."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=lambda name: f"TEXTMOD_{name.upper()}"),
        frozen=True,
        hide_input_in_errors=True,
    )

    kafka_bootstrap_servers: str = ""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism | None = None
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_oauth_token_endpoint_url: str | None = Field(None, pattern=r"^https?://[^\s@]+$")
    kafka_oauth_scope: str | None = None
    kafka_oauth_client_id: str | None = None
    kafka_oauth_client_secret: SecretStr | None = None
    kafka_oauth_ca_file: Path | None = None
    kafka_aws_region: str | None = None
    kafka_ssl_ca_file: Path | None = None
    kafka_ssl_certificate_file: Path | None = None
    kafka_ssl_key_file: Path | None = None

    review_topic: str = ""
    feedback_topic: str = ""
    consumer_group: str = ""
    """Names the console in Kafka: its clients, and the transactional id of its producer."""
    object_namespace: str = "default"
    object_name: str = "console"

    console_policies_file: Path | None = None
    """The policies in force, written by the operator. None: the object has none."""
    console_webhooks: tuple[Webhook, ...] = ()
    """From a JSON list."""
    console_webhooks_folder: Path = Path("/etc/textmod/webhooks")
    """Holds a folder for each webhook, with a file `secret`."""
    console_webhook_networks: tuple[IPvAnyNetwork, ...] = ()
    """From a list with commas: networks that are not public, and that webhooks may lead to."""
    console_data: Path = Path("/data")
    console_database_url: SecretStr | None = None
    """A SQLAlchemy URL of SQLite or Postgres. None: SQLite in `console_data`."""

    console_authentication: Authentication = "Token"
    console_proxy_secret: SecretStr | None = None
    console_proxy_user_header: str = "X-Forwarded-User"
    console_proxy_groups_header: str = "X-Forwarded-Groups"
    console_session_key: SecretStr | None = None
    """Signs sessions. None: a key is made once and kept in `console_data`."""
    console_kubeconfig: Path | None = None
    """Where the API server is. None: the pod's service account."""

    console_bind_address: str = "0.0.0.0"  # noqa: S104 - a pod serves on all of its own addresses
    console_port: Port = 8080
    console_internal_port: Port = 8081

    label_delay_hours: float = Field(72, ge=0)
    minimum_labels: int = Field(50, ge=1)
    removes_unseen: bool = True
    """Whether policies remove texts without asking for a review."""

    pod_name: str | None = None
    shutdown_seconds: float = Field(25.0, gt=0)
    termination_log: Path = Path("/dev/termination-log")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def database_url(self) -> str:
        """Return the URL of the database; it may hold a password."""
        if self.console_database_url is None:
            return f"sqlite:///{self.console_data}/console.db"
        return self.console_database_url.get_secret_value()

    @field_validator("console_webhooks", mode="before")
    @classmethod
    def _read_webhooks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            message = "must be a JSON list of {name, url, decisions} objects"
            raise ValueError(message) from None

    @field_validator("console_webhook_networks", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.split(",") if part.strip()]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL_"):
            self._require_login()
        if (self.kafka_ssl_certificate_file is None) != (self.kafka_ssl_key_file is None):
            message = (
                "TEXTMOD_KAFKA_SSL_CERTIFICATE_FILE and TEXTMOD_KAFKA_SSL_KEY_FILE belong together:"
                " set both or neither"
            )
            raise ValueError(message)
        if self.review_topic and self.review_topic == self.feedback_topic:
            message = "TEXTMOD_REVIEW_TOPIC and TEXTMOD_FEEDBACK_TOPIC must name different topics"
            raise ValueError(message)
        if self.console_port == self.console_internal_port:
            message = (
                "TEXTMOD_CONSOLE_PORT and TEXTMOD_CONSOLE_INTERNAL_PORT must differ: figures for"
                " the operator are not served to reviewers"
            )
            raise ValueError(message)
        self._check_authentication()
        return self

    def _check_authentication(self) -> None:
        because = f"TEXTMOD_CONSOLE_AUTHENTICATION={self.console_authentication}"
        if self.console_authentication == "Proxy":
            self._require(because, TEXTMOD_CONSOLE_PROXY_SECRET=self.console_proxy_secret)
        if self.console_authentication == "Loopback" and not is_loopback(self.console_bind_address):
            message = (
                f"{because} admits everyone who can connect: set TEXTMOD_CONSOLE_BIND_ADDRESS to a"
                " loopback address such as 127.0.0.1"
            )
            raise ValueError(message)

    def require_kafka(self) -> None:
        """Raise ConfigurationError unless brokers, topics and group are set."""
        try:
            self._require(
                "the console",
                TEXTMOD_KAFKA_BOOTSTRAP_SERVERS=self.kafka_bootstrap_servers,
                TEXTMOD_REVIEW_TOPIC=self.review_topic,
                TEXTMOD_FEEDBACK_TOPIC=self.feedback_topic,
                TEXTMOD_CONSUMER_GROUP=self.consumer_group,
            )
        except ValueError as error:
            raise ConfigurationError(f"{error}.") from None

    def _require_login(self) -> None:
        mechanism = self.kafka_sasl_mechanism
        self._require(
            f"TEXTMOD_KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol}",
            TEXTMOD_KAFKA_SASL_MECHANISM=mechanism,
        )
        because = f"TEXTMOD_KAFKA_SASL_MECHANISM={mechanism}"
        if mechanism == "OAUTHBEARER":
            self._require(
                because,
                TEXTMOD_KAFKA_OAUTH_TOKEN_ENDPOINT_URL=self.kafka_oauth_token_endpoint_url,
                TEXTMOD_KAFKA_OAUTH_CLIENT_ID=self.kafka_oauth_client_id,
                TEXTMOD_KAFKA_OAUTH_CLIENT_SECRET=self.kafka_oauth_client_secret,
            )
        elif mechanism == "AWS_MSK_IAM":
            self._require(because, TEXTMOD_KAFKA_AWS_REGION=self.kafka_aws_region)
        else:
            self._require(
                because,
                TEXTMOD_KAFKA_SASL_USERNAME=self.kafka_sasl_username,
                TEXTMOD_KAFKA_SASL_PASSWORD=self.kafka_sasl_password,
            )

    @staticmethod
    def _require(because: str, **variables: object) -> None:
        missing = [name for name, value in variables.items() if not value]
        if missing:
            message = (
                f"{because} needs {', '.join(missing)}: set {'it' if len(missing) == 1 else 'them'}"
            )
            raise ValueError(message)


def is_loopback(address: str) -> bool:
    """Whether an address, without a port, is this machine's own."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


_NEVER_EMPTY = ("TEXTMOD_CONSOLE_PROXY_SECRET", "TEXTMOD_CONSOLE_SESSION_KEY")
"""An empty Secret must not switch authentication off."""


def load(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`; raises ConfigurationError with one sentence per fault."""
    emptied = [name for name in _NEVER_EMPTY if environment.get(name, "x").strip() == ""]
    if emptied:
        message = f"{emptied[0]}: must hold a secret; leave the variable out to have none."
        raise ConfigurationError(message)
    given = {name: value for name, value in environment.items() if value != ""}
    if ":" in environment.get("KUBERNETES_SERVICE_HOST", ""):  # pods have IPv6 addresses first
        given.setdefault("TEXTMOD_CONSOLE_BIND_ADDRESS", "::")
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise ConfigurationError(" ".join(sentences(error))) from None


def describe(settings: Settings) -> dict[str, Any]:
    """The effective settings by environment variable, ready for JSON; secrets masked."""
    values = settings.model_dump(mode="json")
    return {
        str(field.validation_alias): values[name] for name, field in Settings.model_fields.items()
    }
