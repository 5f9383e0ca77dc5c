"""The known n-grams of words, found in the words of many texts at once."""

import numpy as np

from textmod_model.scoring.compiled import UNKNOWN, Compiled, Integers
from textmod_model.scoring.lookup import Indices, Lookup


class WordGrams:
    """Find the known n-grams in a row of tokens."""

    def __init__(self, compiled: Compiled) -> None:
        self._model = compiled
        self._base = np.int32(len(compiled.unigrams))
        self._pairs = Lookup(compiled.bigram_keys)
        self._triples = Lookup(compiled.trigram_keys)

    def by_size(self, tokens: Integers) -> list[tuple[Integers, Indices]]:
        """Return the features found and the place of each one's first token.

        Those of one word come first, then those of two and of three.
        """
        model = self._model
        # Words with a vector alone are part of no n-gram; their ids come last.
        tokens = np.where(tokens < self._base, tokens, UNKNOWN)
        pair_at, pairs = self._pairs.find(tokens[:-1] * self._base + tokens[1:])
        # Three words are known only where their first two are.
        inside = pair_at < len(tokens) - 2
        third = pair_at[inside]
        keys = pairs[inside].astype(np.int32) * self._base + tokens.take(third + 2)
        at, triples = self._triples.find(keys)
        return [
            _known(model.unigrams.take(tokens), np.arange(len(tokens))),
            _known(model.bigrams.take(pairs), pair_at),
            _known(model.trigrams.take(triples), third[at]),
        ]


def _known(features: Integers, places: Indices) -> tuple[Integers, Indices]:
    """Return those that are features, and their places."""
    known = features >= 0
    return features[known], places[known]
