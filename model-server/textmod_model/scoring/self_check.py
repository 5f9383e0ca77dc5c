"""Score a small sample of all texts a second time, by a way that remembers nothing.

Memories make scoring fast. A fault in one gives wrong scores that no test of single batches shows
and nobody sees. So one text in `every` is scored again from its letters alone. If the scores
differ, the second one counts, the memories are dropped, and the mismatch is counted and logged
(never the text).
"""

import logging
from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np

from textmod_model.scoring.compiled import Floats
from textmod_model.scoring.explanation import Asked, Explanation

log = logging.getLogger(__name__)

EVERY: Final = 10_000
LONGEST: Final = 10_000
"""Characters of the longest text that is scored twice; the next shorter one takes its turn."""
TOLERANCE: Final = 1e-9


class Checkable(Protocol):
    """A backend with memories, and the same one without."""

    def score(self, texts: Sequence[str]) -> Floats: ...
    def cold(self) -> "Checkable": ...
    def another(self) -> "Checkable": ...
    def forget(self) -> None: ...
    def explain(self, texts: Sequence[str], label: int = 0) -> Sequence[Explanation]: ...
    def briefs(self, texts: Sequence[str], asked: Asked) -> Sequence[dict[str, Any]]: ...


class SelfChecked:
    """A backend that checks itself."""

    def __init__(self, backend: Checkable, *, every: int = EVERY) -> None:
        self._fast, self._slow = backend, backend.cold()
        self._every = every
        self._until_next = every
        self.checked = 0
        """How many texts have been scored a second time."""
        self.mismatches = 0

    def another(self) -> "SelfChecked":
        """Return another one of the same model, for another thread."""
        return SelfChecked(self._fast.another(), every=self._every)

    def score(self, texts: Sequence[str]) -> Floats:
        """Return the probability of each text, shape (n,), of several labels (n, labels)."""
        scores = self._fast.score(texts)
        self._until_next -= len(texts)
        if self._until_next <= 0:
            at = -self._until_next % len(texts)
            if len(texts[at]) <= LONGEST:
                self._until_next = self._every
                self._check(texts[at], scores, at)
        return scores

    def explain(self, texts: Sequence[str], label: int = 0) -> Sequence[Explanation]:
        """Return each text's explanation, from memory."""
        return self._fast.explain(texts, label)

    def briefs(self, texts: Sequence[str], asked: Asked) -> Sequence[dict[str, Any]]:
        """Return each text's brief explanation, from memory."""
        return self._fast.briefs(texts, asked)

    def _check(self, text: str, scores: Floats, at: int) -> None:
        """Score one text again, and correct its score if it was wrong."""
        expected = np.atleast_1d(self._slow.score([text])[0])
        found = np.atleast_1d(scores[at])
        self.checked += 1
        worst = int(np.abs(found - expected).argmax())
        if abs(found[worst] - expected[worst]) <= TOLERANCE:
            return
        self.mismatches += 1
        log.error(
            "score mismatch: %.6f from memory, %.6f without; dropping the memory",
            found[worst],
            expected[worst],
        )
        scores[at] = expected if scores.ndim > 1 else expected[0]
        self._fast.forget()
