"""Names of topics: class-based TF-IDF weights, the terms that say it best, a title."""

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import numpy as np
import pyarrow as pa

from transforms.topics.naming.words import pieces

# A phrase takes the place of one of its words when at least this share of the word's occurrences are in the phrase.
_PHRASE_SHARE = 0.5
# Every kept term can push out a few that repeat it; a candidate so many times further down is no term of the topic any more.
_CANDIDATES = 20
# Terms that variety chooses from, for each wanted one.
_POOL = 3
# Words this alike are one word in a title: network and networking are .72, read and reading .57, perl and python .14.
_SAME_WORD = 0.5
_TITLE_PARTS, _TITLE_WORDS = 3, 6
_ORDER = [("topic_id", "ascending"), ("weight", "descending"), ("term", "ascending")]


@dataclass(frozen=True)
class Terms:
    """A topic's terms, best first, with their c-TF-IDF weights."""

    terms: tuple[str, ...]
    weights: tuple[float, ...]

    def title(self, otherwise: str) -> str:
        """Up to three of the best terms, no word in two of them, six words at most; `otherwise` where there is no term.

        Forms of one word count as the same word.
        """
        parts: list[str] = []
        words: list[str] = []
        for term in self.terms:
            own = pieces(term)
            if any(alike(word, other) >= _SAME_WORD for word in own for other in words):
                continue
            if len(parts) < _TITLE_PARTS and (not parts or len(words) + len(own) <= _TITLE_WORDS):
                parts.append(term)
                words += own
        return ", ".join(parts) or otherwise


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


def choose_terms(weighted: pa.Table, topics: int, n_terms: int, diversity: float) -> list[Terms]:
    """The `n_terms` best terms of topics 0 … topics - 1 from `c_tf_idf`; ties in alphabetical order.

    A term that a single text of the topic uses is no term of the topic (unless it has no others). Of a phrase and its
    words only one stays: the phrase, when it is at least half of the word's occurrences, else the better of them; and of two
    phrases that overlap in two words, the better. A plural in -s counts as its singular. Of what remains `varied_terms`
    chooses, with `diversity` from 0 to 1.
    """
    topic = weighted["topic_id"].to_numpy()
    shared = weighted["documents"].to_numpy() >= 2
    has_shared = np.bincount(topic[shared & (topic >= 0)], minlength=topics) > 0
    wanted = (topic >= 0) & (shared | ~has_shared[topic]) if topics else np.zeros(len(topic), bool)
    rows = weighted.filter(pa.array(wanted)).sort_by(_ORDER)
    bounds = np.searchsorted(rows["topic_id"].to_numpy(), np.arange(topics + 1))
    pools = (_without_repetition(rows.slice(low, min(high - low, _CANDIDATES * n_terms)), _POOL * n_terms)
             for low, high in pairwise(bounds))  # fmt: skip
    return [varied_terms(pool, n_terms, diversity) for pool in pools]


def varied_terms(pool: Terms, count: int, diversity: float) -> Terms:
    """Up to `count` of a pool's terms by maximal marginal relevance (Carbonell and Goldstein 1998), heaviest first.

    The next term is the one with the largest (1 − diversity) · weight / heaviest weight − diversity · m, where m is how `alike`
    it is to the term chosen before that it is most alike. Alike are terms that repeat words or forms of them, which is what a
    reader sees as repetition. Terms of one topic occur in the same topics and texts by their nature: to keep those
    apart would cost what makes them a topic.
    """
    heaviest = max(pool.weights, default=0.0) or 1.0
    letters = [_trigrams(term) for term in pool.terms]
    chosen: list[int] = []
    nearest = [0.0] * len(pool.terms)
    rest = list(range(len(pool.terms)))
    while rest and len(chosen) < count:
        # Of equal ones the first in the pool, whose order is that of weights.
        best = max(rest, key=lambda place: (1 - diversity) * pool.weights[place] / heaviest - diversity * nearest[place])
        chosen.append(best)
        rest.remove(best)
        for place in rest if diversity else ():
            nearest[place] = max(nearest[place], _share(letters[place], letters[best]))
    chosen.sort()
    return Terms(tuple(pool.terms[place] for place in chosen), tuple(pool.weights[place] for place in chosen))


def alike(term: str, other: str) -> float:
    """How much of their letters two terms share: the cosine of the sets of 3-grams of their words, 0 … 1.

    Words have a space at both ends, so that beginnings count. It knows no language: it finds inflected and compound words in
    all that write with letters.
    """
    return _share(_trigrams(term), _trigrams(other))


def _share(own: frozenset[str], others: frozenset[str]) -> float:
    return len(own & others) / sqrt(len(own) * len(others))


def _trigrams(term: str) -> frozenset[str]:
    words = [f" {word} " for word in pieces(term)]
    return frozenset(word[i : i + 3] for word in words for i in range(len(word) - 2))


def _without_repetition(rows: pa.Table, most: int) -> Terms:
    """Walk one topic's terms, best first, and keep up to `most` that say something new; heaviest first."""
    kept: dict[int, tuple[tuple[str, ...], str, float, int]] = {}  # words, term, weight, occurrences
    having: dict[str, list[int]] = {}  # the kept ones with a word
    columns = (rows[name].to_pylist() for name in ("term", "weight", "occurrences"))
    for place, (term, weight, occurrences) in enumerate(zip(*columns, strict=True)):
        words = tuple(_singular(word) for word in pieces(term))
        near = sorted({other for word in words for other in having.get(word, ()) if other in kept})
        related = [other for other in near if _repeats(kept[other][0], words)]
        if related:
            # The best of the words that it repeats decides.
            instead = all(len(kept[other][0]) < len(words) for other in related)
            if not instead or occurrences < _PHRASE_SHARE * kept[related[0]][3]:
                continue
        elif len(kept) >= most:
            continue
        for other in related:
            del kept[other]
        kept[place] = (words, term, weight, occurrences)
        for word in words:
            having.setdefault(word, []).append(place)
    best = sorted(kept.values(), key=lambda entry: (-entry[2], entry[1]))
    return Terms(tuple(entry[1] for entry in best), tuple(entry[2] for entry in best))


def _repeats(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one term is part of the other, or both are of a longer phrase: the last two words of one begin the other."""
    if _contains(one, other) or _contains(other, one):
        return True
    return len(one) > 2 and len(other) > 2 and (one[-2:] == other[:2] or other[-2:] == one[:2])


def _contains(phrase: tuple[str, ...], part: tuple[str, ...]) -> bool:
    return any(phrase[start : start + len(part)] == part for start in range(len(phrase) - len(part) + 1))


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
