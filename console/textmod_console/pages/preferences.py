"""The personal settings of one reviewer, kept in a cookie of that browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

THEMES = ("auto", "light", "dark")
BREAKS = (25, 50, 100, 0)


@dataclass(frozen=True)
class Preferences:
    """What a reviewer may choose for themselves."""

    cover: bool = True  # a text is hidden until the reviewer asks for it
    keys: bool = True  # single keys decide
    scores: bool = True  # show score and spans before the decision, where policy allows
    theme: str = "auto"
    break_every: int = 50  # texts; 0: never

    def encode(self) -> str:
        """Return the cookie's value."""
        flags = "".join("1" if flag else "0" for flag in (self.cover, self.keys, self.scores))
        return f"{flags}.{self.theme}.{self.break_every}"

    @classmethod
    def decode(cls, value: str | None) -> Preferences:
        """Read a cookie; anything that is none of ours is the default."""
        parts = (value or "").split(".")
        if len(parts) != 3 or len(parts[0]) != 3 or set(parts[0]) - set("01"):
            return cls()
        if parts[1] not in THEMES or parts[2] not in {str(n) for n in BREAKS}:
            return cls()
        cover, keys, scores = (flag == "1" for flag in parts[0])
        return cls(cover, keys, scores, parts[1], int(parts[2]))

    @classmethod
    def of_form(cls, form: Mapping[str, str]) -> Preferences:
        """Read the settings page's form: a box that is not ticked is absent."""
        asked = cls(
            cover="cover" in form,
            keys="keys" in form,
            scores="scores" in form,
            theme=form.get("theme", "auto"),
        )
        return cls.decode(f"{asked.encode().rpartition('.')[0]}.{form.get('break_every', '50')}")

    def changes(self, other: Preferences) -> dict[str, object]:
        """Return what differs in `other`, for the audit."""
        pairs = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return {name: new for name, old, new in pairs if old != new}
