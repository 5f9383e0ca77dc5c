"""Settings of the drop-in protocols, resolved against the model: attributes, languages, keys.

No server library is imported here: the process checks these before it opens a port.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from textmod_model.errors import ConfigurationError
from textmod_model.serving.predictor import ModelInfo
from textmod_model.settings import Settings

LIKELY_TO_REJECT = "LIKELY_TO_REJECT"
"""Perspective's attribute for what moderators removed, so the label `removed` by default."""


class Keys:
    """The keys that callers may present; none: everybody may call.

    Several keys stand in one Secret value, separated by white space, so that one can be replaced
    by another without a moment in which neither is valid.
    """

    def __init__(self, value: str = "") -> None:
        self._digests = [_digest(key) for key in value.split()]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admit(self, key: str) -> bool:
        """Tell whether `key` is one of them, in a time that depends on no key."""
        given = _digest(key)
        return sum(hmac.compare_digest(given, one) for one in self._digests) > 0


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True)
class DropIns:
    """What the drop-in protocols answer, and to whom."""

    attributes: Mapping[str, str]
    """Perspective's attribute to the model's label."""
    languages: tuple[str, ...] = ("en",)
    """ISO 639-1 codes that Perspective's calls may name; none: any."""
    origins: tuple[str, ...] = ()
    """Of web pages whose scripts may make Perspective's calls; `*`: any page's."""
    perspective_keys: Keys = field(default_factory=Keys)
    openai_keys: Keys = field(default_factory=Keys)

    @classmethod
    def of(cls, info: ModelInfo, settings: Settings | None = None) -> Self:
        """Return what the settings say of a model; its labels under their own names by default.

        Raises ConfigurationError for an attribute whose label the model does not have.
        """
        labels = list(info.operating_points)
        if settings is None:
            return cls(_default_attributes(labels))
        given = settings.perspective_attributes
        for attribute, label in given.items():
            if label not in labels:
                message = (
                    f"TEXTMOD_PERSPECTIVE_ATTRIBUTES: {attribute} names the label {label}, which"
                    f" the model does not have; it has {', '.join(labels)}."
                )
                raise ConfigurationError(message)
        perspective, openai = settings.perspective_key, settings.openai_key
        return cls(
            given or _default_attributes(labels),
            settings.perspective_languages,
            settings.perspective_origins,
            Keys(perspective.get_secret_value() if perspective else ""),
            Keys(openai.get_secret_value() if openai else ""),
        )


def _default_attributes(labels: list[str]) -> dict[str, str]:
    """Return each label under its upper-case name, and `removed` as LIKELY_TO_REJECT too."""
    found = {re.sub(r"[^A-Z0-9]+", "_", label.upper()).strip("_"): label for label in labels}
    if "removed" in labels:
        found[LIKELY_TO_REJECT] = "removed"
    return found
