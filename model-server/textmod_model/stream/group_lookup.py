"""Asking the group's coordinator who reads what, in the background.

librdkafka (2.16) aborts the process when the coordinator's connection breaks at the moment of such
a request (its issue 4605). `apart` asks in a process of its own, for questions that are asked when
connections do break; it takes half a second of CPU.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from textmod_model import settings
from textmod_model.errors import ConfigurationError
from textmod_model.settings import Settings
from textmod_model.stream.background import Background, in_background
from textmod_model.stream.group_view import Member
from textmod_model.stream.kafka import KafkaException, closed_after, open_admin

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0
APART_SECONDS = 60.0
"""For a process to start, on a small share of a core, and to have its answer."""


class GroupLookup:
    """Describes the consumer group. The client lives from the question to the answer.

    Args:
        settings: say where, and which group.
        connect: opens the client.
        background: runs the request.
        apart: ask in a process of its own, of this environment, which has the same settings.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connect: "Callable[[Settings], AdminClient]" = open_admin,
        background: Background = in_background,
        apart: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._background = background
        self._apart = apart
        self._question: Future[Mapping[str, Member]] | None = None

    def ask(self) -> None:
        """Send the request, if none is on its way."""
        if self._question is None:
            self._question = self._background(self._describe, "group lookup")

    def answer(self) -> Mapping[str, Member] | None:
        """Return the members by their ids, once; None while there is no answer, or if it failed."""
        question = self._question
        if question is None or not question.done():
            return None
        self._question = None
        try:
            return question.result()
        except (ConfigurationError, KafkaException, OSError, subprocess.SubprocessError) as error:
            log.info("describe the consumer group: %s", error)
            return None

    def _describe(self) -> Mapping[str, Member]:
        if self._apart is not None:
            return members_apart(self._apart)
        with closed_after(self._connect(self._settings)) as client:
            return members(self._settings, client)


def members(settings: Settings, client: "AdminClient") -> dict[str, Member]:
    """Return the group's members by their ids. Raises KafkaException."""
    group = settings.consumer_group
    [answer] = client.describe_consumer_groups([group], request_timeout=REQUEST_SECONDS).values()
    topic = settings.input_topic
    return {
        one.member_id: Member(
            _partitions(one.assignment, topic), _partitions(one.target_assignment, topic)
        )
        for one in answer.result().members
    }


def _partitions(assignment: Any, topic: str) -> frozenset[int]:  # noqa: ANN401 - of the client
    """Return the input's partitions; none where the protocol has no such thing."""
    if assignment is None:
        return frozenset()
    return frozenset(one.partition for one in assignment.topic_partitions if one.topic == topic)


def members_apart(environment: Mapping[str, str]) -> dict[str, Member]:
    """Return the members of the group that an environment's settings name.

    Raises:
        SubprocessError: it has no answer; the message has what it wrote last.
        OSError: it does not start.
    """
    run = subprocess.run(
        [sys.executable, "-m", __name__],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=APART_SECONDS,
        check=False,
    )
    if run.returncode:
        said = run.stderr.strip().rpartition("\n")[2]
        raise subprocess.SubprocessError(f"exit code {run.returncode}, {said or 'without a word'}")
    return {
        name: Member(frozenset(assigned), frozenset(target))
        for name, (assigned, target) in json.loads(run.stdout).items()
    }


def main() -> None:
    """Print the members of the environment's group as JSON: by id, what they have and are to have.

    Exits with one sentence if nobody answers.
    """
    logging.disable()
    try:
        given = settings.load(os.environ)
        with closed_after(open_admin(given)) as client:
            found = members(given, client)
    except (ConfigurationError, KafkaException) as error:
        sys.exit(str(error))
    print(
        json.dumps(
            {name: [sorted(one.assigned), sorted(one.target)] for name, one in found.items()}
        )
    )


if __name__ == "__main__":
    main()
