"""A text that is rewritten step by step, and where each of its characters came from."""

import re
from collections.abc import Callable


class Draft:
    """A text under substitution. With `trace`, `origins` says where each character was before."""

    def __init__(self, text: str, *, trace: bool = False) -> None:
        self.text = text
        self.origins: list[int] | None = list(range(len(text))) if trace else None
        """Index in the first text of each character of `text`; None without `trace`."""

    def sub(self, pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str]) -> None:
        """Replace every match, as `re.sub` does.

        The k-th character of a replacement comes from the k-th character of the match; further
        ones come from its last.
        """
        if self.origins is None:
            self.text = pattern.sub(replace, self.text)
            return
        pieces: list[str] = []
        origins: list[int] = []
        done = 0
        for match in pattern.finditer(self.text):
            start, end = match.span()
            piece = replace(match)
            pieces += (self.text[done:start], piece)
            origins += self.origins[done:start]
            last = max(end - 1, start)
            origins += [self.origins[min(start + k, last)] for k in range(len(piece))]
            done = end
        self.text = "".join((*pieces, self.text[done:]))
        self.origins = origins + self.origins[done:]
