"""The scikit-learn pipelines, by recipe: what is trained, and what every faster form must equal.

`seed` is the original moderation pipeline, kept by name: clean → tokens → TF-IDF of word
1-3-grams → logistic regression.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, Self

import numpy as np
import spacy
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from spacy.language import Language

from textmod_model.text import URL_WORD, clean, word

BLANK_ENGLISH: Final = "blank:en"


def passthrough(tokens: list[str]) -> list[str]:
    """Return the tokens as they are: what TfidfVectorizer gets is tokenized already."""
    return tokens


class CleanTextTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped base
    """Apply `textmod_model.text.clean` to each text."""

    def fit(self, X: Iterable[str], y: object = None) -> Self:  # noqa: N803, ARG002  # sklearn's names
        """Do nothing: cleaning learns nothing."""
        return self

    def transform(self, X: Iterable[str]) -> list[str]:  # noqa: N803  # sklearn's name
        """Return the cleaned texts, one for each text of `X`."""
        return [clean(text) for text in X]

    def __sklearn_is_fitted__(self) -> bool:
        return True


class SpacyTokenTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped base
    """Turn each text into its lower-case lemmas, addresses as ``URL``, symbols left out.

    `model` is ``blank:en`` (spaCy's English tokenizer with the lookup lemmatizer) or the name of
    an installed spaCy pipeline, e.g. ``en_core_web_sm``, whose own lemmatizer is then used.
    """

    def __init__(self, model: str = BLANK_ENGLISH) -> None:
        self.model = model

    def fit(self, X: Iterable[str], y: object = None) -> Self:  # noqa: N803, ARG002  # sklearn's names
        """Do nothing: the tokenizer is spaCy's and learns nothing here."""
        return self

    def transform(self, X: Iterable[str]) -> list[list[str]]:  # noqa: N803  # sklearn's name
        """Return the tokens of each text of `X`."""
        return [
            [w for token in doc if (w := URL_WORD if token.like_url else word(token.lemma_))]
            for doc in language(self.model).pipe(X, batch_size=256)
        ]

    def __sklearn_is_fitted__(self) -> bool:
        return True


@lru_cache(maxsize=2)
def language(model: str) -> Language:
    """Load a spaCy pipeline once a process. Raises OSError if it is not installed."""
    if model == BLANK_ENGLISH:
        nlp = spacy.blank("en")
        nlp.add_pipe("lemmatizer", config={"mode": "lookup"})
        nlp.initialize()
    else:
        nlp = spacy.load(model, disable=["parser", "ner"])
    nlp.max_length = 2**30 - 1  # the tokenizer's own limit; spaCy's default guards parser memory
    return nlp


def seed(*, random_state: int = 0, spacy_model: str = BLANK_ENGLISH) -> Pipeline:
    """Build the original pipeline: TF-IDF of the 10,000 most frequent 1-3-grams, weak weights."""
    return Pipeline(
        [
            ("clean", CleanTextTransformer()),
            ("tokens", SpacyTokenTransformer(spacy_model)),
            ("tfidf", word_tfidf()),
            ("classifier", LogisticRegression(C=0.1, random_state=random_state)),
        ]
    )


def word_tfidf(**parameters: object) -> TfidfVectorizer:
    """Build the seed's vectorizer over token lists; `parameters` override it."""
    settings: dict[str, object] = {
        "max_features": 10_000,
        "ngram_range": (1, 3),
        "preprocessor": passthrough,
        "tokenizer": passthrough,
        "token_pattern": None,
    }
    return TfidfVectorizer(**(settings | parameters))


RECIPES: Final = {"seed": seed}


def build(recipe: str, *, random_state: int = 0, spacy_model: str = BLANK_ENGLISH) -> Pipeline:
    """Build the untrained pipeline of a recipe. Raises KeyError for an unknown one."""
    return RECIPES[recipe](random_state=random_state, spacy_model=spacy_model)


def removed_probability(pipeline: Pipeline, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return P(removed) of each text, shape (n,)."""
    return np.asarray(pipeline.predict_proba(list(texts))[:, 1], dtype=np.float64)


def vectorizers(pipeline: Pipeline) -> Iterator[TfidfVectorizer]:
    """Yield the vectorizers of a pipeline, those inside a FeatureUnion too."""
    for _, step in pipeline.steps:
        if isinstance(step, TfidfVectorizer):
            yield step
        elif isinstance(step, Pipeline):
            yield from vectorizers(step)
        elif isinstance(step, FeatureUnion):
            for _, part in step.transformer_list:
                yield from vectorizers(Pipeline([("part", part)]))


def canonical(pipeline: Pipeline) -> Pipeline:
    """Take from a fitted pipeline what differs between two equal runs; return it.

    scikit-learn's vectorizer remembers the memory address of its stop words, and keeps one numpy
    scalar a term, which would become one file a term.
    """
    for vectorizer in vectorizers(pipeline):
        vars(vectorizer).pop("_stop_words_id", None)
        vectorizer.vocabulary_ = {term: int(at) for term, at in vectorizer.vocabulary_.items()}
    return pipeline
