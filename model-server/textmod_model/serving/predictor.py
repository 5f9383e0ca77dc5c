"""One model, asked by the stream and by synchronous calls alike."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from textmod_model import budget
from textmod_model.artifact import Attribute
from textmod_model.formats.decoders.seldon import SELDON_PAYLOADS, seldon_request
from textmod_model.formats.encoders.seldon import seldon_answer
from textmod_model.formats.message import CLASS_NAMES, RefusedError
from textmod_model.policies.evaluate import Evaluator
from textmod_model.scoring.explanation import Asked
from textmod_model.serving.turns import (
    CALL_SECONDS,
    LONGEST_TEXT,
    TooLargeError,
    Turns,
    slices,
)
from textmod_model.stream.explanations import Briefs
from textmod_model.stream.judge import Score


@dataclass(frozen=True)
class ModelInfo:
    """What the model is called; from the artifact's manifest, the threshold perhaps overridden."""

    name: str
    version: str
    digest: str
    recipe: str
    labels: tuple[str, str]
    """The two sides of the first label."""
    threshold: float
    """The first label's."""
    messages_per_second: float | None = None
    """Of one core, measured when the model was packaged; None: not measured."""
    names: tuple[str, ...] = ()
    """Of several labels; none for a model of one."""
    thresholds: tuple[float, ...] = ()
    """Of the second label and those after it."""
    attributes: tuple[Attribute, ...] = ()
    """Figures and histograms of each label; none in artifacts from before there were any."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The labels that there are scores of, in their order."""
        return self.names or (self.labels[1],)

    @property
    def label(self) -> str:
        """Name and version in one word."""
        return f"{self.name}:{self.version}"

    @property
    def operating_points(self) -> dict[str, float]:
        """The threshold of each label, in the order of the scores; of a model of one, that of the
        side that a score is the probability of."""
        return dict(zip(self.columns, (self.threshold, *self.thresholds), strict=True))

    def manifest(self) -> dict[str, Any]:
        """Return what the operator needs to solve policies for this model."""
        return {
            "digest": self.digest,
            "labels": list(self.columns),
            "attributes": [
                one.model_dump(mode="json", include={"name", "threshold", "without", "having"})
                for one in self.attributes
            ],
        }

    def metadata(self) -> dict[str, Any]:
        """Return Seldon's v1 model metadata."""
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": "textmoderation",
            "inputs": [_tensor("ndarray", ["text"])],
            "outputs": [_tensor("ndarray", list(self.names or CLASS_NAMES))],
            "custom": {
                "digest": self.digest,
                "recipe": self.recipe,
                "labels": ",".join(self.names or self.labels),
                "threshold": str(self.threshold),
            },
        }


class CallScorer(Protocol):
    """A scorer that calls have for themselves."""

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]: ...
    def close(self) -> None: ...


class Predictor:
    """Scores texts for several threads, one at a time: the scorer keeps memos of its own."""

    def __init__(
        self,
        score: Score,
        info: ModelInfo,
        text_field: str = "body",
        mismatches: Callable[[], int] = lambda: 0,
        *,
        largest: int = budget.LARGEST_VALUE,
        beside_stream: bool = False,
        briefs: Briefs = lambda _texts, _asked: None,
        for_calls: CallScorer | None = None,
        losses: Callable[[], int] = lambda: 0,
    ) -> None:
        """Take a scorer's `score`, and how many wrong scores it has found by itself so far.

        `largest` is the size in bytes of the largest message or request that is scored. Beside a
        stream, calls are held to short texts. `briefs` explains what was scored. `for_calls` is a
        scorer that calls have for themselves; without it they share the stream's. `losses` returns
        how often its process has ended.
        """
        self._score = score
        self._briefs = briefs
        self._for_calls = for_calls
        self.policies: Callable[[], Evaluator | None] = lambda: None
        """Returns the policies in force. A call's answer has what they say in its tags, and it
        spends no budget."""
        self.mismatches = mismatches
        self.losses = losses
        self.largest = largest
        self._turns = Turns(apart=for_calls is not None)
        self._longest = LONGEST_TEXT if beside_stream else None
        self._path = tuple(text_field.split("."))
        self.info = info

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of "removed" of each text, shape (n,). For the stream."""
        with self._turns.stream():
            return self._score(texts)

    def close(self) -> None:
        """End the process that scores for calls, if there is one."""
        if self._for_calls is not None:
            self._for_calls.close()

    def briefs(self, texts: Sequence[str], asked: Asked) -> Sequence[dict[str, Any]] | None:
        """Return the brief explanation of each text; None if the model cannot be explained.

        For the stream, of texts that it scored just now.
        """
        with self._turns.stream():
            return self._briefs(texts, asked)

    def score_for_call(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the same in slices between which the stream goes on; of several labels a row each.

        Raises BusyError and TooLargeError.
        """
        if self._longest and max(map(len, texts)) > self._longest:
            raise TooLargeError(
                f"a text has more than {self._longest} characters, the most that a call may have"
                " beside a stream: send it to the input topic."
            )
        deadline = time.monotonic() + CALL_SECONDS
        score = self._score if self._for_calls is None else self._for_calls.score
        parts = []
        for part in slices(texts):
            with self._turns.call(deadline):
                parts.append(score(part))
        return np.concatenate(parts)

    def answer(self, document: object) -> dict[str, Any]:
        """Answer a Seldon v1 request as Seldon's wrapper would.

        Raises RefusedError; BusyError and TooLargeError of `turns`.

        A request by data.ndarray is answered in kind, any other by data.tensor.
        """
        if not isinstance(document, dict) or SELDON_PAYLOADS.isdisjoint(document):
            # The wrapper's own words; they go back to the caller only.
            raise RefusedError("WrongSchema", f"Invalid request data type: {document!s:.200}")
        decoded = seldon_request(document, self._path)
        tensor = decoded.tensor or "data" not in document
        scores = self.score_for_call(decoded.texts)
        policies = self.policies()
        return seldon_answer(
            decoded,
            scores.tolist(),
            tensor=tensor,
            names=self.info.names,
            rulings=() if policies is None else policies.rule(scores),
        )


def _tensor(kind: str, names: list[str]) -> dict[str, Any]:
    return {"messagetype": kind, "schema": {"names": names, "shape": [len(names)]}}
