"""One question at a time to the brokers, asked in the background."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from textmod_model.errors import ConfigurationError
from textmod_model.settings import Settings
from textmod_model.stream.background import Background, in_background
from textmod_model.stream.kafka import KafkaException, closed_after, open_admin

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

REQUEST_SECONDS = 5.0


class Lookup(ABC, Generic[Answer]):
    """Sends a request and keeps its answer until it is taken.

    The client lives from the question to the answer: the next may be a minute away. It is opened in
    the background too, which takes seconds where it has to get a token first.

    Args:
        settings: say where, and what is asked about.
        connect: opens the client.
        background: runs the request.
    """

    name: ClassVar[str]
    """The thread's."""
    failures: ClassVar[tuple[type[Exception], ...]] = (ConfigurationError, KafkaException)
    """The errors of a request that has failed; any other is a fault of ours, and raised."""

    def __init__(
        self,
        settings: Settings,
        *,
        connect: "Callable[[Settings], AdminClient]" = open_admin,
        background: Background = in_background,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._background = background
        self._question: Future[Answer] | None = None

    @property
    def asked(self) -> bool:
        """Whether an answer is to come."""
        return self._question is not None

    def ask(self) -> None:
        """Send the request, if none is on its way."""
        if self._question is None:
            self._send()

    def answer(self, wait_seconds: float = 0) -> Answer | None:
        """Return the answer, once; None while there is none.

        If the request failed, `_without_answer` says what to return.
        """
        question = self._question
        if question is None or not wait([question], wait_seconds).done:
            return None
        self._question = None
        try:
            return question.result()
        except self.failures as error:
            log.info("describe %s: %s", self._subject, error)
            return self._without_answer()
        finally:
            del question  # the error's traceback has this frame

    def _without_answer(self) -> Answer | None:
        """Return the answer of a request that has failed."""
        return None

    def _send(self) -> None:
        self._question = self._background(self._detached, self.name)

    def _detached(self) -> Answer:
        """Ask; errors are raised without their frames, which refer to them through the answers.

        They would keep each other and the client until a garbage collection comes by.
        """
        try:
            return self._request()
        except self.failures as error:
            raise error.with_traceback(None) from None

    def _request(self) -> Answer:
        """Open a client and ask it; runs in the background."""
        with closed_after(self._connect(self._settings)) as client:
            return self._describe(client)

    @property
    @abstractmethod
    def _subject(self) -> str:
        """What is described, for the log."""

    @abstractmethod
    def _describe(self, client: "AdminClient") -> Answer:
        """Return the client's answer. Raises one of `failures`."""
