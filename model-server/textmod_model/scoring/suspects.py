"""Which texts of a batch may be disguised, by the suspicion of their chunks.

What the memo does not know of a chunk yet is worked out only if it decides: a text of chunks that
take long to look at needs a tenth of them at most.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.judged import UNSURE
from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.memo import Memo
from textmod_model.text.evasion import FRAGMENT, SUSPECT, enough, says_enough

_LEAST_SUSPICION: Final = 2 * FRAGMENT  # with less no text is looked at, however short


class Suspicions:
    """The suspicion of each chunk of a batch."""

    def __init__(self, memo: Memo, chunks: Sequence[str], indices: Indices) -> None:
        """Take the chunks of all texts and their indices in the memo's table."""
        self._memo = memo
        self._chunks = chunks
        self._indices = indices

    def suspects(
        self, places: Indices, said: NDArray[np.int8], bounds: Indices, *, edges: bool
    ) -> Iterator[int]:
        """Yield the texts that are to be undisguised.

        Args:
            places: of the chunks with a suspicion other than 0, ascending.
            said: their suspicion, or UNSURE.
            bounds: where each text begins, and the end; a break ends each.
            edges: whether a beginning stands before each.
        """
        rows = np.searchsorted(bounds, places, side="right") - 1
        sums = np.bincount(rows, weights=np.where(said == UNSURE, SUSPECT, said))
        for row in np.flatnonzero(sums >= _LEAST_SUSPICION).tolist():
            part = slice(*np.searchsorted(rows, (row, row + 1)).tolist())
            size = int(bounds[row + 1] - bounds[row]) - 1 - edges
            if self._is_suspect(places[part].tolist(), said[part].tolist(), size):
                yield row

    def _is_suspect(self, places: list[int], said: list[int], size: int) -> bool:
        """Tell whether a text of `size` chunks is one; `said` is what those at places say."""
        unsure = [at for at, one in enumerate(said) if one == UNSURE]
        total = sum(said) - UNSURE * len(unsure)
        alone = SUSPECT in said
        for at in unsure:
            if alone or total >= enough(size):
                return True
            place = places[at]
            said[at] = self._memo.suspicion(int(self._indices[place]), self._chunks[place])
            total += said[at]
            alone = said[at] == SUSPECT
        return says_enough(places, said, size)
