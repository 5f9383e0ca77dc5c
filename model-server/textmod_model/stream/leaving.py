"""How a member leaves its consumer group, so that others take over at once."""

import logging
from collections.abc import Callable

from textmod_model.errors import StreamError
from textmod_model.stream.kafka import Consumer, KafkaException

log = logging.getLogger(__name__)

LEAVE_SECONDS = 2.0
POLL_SECONDS = 0.05


def leave(
    consumer: Consumer,
    *,
    joins: Callable[[], bool],
    reads: Callable[[], bool],
    poll: Callable[[float], None],
    clock: Callable[[], float],
) -> None:
    """Leave the group and close the client.

    A static member stays in the group when it closes; unsubscribing first makes it leave. If a
    member closes while it joins, librdkafka 2.16 leaves it in the group, and its partitions
    would not be read until its session ends. So wait for the end of the joining first.

    Args:
        consumer: the client.
        joins: whether it is joining the group.
        reads: whether it has partitions.
        poll: serves callbacks and events for so many seconds.
        clock: monotonic seconds.
    """
    deadline = clock() + LEAVE_SECONDS
    try:
        while joins() and clock() < deadline:
            poll(POLL_SECONDS)
        consumer.unsubscribe()
        while reads() and clock() < deadline:
            poll(POLL_SECONDS)
    except (KafkaException, StreamError) as error:
        log.warning("leave the consumer group: %s", error)
    consumer.close()
