"""What the log says of an error whose own words may hold a user's text."""

import traceback
from pathlib import Path
from typing import Final

from textmod_model.serving.scorer_process import ScoringFailed

_PLACES: Final = 8


def described(error: BaseException) -> str:
    """Return the error's type and the places that it came through, the innermost last."""
    places = "; ".join(
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-_PLACES:]
    )
    words = f" ({error})" if isinstance(error, ScoringFailed) else ""  # they name a type alone
    return f"{type(error).__name__}{words} at {places}"
