"""What the model server reads from its environment, and nothing else does.

The operator writes these variables; Seldon adds its PREDICTIVE_UNIT_* ones. An empty value counts
as unset. Importing this module costs pydantic and no more: the process has two seconds from its
start to the first verdict.
"""

import json
import math
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from textmod_model.errors import ConfigurationError, sentences

Port = Annotated[int, Field(ge=1, le=65535)]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"]
MessageFormat = Literal["Auto", "Seldon", "Json", "Text", "SchemaRegistry"]
OutputFormat = Literal["Seldon", "Verdict", "Avro", "JsonSchema", "Osprey"]


class Settings(BaseModel):
    """The server's settings, checked as a whole; immutable afterwards."""

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

    schema_registry_url: str = Field("", pattern=r"^(https?://[^\s@]+)?$")
    schema_registry_username: str | None = None
    schema_registry_password: SecretStr | None = None
    schema_registry_ca_file: Path | None = None

    input_topic: str = ""
    output_topic: str = ""
    dead_letter_topic: str = ""
    consumer_group: str = ""
    input_topic_id: str = Field("", pattern=r"^([A-Za-z0-9_+/-]{22})?$")
    """Kafka's id of the topic that the stream began with. In the ids of messages of another topic
    of its name, which was created since, that topic's id stands too. Empty: in none."""

    review_topic: str = ""
    """Where review requests are written; empty: none are."""
    feedback_topic: str = ""
    """Where decisions are written that callers suggest; empty: none are."""
    review_sample: float = Field(0.0, ge=0, le=1)
    """Share of all texts that is reviewed at random."""
    review_salt: str = ""
    """Of the random choice: the same in every replica of a stream."""

    streaming: Literal["Native", "Off"] = "Off"
    delivery: Literal["AtLeastOnce", "ExactlyOnce"] = "AtLeastOnce"
    batch_max_messages: int = Field(256, ge=1, le=100_000)
    batch_max_wait_milliseconds: int = Field(20, ge=0, le=60_000)

    message_format: MessageFormat = "Auto"
    message_text_field: str = "body"
    message_output_format: OutputFormat = "Seldon"
    message_tombstones: Literal["DeadLetter", "Forward"] = "DeadLetter"

    artifact: Path = Path("/model")
    model_digest: str | None = Field(None, pattern=r"^sha256:[0-9a-f]{64}$")
    model_threshold: float | None = Field(None, ge=0, le=1)

    policies_file: Path | None = None
    """The solved policies; None: verdicts have no action."""

    memory_limit: int | None = Field(None, gt=0)
    """Bytes; a Kubernetes quantity such as 512Mi is taken too, 0 being no limit. None: the control
    group's."""

    perspective_attributes: dict[str, str] = {}
    """Perspective's attributes to labels; empty: each label under its upper-case name."""
    perspective_languages: tuple[str, ...] = ("en",)
    """ISO 639-1 codes, separated by commas; `*`: any."""
    perspective_origins: tuple[str, ...] = ()
    """Origins of web pages whose scripts may call, separated by commas; `*`: any page's."""
    perspective_key: SecretStr | None = None
    openai_key: SecretStr | None = None
    """Keys that callers must present, several separated by white space. None: no key is needed."""

    protocol: Literal["Rest", "Grpc"] = "Rest"
    bind_address: str = "0.0.0.0"  # noqa: S104 - a pod serves on all of its own addresses
    http_port: Port = Field(9000, validation_alias="PREDICTIVE_UNIT_HTTP_SERVICE_PORT")
    grpc_port: Port = Field(9500, validation_alias="PREDICTIVE_UNIT_GRPC_SERVICE_PORT")
    metrics_port: Port = Field(6000, validation_alias="PREDICTIVE_UNIT_METRICS_SERVICE_PORT")
    parameters: dict[str, str] = Field({}, validation_alias="PREDICTIVE_UNIT_PARAMETERS")

    pod_name: str | None = None
    shutdown_seconds: float = Field(25.0, gt=0)
    termination_log: Path = Path("/dev/termination-log")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def written_topics(self) -> tuple[str, ...]:
        """The topics that the stream writes."""
        topics = (self.output_topic, self.dead_letter_topic, self.review_topic)
        return tuple(topic for topic in topics if topic)

    @field_validator("parameters", mode="before")
    @classmethod
    def _read_parameters(cls, value: object) -> object:
        """Seldon gives a JSON list of {name, value, type}; the values stay text here."""
        if not isinstance(value, str):
            return value
        try:
            return {entry["name"]: str(entry["value"]) for entry in json.loads(value)}
        except (ValueError, TypeError, KeyError):
            message = "must be a JSON list of {name, value, type} objects"
            raise ValueError(message) from None

    @field_validator("perspective_attributes", mode="before")
    @classmethod
    def _read_attributes(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            message = "must be a JSON object of attribute and label"
            raise ValueError(message) from None

    @field_validator("perspective_languages", mode="before")
    @classmethod
    def _read_languages(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        codes = [code.strip().lower() for code in value.split(",")]
        return () if codes == ["*"] else tuple(codes)

    @field_validator("perspective_origins", mode="before")
    @classmethod
    def _read_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(origin.strip() for origin in value.split(","))

    @field_validator("perspective_key", "openai_key")
    @classmethod
    def _holds_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().strip():
            message = "must hold a key; leave the variable out to ask for none"
            raise ValueError(message)
        return value

    @field_validator("memory_limit", mode="before")
    @classmethod
    def _read_quantity(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = _QUANTITY.fullmatch(value)
        if found is None:
            return value
        exponent = found["exponent"]
        factor = _UNITS[found["unit"] or ""] if exponent is None else _tenfold(int(exponent))
        # Kubernetes rounds up, ends at 63 bits, and takes 0 for no limit.
        return min(math.ceil(Fraction(found["number"]) * factor), 2**63 - 1) or None

    @field_validator("message_text_field")
    @classmethod
    def _dotted_path(cls, value: str) -> str:
        if not all(value.split(".")):
            message = "must be a dotted path such as body or comment.text"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.streaming == "Native":
            self._require_stream()
        if self.kafka_security_protocol.startswith("SASL_"):
            self._require_login()
        if (self.kafka_ssl_certificate_file is None) != (self.kafka_ssl_key_file is None):
            message = (
                "TEXTMOD_KAFKA_SSL_CERTIFICATE_FILE and TEXTMOD_KAFKA_SSL_KEY_FILE belong together:"
                " set both or neither"
            )
            raise ValueError(message)
        return self

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

    def _require_stream(self) -> None:
        self._require(
            "TEXTMOD_STREAMING=Native",
            TEXTMOD_KAFKA_BOOTSTRAP_SERVERS=self.kafka_bootstrap_servers,
            TEXTMOD_INPUT_TOPIC=self.input_topic,
            TEXTMOD_OUTPUT_TOPIC=self.output_topic,
            TEXTMOD_DEAD_LETTER_TOPIC=self.dead_letter_topic,
            TEXTMOD_CONSUMER_GROUP=self.consumer_group,
        )
        if self.message_format == "SchemaRegistry":
            self._require(
                "TEXTMOD_MESSAGE_FORMAT=SchemaRegistry",
                TEXTMOD_SCHEMA_REGISTRY_URL=self.schema_registry_url,
            )
        if self.message_output_format in {"Avro", "JsonSchema"}:
            self._require(
                f"TEXTMOD_MESSAGE_OUTPUT_FORMAT={self.message_output_format}",
                TEXTMOD_SCHEMA_REGISTRY_URL=self.schema_registry_url,
            )
        if self.review_topic:
            self._require("TEXTMOD_REVIEW_TOPIC", TEXTMOD_REVIEW_SALT=self.review_salt)
        topics = {self.input_topic, self.output_topic, self.dead_letter_topic}
        if self.review_topic in topics:
            message = (
                "TEXTMOD_REVIEW_TOPIC must name a topic of its own, or texts to review would be "
                "read as something else"
            )
            raise ValueError(message)
        if len(topics) < 3:
            message = (
                "TEXTMOD_INPUT_TOPIC, TEXTMOD_OUTPUT_TOPIC and TEXTMOD_DEAD_LETTER_TOPIC must name"
                " three different topics, or the stream would read what it writes"
            )
            raise ValueError(message)

    @staticmethod
    def _require(because: str, **variables: object) -> None:
        missing = [name for name, value in variables.items() if not value]
        if missing:
            message = (
                f"{because} needs {', '.join(missing)}: set {'it' if len(missing) == 1 else 'them'}"
            )
            raise ValueError(message)


_QUANTITY = re.compile(
    r"\+?(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?:(?P<unit>[numkMGTPE]|[KMGTPE]i)|[eE](?P<exponent>[+-]?[0-9]+))?"
)
_UNITS = {
    "": Fraction(1),
    **{unit: Fraction(1000) ** power for power, unit in enumerate("num", -3)},
    **{unit: Fraction(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Fraction(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def _tenfold(exponent: int) -> Fraction:
    """Return a power of ten; beyond 63 bits it makes no difference which."""
    return Fraction(10) ** max(-99, min(exponent, 99))


_NEVER_EMPTY = ("TEXTMOD_PERSPECTIVE_KEY", "TEXTMOD_OPENAI_KEY")
"""An emptied Secret must not admit everybody."""


def load(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`; raises ConfigurationError with one sentence per fault."""
    given = {
        name: value for name, value in environment.items() if value != "" or name in _NEVER_EMPTY
    }
    if ":" in environment.get("KUBERNETES_SERVICE_HOST", ""):  # pods have IPv6 addresses first
        given.setdefault("TEXTMOD_BIND_ADDRESS", "::")
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
