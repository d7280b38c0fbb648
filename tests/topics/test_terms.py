from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.topics import COUNTS_SCHEMA, count_terms, merge_counts, stop_words
from transforms.topics.naming import terms
from transforms.topics.naming.terms import count_languages, count_terms_of_each
from transforms.topics.naming.words import is_term_word, pieces


def counted_by_hand(texts, topics, ngram_max):
    occurrences, documents = Counter(), Counter()
    for text, topic in zip(texts, topics, strict=True):
        words = pieces(text)
        own = Counter(
            " ".join(words[start : start + size])
            for size in range(1, ngram_max + 1)
            for start in range(len(words) - size + 1)
            if all(is_term_word(word) and word not in stop_words("en") for word in words[start : start + size])
        )
        for term, times in own.items():
            occurrences[int(topic), term] += times
            documents[int(topic), term] += 1
    return {key: (occurrences[key], documents[key]) for key in occurrences}


def as_dict(table):
    assert table.schema == COUNTS_SCHEMA
    rows = table.to_pylist()
    found = {(row["topic_id"], row["term"]): (row["occurrences"], row["documents"]) for row in rows}
    assert len(found) == len(rows)
    return found


words = st.sampled_from(["neural", "network", "the", "of", "deep", "7", ".", "mp3", "Neural", "größe"])
documents = st.lists(st.tuples(st.lists(words, max_size=8).map(" ".join), st.integers(-1, 3)), max_size=12)


@given(documents, st.integers(1, 4))
def test_counts_are_those_of_a_counter(corpus, ngram_max):
    texts, topics = [text for text, _ in corpus], np.array([topic for _, topic in corpus], np.int32)
    assert as_dict(count_terms(texts, topics, ngram_max)) == counted_by_hand(texts, topics, ngram_max)


@given(documents, st.lists(st.integers(0, 12), max_size=3), st.randoms())
def test_counts_add_up_whatever_the_parts_and_their_order(corpus, cuts, random):
    texts, topics = [text for text, _ in corpus], np.array([topic for _, topic in corpus], np.int32)
    bounds = [0, *sorted(min(cut, len(texts)) for cut in cuts), len(texts)]
    parts = [count_terms(texts[a:b], topics[a:b], 2) for a, b in pairwise(bounds)]
    random.shuffle(parts)
    assert as_dict(merge_counts(parts)) == as_dict(count_terms(texts, topics, 2))
    assert as_dict(merge_counts([merge_counts(parts[:1]), merge_counts(parts[1:])])) == as_dict(merge_counts(parts))


long_texts = st.lists(st.lists(words, max_size=30).map(" ".join), max_size=12)


@given(long_texts, st.integers(1, 80))
def test_texts_are_split_some_at_a_time(texts, characters):
    labellings = [np.arange(len(texts)) % 3 - 1, np.arange(len(texts)) % 2]
    whole, languages = count_terms_of_each(texts, labellings, 3), count_languages(texts)
    split, seen = terms._split, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terms, "_CHARACTERS", characters)
        patch.setattr(terms, "_split", lambda some: seen.append(some) or split(some))
        some = count_terms_of_each(texts, labellings, 3)
        np.testing.assert_array_equal(count_languages(texts), languages)
    assert [as_dict(table) for table in some] == [as_dict(table) for table in whole]
    assert [text for part in seen for text in part] == texts * 2
    assert all(len(part) == 1 or sum(map(len, part)) <= characters for part in seen)


def test_nothing_to_count():
    assert as_dict(count_terms([], np.empty(0, np.int32), 2)) == {}
    assert as_dict(count_terms(["", "  ", "7 . the"], np.array([0, 0, -1], np.int32), 2)) == {}
    assert as_dict(merge_counts([])) == {}


@pytest.mark.parametrize("text", ["state of the art", "state. art", "state 7 art", "state https://x.org art"])
def test_terms_do_not_reach_over_what_is_left_out(text):
    assert set(as_dict(count_terms([text], np.array([0], np.int32), 3))) == {(0, "state"), (0, "art")}
