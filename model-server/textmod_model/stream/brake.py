"""When failures to score mean that the model is broken, not that single texts are odd. Pure.

A broken model must stop the stream like a topic that cannot be written. Otherwise it would turn
everything that arrives into dead letters.
"""

from collections import Counter
from collections.abc import Callable, Sequence

SHARE = 0.5
"""Share of recent texts. More failures than this are the model's fault."""

ENOUGH = 10
"""Fewer failures than this say nothing about a share."""

WINDOW = 1000
"""Texts after which what came before no longer counts."""


class ModelBrokenError(Exception):
    """The model cannot score; the sentence says why, without user text."""


class Brake:
    """Follows the share of texts that could not be scored."""

    def __init__(self) -> None:
        self._texts = 0.0
        self._failures = 0.0

    def check(self, texts: int, errors: Sequence[str], probe: Callable[[], str | None]) -> None:
        """Take a batch of `texts` with the types of its errors, unless the model is broken.

        Args:
            texts: how many were scored or failed.
            errors: the type of each failure.
            probe: scores a harmless text; returns the type of its error. Called after a failure.

        Raises:
            ModelBrokenError: nothing of this batch is counted, so that it can be scored again.
        """
        kept = max(0.0, 1.0 - texts / WINDOW)
        all_texts = self._texts * kept + texts
        failures = self._failures * kept + len(errors)
        if errors:
            broken = probe()
            if broken is not None:
                raise ModelBrokenError(f"The model cannot score any text: {broken}.")
            if failures >= ENOUGH and failures > SHARE * all_texts:
                [(error, _)] = Counter(errors).most_common(1)
                raise ModelBrokenError(
                    f"The model cannot score {failures:.0f} of the last {all_texts:.0f} texts:"
                    f" {error}."
                )
        self._texts, self._failures = all_texts, failures
