"""Scores that clients of Perspective's protocol suggest: decisions where there is review."""

import logging
import time
from collections.abc import Callable

from textmod_model.metrics import Metrics
from textmod_model.review.suggestion import Origin, Suggestion, event, judged
from textmod_model.serving.perspective_request import SuggestRequest, refused
from textmod_model.serving.turns import BusyError
from textmod_model.stream.feedback import Feedback, NotWrittenError

log = logging.getLogger(__name__)


class Suggestions:
    """Takes suggestions; may be called from several threads.

    Args:
        feedback: where they are written; None: they are only counted.
        origin: what their decisions share.
        now: epoch seconds.
    """

    def __init__(
        self,
        metrics: Metrics,
        origin: Origin,
        feedback: Feedback | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._metrics = metrics
        self._origin = origin
        self._feedback = feedback
        self._now = now
        self._said = False

    def take(self, request: SuggestRequest) -> None:
        """Return once the suggestion is stored, where it is to be.

        Raises AnswerError for one that Perspective refuses, BusyError if Kafka does not have it.
        """
        request.comment.checked()
        if not request.attribute_scores:
            raise refused("INVALID_REQUEST", "Missing attribute_scores")
        scores = {
            name: one.summary_score.value
            for name, one in request.attribute_scores.items()
            if one.summary_score is not None
        }
        if not all(0 <= value <= 1 for value in scores.values()):
            raise refused("INVALID_REQUEST", "Scores must be between 0 and 1.")
        self._metrics.suggestions.inc()
        if self._feedback is None:
            self._say_once("suggestions are counted, but not stored")
            return
        suggestion = Suggestion(
            request.comment.text, scores, request.client_token, request.community_id
        )
        found = judged(suggestion, self._origin)
        outcomes = self._metrics.suggested_decisions
        if found is None:
            outcomes.labels("ignored").inc()
            self._say_once("no attribute of a suggestion names a label of the model; ignoring it")
            return
        try:
            self._feedback.write(*event(suggestion, found, self._origin, self._now()))
        except NotWrittenError as error:
            outcomes.labels("failed").inc()
            raise BusyError(str(error)) from None
        outcomes.labels("written").inc()

    def _say_once(self, what: str) -> None:
        if not self._said:
            self._said = True
            log.warning("comments:suggestscore: %s", what)
