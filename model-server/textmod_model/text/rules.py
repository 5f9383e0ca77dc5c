"""spaCy's tokenizer as plain data, which comes with a compiled model (`chunks` applies it)."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rules:
    """The regular expressions and special cases of spaCy's tokenizer."""

    prefix: str
    suffix: str
    infix: str
    url: str
    specials: dict[str, tuple[str, ...]]
    """Special cases: a chunk and the tokens it becomes."""
    patterns: dict[tuple[str, ...], str]
    """Token sequences that become a special case after all: the one of their parts joined."""
    top_level_domains: frozenset[str]

    def to_json(self) -> bytes:
        """Serialise with the same bytes for the same rules."""
        document = {
            "prefix": self.prefix,
            "suffix": self.suffix,
            "infix": self.infix,
            "url": self.url,
            "specials": self.specials,
            "patterns": sorted(self.patterns),
            "top_level_domains": sorted(self.top_level_domains),
        }
        return json.dumps(document, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Rules":
        """Read what `to_json` wrote. Raises ValueError, KeyError or TypeError on anything else."""
        document: dict[str, Any] = json.loads(data)
        return cls(
            prefix=document["prefix"],
            suffix=document["suffix"],
            infix=document["infix"],
            url=document["url"],
            specials={chunk: tuple(parts) for chunk, parts in document["specials"].items()},
            patterns={tuple(parts): "".join(parts) for parts in document["patterns"]},
            top_level_domains=frozenset(document["top_level_domains"]),
        )
