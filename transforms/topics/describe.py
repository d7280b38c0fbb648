"""Names of topics: class-based TF-IDF weights, the terms that say it best, a title."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

# A phrase takes the place of one of its words when at least this share of the word's occurrences are in the phrase.
_PHRASE_SHARE = 0.5
# Every kept term can push out a few that repeat it; a candidate so many times further down is no term of the topic any more.
_CANDIDATES = 20
_ORDER = [("topic_id", "ascending"), ("weight", "descending"), ("term", "ascending")]


@dataclass(frozen=True)
class Terms:
    """A topic's terms, best first, with their c-TF-IDF weights."""

    terms: tuple[str, ...]
    weights: tuple[float, ...]

    def title(self, otherwise: str) -> str:
        """The first three terms, or `otherwise` where no text of it has a usable word."""
        return ", ".join(self.terms[:3]) or otherwise


def c_tf_idf(counts: pa.Table, of_topic: np.ndarray) -> pa.Table:
    """Weigh terms by class-based TF-IDF: `counts` (COUNTS_SCHEMA) with a float64 column `weight`, same rows.

    `counts` has all rows of its terms; `of_topic` int64 (topics + 1,) are the occurrences of all terms in each topic, those of
    noise first.

    weight(t, c) = tf(t, c) * log(1 + A / f(t)), where tf is the term's share of all term occurrences in topic c, f(t) its
    occurrences in all topics and A the mean number of term occurrences per topic: Grootendorst 2022 (arXiv 2203.05794,
    section 3.3), with tf as shares as in the BERTopic package, so that weights of small and large topics compare. Noise
    counts as one more topic: its texts tell which terms are common.
    """
    occurrences = counts["occurrences"].to_numpy().astype(np.float64)
    if not len(occurrences):
        return counts.append_column("weight", pa.array([], pa.float64()))
    topic = counts["topic_id"].to_numpy() + 1
    term = counts["term"].combine_chunks().dictionary_encode().indices.to_numpy()
    of_term = np.bincount(term, occurrences)
    average = of_topic.sum() / np.count_nonzero(of_topic)
    weight = occurrences / of_topic[topic] * np.log1p(average / of_term[term])
    return counts.append_column("weight", pa.array(weight))


def best_terms(weighted: pa.Table, n_terms: int) -> pa.Table:
    """Those rows of `c_tf_idf` that `choose_terms` may come to when it chooses `n_terms`, in its order, noise left out.

    Of many tables, each with all rows of its terms, the best of each are enough.
    """
    rows = weighted.filter(pa.array(weighted["topic_id"].to_numpy() >= 0)).sort_by(_ORDER)
    topic, shared = rows["topic_id"].to_numpy(), rows["documents"].to_numpy() >= 2
    kept = np.zeros(len(topic), bool)
    for places in (np.flatnonzero(shared), np.flatnonzero(~shared)):
        rank = np.arange(len(places)) - np.searchsorted(topic[places], topic[places])
        kept[places[rank < _CANDIDATES * n_terms]] = True
    return rows.filter(pa.array(kept)).combine_chunks()


def choose_terms(weighted: pa.Table, topics: int, n_terms: int) -> list[Terms]:
    """The `n_terms` best terms of topics 0 … topics - 1 from `c_tf_idf`; ties in alphabetical order.

    A term that a single text of the topic uses is no term of the topic (unless it has no others). Of a phrase and its
    words only one stays: the phrase, when it is at least half of the word's occurrences, else the better of them. A plural
    in -s counts as its singular.
    """
    topic = weighted["topic_id"].to_numpy()
    shared = weighted["documents"].to_numpy() >= 2
    has_shared = np.bincount(topic[shared & (topic >= 0)], minlength=topics) > 0
    wanted = (topic >= 0) & (shared | ~has_shared[topic]) if topics else np.zeros(len(topic), bool)
    rows = weighted.filter(pa.array(wanted)).sort_by(_ORDER)
    bounds = np.searchsorted(rows["topic_id"].to_numpy(), np.arange(topics + 1))
    return [_without_repetition(rows.slice(low, high - low), n_terms) for low, high in pairwise(bounds)]


def _without_repetition(rows: pa.Table, n_terms: int) -> Terms:
    """Walk one topic's terms, best first, and keep those that say something new."""
    kept: list[tuple[tuple[str, ...], str, float, int]] = []  # words, term, weight, occurrences
    rows = rows.slice(0, _CANDIDATES * n_terms)
    for term, weight, occurrences in zip(*(rows[name].to_pylist() for name in ("term", "weight", "occurrences")), strict=True):
        words = tuple(_singular(word) for word in term.split(" "))
        related = [place for place, other in enumerate(kept) if _contains(other[0], words) or _contains(words, other[0])]
        if not related:
            if len(kept) < n_terms:
                kept.append((words, term, weight, occurrences))
        elif (
            all(len(kept[place][0]) < len(words) for place in related)
            and occurrences >= _PHRASE_SHARE * kept[related[0]][3]  # the best of the words that it repeats
        ):
            kept = [entry for place, entry in enumerate(kept) if place not in related]
            kept.append((words, term, weight, occurrences))
    kept.sort(key=lambda entry: (-entry[2], entry[1]))
    return Terms(tuple(entry[1] for entry in kept), tuple(entry[2] for entry in kept))


def _contains(phrase: tuple[str, ...], part: tuple[str, ...]) -> bool:
    return any(phrase[start : start + len(part)] == part for start in range(len(phrase) - len(part) + 1))


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
