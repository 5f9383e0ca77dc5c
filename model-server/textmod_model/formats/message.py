"""The words that decoders, encoders and the stream share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from textmod_model.policies.evaluate import Ruling

Headers = list[tuple[str, str | bytes | None]]
"""As Kafka's client takes them; those it gives are bytes or None."""

CLASS_NAMES = ("t:0", "t:1")
"""The names that Seldon's wrapper gives to unnamed columns: kept, removed."""


class Decoded(NamedTuple):
    """The texts of one message, and what its answer has to repeat."""

    texts: tuple[str, ...]
    meta: dict[str, Any] | None = None
    id: str | int | None = None
    tensor: bool = False
    """Seldon answers a tensor with a tensor, and everything else on a stream with an ndarray."""


class Refused(NamedTuple):
    """Why a message can't be scored: a stable reason, and a sentence without user text."""

    reason: str
    message: str


class RefusedError(ValueError):
    """A payload that can't be scored, raised by parsers and encoders."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.refused = Refused(reason, message)


class RegistryUnavailable(Exception):  # noqa: N818 - the state of the registry
    """The schema registry does not answer, or not as it should; the sentence says what to check."""


class Verdicts(NamedTuple):
    """What a verdict says besides its scores."""

    labels: tuple[str, str]
    """The two sides of the first label."""
    threshold: float
    """The first label's."""
    model: str
    names: tuple[str, ...] = ()
    """Of a model's several labels; none for a model of one."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The labels that there are scores of, in their order."""
        return self.names or (self.labels[1],)


class Schemas(Protocol):
    """A schema registry, as decoders and encoders use it."""

    def read(self, raw: bytes, headers: Headers | None) -> object:
        """Decode a framed value to objects.

        Raises RefusedError for one that can't be read, RegistryUnavailable if the registry does not
        answer.
        """
        ...

    def writer(self, kind: str, schema: str) -> Callable[[dict[str, Any]], bytes]:
        """Return a function that frames a document: `kind` is AVRO or JSON.

        The function registers the schema at its first call and raises RegistryUnavailable while the
        registry does not answer.
        """
        ...


class Reading(NamedTuple):
    """What a decoder is made for."""

    path: tuple[str, ...]
    """The dotted path of the text."""
    schemas: Schemas | None = None
    """None: no schema registry is configured."""
    largest: int | None = None
    """Bytes of the largest value that is decoded; None: any."""


class Writing(NamedTuple):
    """What an encoder is made for."""

    verdicts: Verdicts
    schemas: Schemas | None = None
    decided: bool = False
    """Whether policies are configured, so that every verdict has an action."""


Explained = Mapping[str, Any]
"""An explanation of one text, ready for JSON."""

Parse = Callable[[bytes, Headers | None], Decoded]
"""The texts of a value; raises RefusedError."""

Decoder = Callable[[bytes | None, Headers | None], Decoded | Refused]


class Encoder(Protocol):
    """Makes the value of a verdict."""

    def __call__(
        self,
        decoded: Decoded,
        scores: Sequence[Any],
        fallback_id: str,
        rulings: Sequence[Ruling] = (),
        explanations: Sequence[Explained | None] = (),
    ) -> bytes:
        """Return the value; raises RefusedError.

        Args:
            decoded: the message.
            scores: a score for each text, or a list of scores for each text of several labels.
            fallback_id: the id of a message that has none of its own.
            rulings: what the policies say of each text; none without policies.
            explanations: of each text, as JSON; none if no text is explained.
        """
        ...


@dataclass(frozen=True)
class InputFormat:
    """A format of input messages, by the name that `message.format` calls it."""

    name: str
    content_type: str | None
    """None: detected for each message."""
    parser: Callable[[Reading], Parse]
    takes_text: bool = False
    """Whether a bare string is a text to score; else texts are inside a document."""
    needs_registry: bool = False


@dataclass(frozen=True)
class OutputFormat:
    """A format of verdicts, by the name that `message.outputFormat` calls it."""

    name: str
    content_type: str
    encoder: Callable[[Writing], Encoder]
    needs_registry: bool = False
    explains: bool = True
    """Whether its verdicts have a place for an explanation."""
