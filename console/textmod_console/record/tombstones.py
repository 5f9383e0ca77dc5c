"""Write tombstones to the review topic, so that a rebuild erases these texts too."""

from collections.abc import Mapping

from textmod_console.errors import RecordError
from textmod_console.record import kafka
from textmod_console.settings import Settings


def write_tombstones(settings: Settings, partitions: Mapping[str, int]) -> None:
    """Write a tombstone for each item into the partition that holds its text.

    Raises:
        RecordError: not all of them are acknowledged.
    """
    producer = kafka.open_plain_producer(settings)
    failed: list[str] = []
    with kafka.as_record_error(f"write to topic {settings.review_topic}"):
        for item, partition in partitions.items():
            producer.produce(
                settings.review_topic,
                key=item.encode(),
                value=None,
                partition=partition,
                on_delivery=lambda error, _: failed.append(error.str()) if error else None,
            )
            producer.poll(0)
        left = producer.flush(kafka.REQUEST_SECONDS * 2)
    if failed or left:
        why = failed[0] if failed else "no answer"
        message = f"can't write tombstones to topic {settings.review_topic}: {why}."
        raise RecordError(message)
