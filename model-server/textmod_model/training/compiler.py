"""Turn a fitted pipeline into its compiled form. Needs spaCy and scikit-learn; serving does not."""

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib import resources
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from spacy.attrs import intify_attrs
from spacy.lang.lex_attrs import _tlds
from spacy.symbols import ORTH
from spacy.tokenizer import Tokenizer

from textmod_model.pipeline import (
    BLANK_ENGLISH,
    LatentLogisticRegression,
    VectorTransformer,
    language,
)
from textmod_model.scoring.analyzer import Analyzer, counts_of_marks
from textmod_model.scoring.compiled import (
    LEFT_OUT,
    UNKNOWN,
    Compiled,
    Floats,
    Integers,
    Memory,
    numbered,
)
from textmod_model.text.chunks import ChunkTokenizer
from textmod_model.text.cleaning import SYMBOLS, tidy, word
from textmod_model.text.rules import Rules

MAX_REMEMBERED: Final = 40_000
"""Most chunks that an artifact remembers, the most frequent of the training data."""
_MAX_IDS: Final = 46_000  # so that a pair of ids is less than 2**31


class NotCompilable(ValueError):  # noqa: N818  # no failure: the pipeline itself then serves
    """The pipeline has no compiled form; it is served by scikit-learn itself."""


class _Parts(NamedTuple):
    """The fitted parts of a recipe's pipeline; None where the recipe has none."""

    words: TfidfVectorizer
    edges: bool
    classifier: LogisticRegression | LatentLogisticRegression
    grams: TfidfVectorizer | None = None
    vectors: VectorTransformer | None = None
    scalers: tuple[StandardScaler, ...] = ()
    """Of the vectors and of the shape."""
    scales: Mapping[str, float] = {}
    """What the union multiplies a part's features with, where it is not 1."""


def compile_pipeline(pipeline: Pipeline, texts: Iterable[str] = ()) -> Compiled:
    """Compile a fitted pipeline, remembering the chunks of `texts`. Raises NotCompilable."""
    parts = _parts(pipeline)
    words, grams, classifier = parts.words, parts.grams, parts.classifier
    rules = spacy_rules(language(BLANK_ENGLISH).tokenizer)
    known = _Grams(words.vocabulary_, parts.vectors)
    # Columns are the words', then the character n-grams', then the vectors' and the shape's.
    ends = [len(words.vocabulary_), len(grams.vocabulary_) if grams is not None else 0]
    several = classifier.coef_.shape[0] > 1
    coef = classifier.coef_ if several else classifier.coef_[0]
    of_words, of_grams, straight = np.split(coef, np.cumsum(ends), axis=-1)
    first = coef.shape[:-1]  # an axis for several labels, none for one
    compiled = Compiled(
        rules=rules,
        words=known.ids,
        forms=_forms(known.ids, rules),
        unigrams=known.unigrams,
        bigram_keys=known.bigram_keys,
        bigrams=known.bigrams,
        trigram_keys=known.trigram_keys,
        trigrams=known.trigrams,
        idf=np.asarray(words.idf_),
        weights=of_words * parts.scales.get("words", 1.0),
        sublinear=bool(words.sublinear_tf),
        edges=parts.edges,
        undisguises=pipeline.named_steps["clean"].undisguises,
        grams=numbered(grams.get_feature_names_out().tolist()) if grams is not None else {},
        gram_idf=np.asarray(grams.idf_) if grams is not None else np.zeros(0),
        gram_weights=of_grams * parts.scales.get("grams", 1.0),
        vectors=known.vectors,
        means=_joined(scaler.mean_ for scaler in parts.scalers),
        deviations=_joined(scaler.scale_ for scaler in parts.scalers),
        straight=straight,
        bend=getattr(classifier, "bend_", np.zeros((*first, 0))),
        quadratic=getattr(classifier, "quadratic_", np.zeros((*first, 0, 0))),
        intercept=classifier.intercept_ if several else float(classifier.intercept_[0]),
        memory=Memory.empty(classifier.coef_.shape[0]),
    )
    try:
        return _remembering(compiled, texts)
    except ValueError as error:
        raise NotCompilable(str(error)) from error


def _joined(parts: Iterable[Floats]) -> Floats:
    return np.concatenate([np.zeros(0), *parts])


def _parts(pipeline: Pipeline) -> _Parts:
    """Take a pipeline apart. Raises NotCompilable unless it has exactly a recipe's steps."""
    steps = pipeline.named_steps
    classifier = steps.get("classifier")
    if list(steps) == ["clean", "tokens", "tfidf", "classifier"]:
        tokens = [steps["tokens"]]
        parts = _Parts(steps["tfidf"], tokens[0].edges, classifier)
    elif list(steps) == ["clean", "features", "classifier"]:
        union = dict(steps["features"].transformer_list)
        if list(union) != ["words", "grams", "meaning", "shape"]:
            raise NotCompilable("the pipeline has other features than the recipes")
        named = {name: part.named_steps for name, part in union.items()}
        tokens = [named["words"]["tokens"], named["meaning"]["tokens"]]
        parts = _Parts(
            named["words"]["tfidf"],
            tokens[0].edges,
            classifier,
            named["grams"]["counts"],
            named["meaning"]["vectors"],
            (named["meaning"]["scale"], named["shape"]["scale"]),
            steps["features"].transformer_weights or {},
        )
        if parts.scales.keys() & {"meaning", "shape"} or tokens[1].edges:
            raise NotCompilable("the pipeline has settings that the compiled form lacks")
    else:
        raise NotCompilable("the pipeline has other steps than the recipes")
    if any(step.model != BLANK_ENGLISH for step in tokens):
        raise NotCompilable("tokens of a whole spaCy pipeline depend on the words around them")
    if parts.words.binary or parts.words.norm != "l2" or not parts.words.use_idf:
        raise NotCompilable("the word vectorizer has settings that the compiled form lacks")
    return parts


def spacy_rules(tokenizer: Tokenizer) -> Rules:
    """Read a spaCy tokenizer's rules. Raises NotCompilable for one that is more than rules."""
    if tokenizer.token_match is not None or not tokenizer.faster_heuristics:
        raise NotCompilable("the tokenizer has settings that the compiled form does not know")
    specials = {
        chunk: tuple(_orth(tokenizer, part) for part in parts)
        for chunk, parts in tokenizer.rules.items()
    }
    rules = Rules(
        prefix=_pattern(tokenizer.prefix_search),
        suffix=_pattern(tokenizer.suffix_search),
        infix=_pattern(tokenizer.infix_finditer),
        url=_pattern(tokenizer.url_match),
        specials={},
        patterns={},
        top_level_domains=frozenset(_tlds),
    )
    without_specials = ChunkTokenizer(rules)
    # The condition is spaCy's (Tokenizer.add_special_case). White space never reaches a chunk.
    patterns = {
        tuple(without_specials.chunk(chunk).tokens): chunk
        for chunk in specials
        if not chunk.isspace()
        and (
            tokenizer.find_prefix(chunk)
            or tokenizer.find_infix(chunk)
            or tokenizer.find_suffix(chunk)
        )
    }
    return replace(rules, specials=specials, patterns=patterns)


def _pattern(search: Callable[..., object]) -> str:
    """Return the source of the regular expression that a bound method belongs to."""
    expression = getattr(search, "__self__", None)
    if not isinstance(expression, re.Pattern) or expression.flags != re.UNICODE:
        raise NotCompilable("the tokenizer does not split by plain regular expressions")
    return str(expression.pattern)


def _orth(tokenizer: Tokenizer, part: Mapping[object, object]) -> str:
    value = intify_attrs(part, strings_map=tokenizer.vocab.strings, _do_deprecated=True)[ORTH]
    return value if isinstance(value, str) else str(tokenizer.vocab.strings[value])


def _forms(ids: Mapping[str, int], rules: Rules) -> dict[str, int]:
    """Map to their word's id the tokens whose lemma is not just their lower case, and symbols."""
    path = resources.files("spacy_lookups_data") / "data" / "en_lemma_lookup.json.gz"
    lemmas: dict[str, str] = json.loads(gzip.decompress(path.read_bytes()))
    like_url = ChunkTokenizer(rules).like_url

    def number(lemma: str) -> int:
        return ids.get(word(lemma), UNKNOWN) if word(lemma) else LEFT_OUT

    forms = {
        form: number(lemma)
        for form, lemma in sorted(lemmas.items())
        if number(lemma) != number(form) and not like_url(form)
    }
    return dict.fromkeys(sorted(SYMBOLS - lemmas.keys()), LEFT_OUT) | forms


class _Grams:
    """The n-grams of a vocabulary as sorted integer keys, and word vectors (see `Compiled`)."""

    def __init__(self, vocabulary: Mapping[str, int], vectors: VectorTransformer | None) -> None:
        grams = {tuple(gram.split(" ")): feature for gram, feature in vocabulary.items()}
        if max(map(len, grams)) > 3:
            raise NotCompilable("n-grams of more than three words have no compiled form")
        self.ids = numbered(sorted({part for gram in grams for part in gram}), first=1)
        base = len(self.ids) + 1
        numbers = {tuple(map(self.ids.__getitem__, gram)): at for gram, at in grams.items()}
        pairs = sorted({gram[:2] for gram in numbers if len(gram) > 1})
        if max(base, len(pairs)) > _MAX_IDS:
            raise NotCompilable(f"more than {_MAX_IDS} words or pairs")
        at_pair = {pair: index for index, pair in enumerate(pairs)}
        triples = sorted(
            (at_pair[gram[:2]], gram[2], at) for gram, at in numbers.items() if gram[2:]
        )
        self.unigrams = np.full(base, -1, dtype=np.int32)
        for gram, feature in numbers.items():
            if len(gram) == 1:
                self.unigrams[gram[0]] = feature
        self.bigram_keys = _integers(first * base + second for first, second in pairs)
        self.bigrams = _integers(numbers.get(pair, -1) for pair in pairs)
        self.trigram_keys = _integers(pair * base + third for pair, third, _ in triples)
        self.trigrams = _integers(feature for _, _, feature in triples)
        self.vectors = self._add(vectors)

    def _add(self, vectors: VectorTransformer | None) -> NDArray[np.float16]:
        """Give ids to the other words that have a vector; return all ids' vectors."""
        if vectors is None:
            return np.zeros((0, 0), dtype=np.float16)
        places = numbered(vectors.words_.tolist())
        self.ids |= numbered(sorted(places.keys() - self.ids.keys()), first=len(self.ids) + 1)
        result = np.zeros((len(self.ids) + 1, vectors.vectors_.shape[1] + 1), dtype=np.float16)
        chosen = [self.ids[known] for known in places]
        result[chosen, :-1] = vectors.vectors_
        result[chosen, -1] = 1
        return result


def _integers(values: Iterable[int]) -> Integers:
    return np.fromiter(values, dtype=np.int32)


def _remembering(compiled: Compiled, texts: Iterable[str]) -> Compiled:
    """Add what is known of the most frequent chunks of `texts`."""
    counts = Counter(chunk for text in texts for chunk in tidy(text).split())
    frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_REMEMBERED]
    analyzer = Analyzer(compiled)
    known = [analyzer.chunk(chunk, analyzer.suspicion(chunk)) for chunk, _ in frequent]
    sums = analyzer.gram_sums([one.letters for one in known])
    memory = Memory(
        chunks=[chunk for chunk, _ in frequent],
        sizes=_integers(len(entry.tokens) for entry in known),
        tokens=_integers(token for entry in known for token in entry.tokens),
        weights=sums[:, :-1] if compiled.labels > 1 else sums[:, 0],
        masses=sums[:, -1],
        marks=counts_of_marks(known),
        counts=_integers(entry.chunks for entry in known),
        fragile=np.array([entry.notes for entry in known], dtype=np.int8),
    )
    return replace(compiled, memory=memory)
