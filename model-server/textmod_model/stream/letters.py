"""Dead letters: the original untouched, with its origin and the error in headers."""

from textmod_model.formats.dead_letter import dead_letter_headers
from textmod_model.formats.message import Headers, Refused
from textmod_model.stream.records import Message, Record, source_of, time_stamp


class DeadLetters:
    """Makes dead letters; `model` is the model's name and version."""

    def __init__(self, model: str) -> None:
        self._model = model

    def whole(self, message: Message, refused: Refused) -> Record:
        """Return the dead letter: the original untouched, the reason in headers after its own."""
        original = message.headers(), message.key(), message.value()
        return self._letter(message, refused, *original)

    def bare(self, message: Message, refused: Refused) -> Record:
        """Return what is left to write when the dead letter itself is too large for its topic.

        The original stays at the topic, partition and offset that the headers name.
        """
        note = Refused(
            refused.reason,
            f"{refused.message} The original is too large for the dead-letter topic too and was"
            " left where the headers say.",
        )
        return self._letter(message, note, None, None, None)._replace(bare=True)

    def _letter(
        self,
        message: Message,
        refused: Refused,
        original: Headers | None,
        key: bytes | None,
        value: bytes | None,
    ) -> Record:
        topic, partition, offset = source_of(message)
        written = time_stamp(message)
        headers = dead_letter_headers(
            original,
            refused,
            topic=topic,
            partition=partition,
            offset=offset,
            milliseconds=written,
            model=self._model,
        )
        return Record(refused, message, key, value, headers, written)
