"""Count the texts that one reviewer has read, and say when a break is due.

Pure. The count is the reviewer's own: it is kept in a cookie of that browser and shown
nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

PAUSE_SECONDS = 600  # so long without a text counts as a break


@dataclass(frozen=True)
class Exposure:
    """Texts read since `since` (seconds since 1970); `last` is when the latest was shown."""

    texts: int = 0
    since: int = 0
    last: int = 0

    def read_one(self, now: int) -> Exposure:
        """Return the count after one more text; a pause of ten minutes starts a new count."""
        fresh = self.texts == 0 or now - self.last >= PAUSE_SECONDS or now < self.last
        return Exposure(1, now, now) if fresh else Exposure(self.texts + 1, self.since, now)

    def hint(self, every: int) -> str | None:
        """Return one sentence when `every` more texts have been read; 0 switches the hint off."""
        if every <= 0 or self.texts == 0 or self.texts % every:
            return None
        minutes = max(1, (self.last - self.since) // 60)
        unit = "minute" if minutes == 1 else "minutes"
        return (
            f"You have read {self.texts} texts in {minutes} {unit} without a break. "
            "Ten minutes away from the screen start the count again."
        )

    def encode(self) -> str:
        """Return the cookie's value."""
        return f"{self.texts}.{self.since}.{self.last}"

    @classmethod
    def decode(cls, value: str | None) -> Exposure:
        """Read a cookie; anything that is no count of ours starts at zero."""
        parts = (value or "").split(".")
        if len(parts) != 3 or not all(p.isascii() and p.isdigit() and len(p) < 12 for p in parts):
            return cls()
        return cls(*(int(p) for p in parts))
