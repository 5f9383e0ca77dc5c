"""Measure how much of a model's judgement is left when a text is written to evade it.

    python -m bench.evasion [--data CSV] [--recipe seed --recipe default] [--json FILE]

A third of the comments is held out. Each disguise is applied to all of them, at several shares of
their letters:

    auc_kept = (AUC of disguised texts - 0.5) / (AUC of plain texts - 0.5)

The figures depend on no clock; the seed is fixed.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from sklearn.metrics import roc_auc_score

from bench.evasion.disguises import DISGUISES, Disguise
from bench.evasion.more_disguises import MORE
from textmod_model.scoring.compiled_backend import CompiledBackend
from textmod_model.training import dataset
from textmod_model.training.compiler import compile_pipeline
from textmod_model.training.recipes import build

DATA: Final = Path(__file__).parents[3] / "shared" / "data" / "reddit_science_comments.csv"
SHARES: Final = (1.0, 0.5, 0.1)
REQUIRED: Final = {"lossless": 0.97, "lookalike": 0.90, "apart": 0.80}
_HELD_OUT: Final = 3
_EDGE: Final = 1e-12  # a probability of 0 or 1 has no logit


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.evasion", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--recipe", action="append")
    parser.add_argument("--only", action="append", help="names of disguises")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    data = dataset.read(arguments.data)
    chosen = [d for d in (*DISGUISES, *MORE) if not arguments.only or d.name in arguments.only]
    figures = {
        recipe: measure(recipe, data, chosen) for recipe in arguments.recipe or ("seed", "default")
    }
    text = json.dumps({"comments": len(data), "required": REQUIRED, **figures}, indent=2)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(text + "\n")
    return 0


def measure(recipe: str, data: dataset.Dataset, disguises: Sequence[Disguise]) -> dict[str, object]:
    """Train on two thirds, score the rest plain and disguised; return the figures."""
    held_out = np.arange(len(data)) % _HELD_OUT == 0
    texts = [text for text, out in zip(data.texts, held_out, strict=True) if out]
    labels = np.asarray(data.labels)
    inside = [text for text, out in zip(data.texts, held_out, strict=True) if not out]
    fitted = build(recipe).fit(inside, labels[~held_out])
    backend = CompiledBackend(compile_pipeline(fitted, inside))
    plain = backend.score(texts)
    auc = roc_auc_score(labels[held_out], plain)
    print(f"{recipe}: AUC of {len(texts)} plain texts {auc:.4f}", file=sys.stderr)
    kept: dict[str, dict[str, float]] = {}
    moved: dict[str, dict[str, float]] = {}
    for disguise in disguises:
        for share in SHARES:
            scores = backend.score(
                [disguise.apply(text, share, seed) for seed, text in enumerate(texts)]
            )
            change = roc_auc_score(labels[held_out], scores) - 0.5
            key = f"{share:.0%}"
            kept.setdefault(disguise.name, {})[key] = round(float(change / (auc - 0.5)), 3)
            shift = float(np.mean(_logit(scores) - _logit(plain)))
            moved.setdefault(disguise.name, {})[key] = round(shift, 3)
        low = "" if min(kept[disguise.name].values()) >= REQUIRED[disguise.kind] else "  LOW"
        print(f"  {disguise.kind:9} {disguise.name:22} {kept[disguise.name]}{low}", file=sys.stderr)
    worst = {
        f"{kind}_min": min(
            (min(kept[d.name].values()) for d in disguises if d.kind == kind), default=None
        )
        for kind in REQUIRED
    }
    return {"auc": round(float(auc), 4), **worst, "auc_kept": kept, "logit_change": moved}


def _logit(scores: np.ndarray) -> np.ndarray:
    bounded = np.clip(scores, _EDGE, 1 - _EDGE)
    return np.log(bounded / (1 - bounded))


if __name__ == "__main__":
    sys.exit(main())
