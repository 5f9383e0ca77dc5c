"""The steps of the scikit-learn pipelines, and functions about a fitted pipeline.

Artifacts name these classes and `passthrough` by this module's path. All that they see are sums
over a text's chunks, which is what lets a pipeline be compiled; every faster form must equal it.
How a recipe puts them together is `training.recipes`.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, Self

import numpy as np
import spacy
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix, diags
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import FeatureUnion, Pipeline
from spacy.language import Language

from textmod_model import latent
from textmod_model.scoring import vectors
from textmod_model.text import features
from textmod_model.text.cleaning import FIRST_WORD, LAST_WORD, URL_WORD, clean, word

BLANK_ENGLISH: Final = "blank:en"
MOST_STRINGS: Final = 100_000
"""New words that a spaCy pipeline may keep: about 40 MiB."""


def passthrough(tokens: list[str]) -> list[str]:
    """Return the tokens as they are: what TfidfVectorizer gets is tokenized already."""
    return tokens


class CleanTextTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped base
    """Apply `textmod_model.text.cleaning.clean` to each text.

    `undisguises` reads through evasion. Models that were trained before there was such a parameter
    do not: what is false for them is this class's attribute.
    """

    undisguises = False

    def __init__(self, *, undisguises: bool = True) -> None:
        self.undisguises = undisguises

    def fit(self, X: Iterable[str], y: object = None) -> Self:  # noqa: N803, ARG002  # sklearn's names
        """Do nothing: cleaning learns nothing."""
        return self

    def transform(self, X: Iterable[str]) -> list[str]:  # noqa: N803  # sklearn's name
        """Return the cleaned texts, one for each text of `X`."""
        return [clean(text, undisguises=self.undisguises) for text in X]

    def __sklearn_is_fitted__(self) -> bool:
        return True


class SpacyTokenTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped base
    """Turn each text into its lower-case lemmas, addresses as ``URL``, symbols left out.

    `model` is ``blank:en`` (spaCy's English tokenizer with the lookup lemmatizer) or the name of
    an installed spaCy pipeline, e.g. ``en_core_web_sm``, whose own lemmatizer is then used. With
    `edges` each text begins with ``START`` and ends with ``END``.
    """

    def __init__(self, model: str = BLANK_ENGLISH, *, edges: bool = False) -> None:
        self.model = model
        self.edges = edges

    def fit(self, X: Iterable[str], y: object = None) -> Self:  # noqa: N803, ARG002  # sklearn's names
        """Do nothing: the tokenizer is spaCy's and learns nothing here."""
        return self

    def transform(self, X: Iterable[str]) -> list[list[str]]:  # noqa: N803  # sklearn's name
        """Return the tokens of each text of `X`."""
        texts = [
            [
                w
                for token in doc
                if (w := URL_WORD if token.like_url else word(token.lemma_ or token.text))
            ]
            for doc in language(self.model).pipe(X, batch_size=256)
        ]
        return [[FIRST_WORD, *words, LAST_WORD] for words in texts] if self.edges else texts

    def __sklearn_is_fitted__(self) -> bool:
        return True


class RootNormalizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped base
    """Divide each row of counts by the root of its sum.

    Between a sum, which grows with the text, and a mean, which forgets how much was said. Sum and
    divisor are both sums over a text's chunks, unlike the Euclidean norm.
    """

    def fit(self, X: csr_matrix, y: object = None) -> Self:  # noqa: N803, ARG002  # sklearn's names
        """Do nothing: each row is divided by itself."""
        return self

    def transform(self, X: csr_matrix) -> csr_matrix:  # noqa: N803  # sklearn's name
        """Return the rows of `X`, no entry below 0, divided."""
        sums = np.asarray(X.sum(axis=1)).ravel()
        return csr_matrix(diags(1 / np.sqrt(np.where(sums > 0, sums, 1))) @ X)

    def __sklearn_is_fitted__(self) -> bool:
        return True


class ShapeTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped base
    """Turn each cleaned text into its shape, `textmod_model.text.features.shape`."""

    def fit(self, X: Iterable[str], y: object = None) -> Self:  # noqa: N803, ARG002  # sklearn's
        """Do nothing: the shape learns nothing."""
        return self

    def transform(self, X: Sequence[str]) -> NDArray[np.float64]:  # noqa: N803  # sklearn's name
        """Return one row a text and one column a name of `features.SHAPE`."""
        counts = np.zeros((len(X), len(features.MARKS)))
        chunks = np.zeros(len(X))
        for row, text in enumerate(X):
            for chunk in text.split():
                counts[row, features.marks(chunk)] += 1
                chunks[row] += 1
        return features.shape(counts, chunks)

    def __sklearn_is_fitted__(self) -> bool:
        return True


class VectorTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped base
    """Sum the vectors of each text's tokens, over the root of how many have one.

    `words` is how many words have one, the most frequent of those that `vectors.load` knows.
    """

    def __init__(self, words: int = 50_000) -> None:
        self.words = words

    def fit(self, X: Iterable[list[str]], y: object = None) -> Self:  # noqa: N803, ARG002  # sklearn's
        """Take over the words and vectors. Raises vectors.VectorsMissing without the package."""
        self.words_, self.vectors_ = vectors.load(self.words)
        return self

    def transform(self, X: Sequence[list[str]]) -> NDArray[np.float64]:  # noqa: N803  # sklearn's name
        """Return one row a text, shape (n, vectors.DIMENSIONS)."""
        places = {known: at for at, known in enumerate(self.words_.tolist())}
        sums = np.zeros((len(X), vectors.DIMENSIONS + 1))
        for row, tokens in enumerate(X):
            found = [places[token] for token in tokens if token in places]
            sums[row, :-1] = self.vectors_[found].sum(axis=0, dtype=np.float64)
            sums[row, -1] = len(found)
        return vectors.mean_of_root(sums)


class LatentLogisticRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # untyped base
    """Logistic regression over the features and over the data's main directions, a curve, Platt.

    The directions are those of a truncated singular value decomposition: words that are used alike
    share them, which tells more of a rare word than its few labels do. What is learned there is
    folded back into one coefficient a feature.

    The last `aside` features, of mean 0 and variance 1, have no part in the directions; instead
    they are also seen by a kernel ridge regression of degree 2 (a short question is not what a
    short joke is). Its dual form folds into one quadratic form. With s the squashed features aside:

        P(removed) = 1 / (1 + exp(-(X·coef_ + s·quadratic_·s + s·bend_ + intercept_)))

    Both parts' weights, and with them the scale of the whole, are Platt's (1999): a logistic
    regression over decision values of folds that did not see them. `C` is scikit-learn's,
    `dimensions` the number of directions, whose variance is 1 where the features themselves are
    multiplied by `direct`, those aside by `direct_aside`; `gamma` and `alpha` are the ridge's.
    """

    def __init__(
        self,
        *,
        C: float = 0.03,  # noqa: N803  # sklearn's name
        dimensions: int = 100,
        direct: float = 4.0,
        direct_aside: float = 0.6,
        aside: int = 0,
        gamma: float = 0.02,
        alpha: float = 10.0,
        calibration_folds: int = 5,
        random_state: int = 0,
    ) -> None:
        self.C = C
        self.dimensions = dimensions
        self.direct = direct
        self.direct_aside = direct_aside
        self.aside = aside
        self.gamma = gamma
        self.alpha = alpha
        self.calibration_folds = calibration_folds
        self.random_state = random_state

    def fit(self, X: csr_matrix, y: ArrayLike) -> Self:  # noqa: N803  # sklearn's name
        """Fit on features of shape (n, d) and labels: 0 or 1, or shares of shape (n, labels)."""
        X, targets = csr_matrix(X), np.asarray(y, dtype=np.float64)  # noqa: N806  # sklearn's name
        inside = X.shape[1] - self.aside
        strata = (targets.reshape(len(targets), -1)[:, 0] >= 0.5).astype(int)
        splitter = StratifiedKFold(
            self.calibration_folds, shuffle=True, random_state=self.random_state
        )
        return self.learn(
            latent.Examples(
                [csr_matrix(X[:, :inside], dtype=np.float32)],
                X[:, inside:].toarray(),
                targets.reshape(len(targets), -1),
                np.ones(len(targets)),
                list(splitter.split(strata, strata)),
            )
        )

    def learn(self, examples: latent.Examples) -> Self:
        """Fit on features in blocks and on one label or several."""
        options = latent.Options(
            self.C,
            self.dimensions,
            self.direct,
            self.direct_aside,
            self.gamma,
            self.alpha,
            self.random_state,
        )
        learned = latent.fit(examples, options)
        self.classes_ = np.arange(2)
        self.coef_ = np.stack([label.coef for label in learned])
        self.intercept_ = np.array([label.intercept for label in learned])
        self.quadratic_: NDArray[np.float64] = np.stack([label.quadratic for label in learned])
        self.bend_: NDArray[np.float64] = np.stack([label.bend for label in learned])
        if len(learned) == 1:
            self.quadratic_, self.bend_ = self.quadratic_[0], self.bend_[0]
        return self

    def _squashed(self, X: csr_matrix) -> NDArray[np.float64]:  # noqa: N803  # sklearn's name
        """Return the features aside, squashed, shape (n, aside)."""
        return vectors.squashed(csr_matrix(X)[:, X.shape[1] - self.aside :].toarray())

    def decision_function(self, X: csr_matrix) -> NDArray[np.float64]:  # noqa: N803
        """Return calibrated log-odds, shape (n,), or (n, labels) of several labels."""
        squashed = self._squashed(X)
        if len(self.coef_) == 1:
            curved = ((squashed @ self.quadratic_ + self.bend_) * squashed).sum(axis=1)
            return np.asarray(X @ self.coef_[0] + self.intercept_[0] + curved)
        found = np.asarray(X @ self.coef_.T + self.intercept_)
        for label in range(len(self.coef_)):
            bent = squashed @ self.quadratic_[label] + self.bend_[label]
            found[:, label] += (bent * squashed).sum(axis=1)
        return found

    def predict_proba(self, X: csr_matrix) -> NDArray[np.float64]:  # noqa: N803  # sklearn's name
        """Return P(kept) and P(removed), shape (n, 2); of several labels P(yes), (n, labels)."""
        yes = expit(self.decision_function(X))
        return yes if yes.ndim == 2 else np.column_stack((1 - yes, yes))

    def predict(self, X: csr_matrix) -> NDArray[np.int64]:  # noqa: N803  # sklearn's name
        """Return the likelier side, 0 or 1, of each row, or of each row and label."""
        found = self.predict_proba(X)
        yes = found if len(self.coef_) > 1 else found[:, 1]
        return np.asarray((yes >= 0.5).astype(np.int64))


def language(model: str) -> Language:
    """Return a spaCy pipeline, loaded again after `MOST_STRINGS` new words.

    spaCy keeps every word that it has met, so its memory would grow as long as the process runs.
    Raises OSError if the pipeline is not installed.
    """
    nlp, known = _loaded(model)
    if len(nlp.vocab.strings) - known > MOST_STRINGS:
        del nlp
        _loaded.cache_clear()  # two of them would take twice the memory
        nlp, _ = _loaded(model)
    return nlp


@lru_cache(maxsize=2)
def _loaded(model: str) -> tuple[Language, int]:
    """Load a spaCy pipeline; return it and how many strings it knows."""
    if model == BLANK_ENGLISH:
        nlp = spacy.blank("en")
        nlp.add_pipe("lemmatizer", config={"mode": "lookup"})
        nlp.initialize()
    else:
        nlp = spacy.load(model, disable=["parser", "ner"])
    nlp.max_length = 2**30 - 1  # the tokenizer's own limit; spaCy's default guards parser memory
    return nlp, len(nlp.vocab.strings)


def coefficients(pipeline: Pipeline, label: int = 0) -> tuple[list[str], NDArray[np.float64]]:
    """Return the names of a fitted recipe's features and a label's coefficients, of length d."""
    features_step = pipeline[-2]
    if isinstance(features_step, FeatureUnion):
        names = [
            name for kind, part in features_step.transformer_list for name in _names(kind, part)
        ]
    else:
        names = features_step.get_feature_names_out().tolist()
    return names, np.asarray(pipeline[-1].coef_[label])


def _names(kind: str, part: Pipeline) -> list[str]:
    if kind == "shape":
        return list(features.SHAPE)
    if kind == "meaning":
        return [f"meaning {number}" for number in range(1, vectors.DIMENSIONS + 1)]
    names = part.named_steps["tfidf" if kind == "words" else "counts"].get_feature_names_out()
    return [f"…{name}…" if kind == "grams" else str(name) for name in names]


def removed_probability(pipeline: Pipeline, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return P(removed) of each text, shape (n,); of several labels P(yes), shape (n, labels)."""
    found = np.asarray(pipeline.predict_proba(texts), dtype=np.float64)
    return found if labels(pipeline) > 1 else found[:, 1]


def labels(pipeline: Pipeline) -> int:
    """Return how many labels a fitted pipeline has."""
    return int(pipeline[-1].coef_.shape[0])


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
