"""The recipes: how an untrained pipeline is put together of its steps.

`seed` is the original moderation pipeline, kept by name: clean → tokens → TF-IDF of word
1-3-grams → logistic regression. `default` adds character n-grams, word vectors and the text's
shape, learns through the data's main directions too, and calibrates its probabilities.
"""

from typing import Final

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler

from textmod_model.pipeline import (
    BLANK_ENGLISH,
    CleanTextTransformer,
    LatentLogisticRegression,
    RootNormalizer,
    ShapeTransformer,
    SpacyTokenTransformer,
    VectorTransformer,
    passthrough,
)
from textmod_model.scoring import vectors
from textmod_model.text import features


def seed(
    *, random_state: int = 0, spacy_model: str = BLANK_ENGLISH, plain: bool = True
) -> Pipeline:
    """Build the original pipeline: TF-IDF of the 10,000 most frequent 1-3-grams, weak weights.

    Several labels, and labels that are shares, are not `plain`: the same regression, which then
    needs Platt's calibration.
    """
    shares = LatentLogisticRegression(C=0.1, dimensions=0, direct=1.0, random_state=random_state)
    return Pipeline(
        [
            ("clean", CleanTextTransformer()),
            ("tokens", SpacyTokenTransformer(spacy_model)),
            ("tfidf", word_tfidf()),
            (
                "classifier",
                LogisticRegression(C=0.1, random_state=random_state) if plain else shares,
            ),
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


def default(
    *,
    random_state: int = 0,
    spacy_model: str = BLANK_ENGLISH,
    plain: bool = True,  # noqa: ARG001  # all labels are learned alike
) -> Pipeline:
    """Build the better pipeline; bench/scorer measures the gain and cost of each part."""
    words = Pipeline(
        [
            ("tokens", SpacyTokenTransformer(spacy_model, edges=True)),
            ("tfidf", word_tfidf(max_features=30_000, ngram_range=(1, 2), sublinear_tf=True)),
        ]
    )
    grams = Pipeline([("counts", gram_tfidf()), ("root", RootNormalizer())])
    meaning = Pipeline(
        [
            ("tokens", SpacyTokenTransformer(spacy_model)),
            ("vectors", VectorTransformer()),
            ("scale", StandardScaler()),
        ]
    )
    shape = Pipeline([("shape", ShapeTransformer()), ("scale", StandardScaler())])
    aside = vectors.DIMENSIONS + len(features.SHAPE)
    return Pipeline(
        [
            ("clean", CleanTextTransformer()),
            (
                "features",
                FeatureUnion(
                    [("words", words), ("grams", grams), ("meaning", meaning), ("shape", shape)],
                    transformer_weights={"grams": 0.2},
                ),
            ),
            ("classifier", LatentLogisticRegression(aside=aside, random_state=random_state)),
        ]
    )


def gram_tfidf() -> TfidfVectorizer:
    """Build the vectorizer of character n-grams, without a norm of its own."""
    return TfidfVectorizer(
        analyzer=features.grams_of_text, min_df=4, max_features=12_000, norm=None
    )


RECIPES: Final = {"default": default, "seed": seed}


def build(
    recipe: str,
    *,
    random_state: int = 0,
    spacy_model: str = BLANK_ENGLISH,
    plain: bool = True,
) -> Pipeline:
    """Build the untrained pipeline of a recipe. Raises KeyError for an unknown one.

    plain: there is one label, and each row either has it or not.
    """
    return RECIPES[recipe](random_state=random_state, spacy_model=spacy_model, plain=plain)
