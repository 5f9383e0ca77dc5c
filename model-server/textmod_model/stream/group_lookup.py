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
from typing import TYPE_CHECKING, Any

from textmod_model import settings
from textmod_model.errors import ConfigurationError
from textmod_model.settings import Settings
from textmod_model.stream.background import Background, in_background
from textmod_model.stream.group_view import Member
from textmod_model.stream.kafka import KafkaException, closed_after, open_admin
from textmod_model.stream.lookup import REQUEST_SECONDS, Lookup

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

APART_SECONDS = 60.0
"""For a process to start, on a small share of a core, and to have its answer."""


class GroupLookup(Lookup[Mapping[str, Member]]):
    """Describes the consumer group: its members by their ids.

    Args:
        settings: say where, and which group.
        connect: opens the client.
        background: runs the request.
        apart: ask in a process of its own, of this environment, which has the same settings.
    """

    name = "group lookup"
    failures = (*Lookup.failures, OSError, subprocess.SubprocessError)

    def __init__(
        self,
        settings: Settings,
        *,
        connect: "Callable[[Settings], AdminClient]" = open_admin,
        background: Background = in_background,
        apart: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(settings, connect=connect, background=background)
        self._apart = apart

    @property
    def _subject(self) -> str:
        return "the consumer group"

    def _request(self) -> Mapping[str, Member]:
        return super()._request() if self._apart is None else members_apart(self._apart)

    def _describe(self, client: "AdminClient") -> Mapping[str, Member]:
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
