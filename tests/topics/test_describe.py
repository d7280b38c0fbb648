import numpy as np
import pyarrow as pa
import pytest

from transforms.topics import COUNTS_SCHEMA, Terms, alike, best_terms, c_tf_idf, choose_terms, count_terms, varied_terms


def counts_of(rows):
    columns = list(zip(*rows, strict=True)) or [[]] * 4
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, COUNTS_SCHEMA, strict=True)], COUNTS_SCHEMA)


def weigh(counts):
    """The weights of counts that have all terms."""
    return c_tf_idf(counts, np.bincount(counts["topic_id"].to_numpy() + 1, counts["occurrences"].to_numpy()).astype(int))


def choose(rows, topics=1, n_terms=10, diversity=0.0):
    return choose_terms(weigh(counts_of(rows)), topics, n_terms, diversity)


def test_weights_are_the_dense_formula():
    rng = np.random.default_rng(0)
    dense = rng.integers(0, 5, (4, 30))  # classes -1 … 2 by terms
    dense[0, 0] = dense[3, 1] = 7
    rows = [(c - 1, f"t{t}", int(dense[c, t]), 2) for c in range(4) for t in range(30) if dense[c, t]]
    rng.shuffle(rows)
    rows = [(int(c), str(t), int(o), int(d)) for c, t, o, d in rows]
    weights = {(row["topic_id"], row["term"]): row["weight"] for row in weigh(counts_of(rows)).to_pylist()}
    expected = dense / dense.sum(1, keepdims=True) * np.log(1 + dense.sum(1).mean() / np.maximum(dense.sum(0), 1))
    assert len(weights) == np.count_nonzero(dense)
    for (topic, term), weight in weights.items():
        assert weight == pytest.approx(expected[topic + 1, int(term[1:])], rel=1e-12)


def test_weights_by_hand():
    # Topic 0 says a a b, topic 1 says b: A = 2, f(a) = 2, f(b) = 2.
    table = weigh(counts_of([(0, "a", 2, 2), (0, "b", 1, 1), (1, "b", 1, 1)]))
    np.testing.assert_allclose(table["weight"].to_numpy(), [2 / 3 * np.log(2), 1 / 3 * np.log(2), np.log(2)])


def test_weights_are_those_of_bertopic():
    # BERTopic's ClassTfidfTransformer normalises rows to sum 1 and scales by log(1 + mean row sum / column sum).
    counts = np.array([[3, 0, 1], [1, 4, 0]])
    rows = [(c, f"t{t}", int(counts[c, t]), 1) for c in range(2) for t in range(3) if counts[c, t]]
    weights = weigh(counts_of(rows))["weight"].to_numpy()
    np.testing.assert_allclose(
        weights, [0.75 * np.log(1 + 4.5 / 4), 0.25 * np.log(5.5), 0.2 * np.log(2.125), 0.8 * np.log(2.125)]
    )


def test_best_terms_first_with_ties_by_alphabet():
    rows = [(0, "cc", 5, 3), (0, "bb", 5, 3), (0, "aa", 1, 2), (0, "dd", 9, 3)]
    (terms,) = choose(rows, n_terms=3)
    assert terms.terms == ("dd", "bb", "cc")
    assert list(terms.weights) == sorted(terms.weights, reverse=True)
    assert choose(rows[::-1], n_terms=3) == [terms]


def test_a_phrase_takes_the_place_of_its_words_when_they_mostly_mean_it():
    (terms,) = choose([(0, "neural", 10, 5), (0, "network", 11, 5), (0, "neural network", 9, 5), (0, "layer", 4, 4)])
    assert terms.terms == ("neural network", "layer")


def test_a_phrase_that_is_rare_beside_its_word_is_dropped():
    (terms,) = choose([(0, "perl", 100, 50), (0, "perl module", 20, 20), (0, "cpan", 15, 15)])
    assert terms.terms == ("perl", "cpan")


def test_of_phrases_that_are_cut_from_a_longer_one_the_better_stays():
    rows = [(0, "open source optical", 9, 5), (0, "source optical character", 8, 5), (0, "character set open", 7, 5)]
    (terms,) = choose(rows)
    assert terms.terms == ("open source optical", "character set open")  # one word at the end is none of its own


def test_a_plural_repeats_its_singular():
    (terms,) = choose([(0, "network", 9, 5), (0, "networks", 8, 5), (0, "class", 7, 5), (0, "bus", 3, 3)])
    assert terms.terms == ("network", "class", "bus")


def test_no_term_contains_another():
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(["alpha", "beta", "gamma", "delta", "eta"], 6)) for _ in range(60)]
    topics = rng.integers(0, 3, 60).astype(np.int32)
    chosen = choose_terms(weigh(count_terms(texts, topics, 3)), 3, 10, 0.3)
    for terms in chosen:
        assert terms.terms
        assert not any(f" {a} " in f" {b} " for a in terms.terms for b in terms.terms if a != b)


def test_a_term_of_a_single_text_is_none_unless_there_is_no_other():
    (first, second) = choose([(0, "foo", 99, 1), (0, "shared", 2, 2), (1, "bar", 3, 1)], topics=2)
    assert first.terms == ("shared",)
    assert second.terms == ("bar",)


def test_noise_is_weighed_but_not_described():
    alone = choose([(0, "aa", 4, 4), (0, "bb", 3, 3)])
    with_noise = choose([(0, "aa", 4, 4), (0, "bb", 3, 3), (-1, "aa", 100, 50)])
    assert alone[0].terms == ("aa", "bb")
    assert with_noise[0].terms == ("bb", "aa")


def test_topics_without_terms():
    assert choose([], topics=0) == []
    chosen = choose([(1, "aa", 4, 4)], topics=3)
    assert [terms.terms for terms in chosen] == [(), ("aa",), ()]
    assert [terms.title(f"topic {topic}") for topic, terms in enumerate(chosen)] == ["topic 0", "aa", "topic 2"]
    assert choose([(-1, "aa", 4, 4)], topics=0) == []


@pytest.mark.parametrize(
    ("terms", "title"),
    [
        (("audio", "speech", "waveform", "pitch"), "audio, speech, waveform"),
        (("python module", "python", "module", "pypi"), "python module, pypi"),
        (("network", "networking", "networks", "packet"), "network, packet"),
        (("größe", "größen", "maß"), "größe, maß"),
        (("free open source", "desktop calendar client", "mail"), "free open source, desktop calendar client"),
        (("free open source software", "desktop calendar client", "mail"), "free open source software, mail"),
        (("语言", "言", "学习"), "语言, 学习"),  # each character is a word
        ((), "topic 7"),
    ],
)
def test_a_title_has_no_word_twice(terms, title):
    assert Terms(terms, tuple(range(len(terms), 0, -1))).title("topic 7") == title


def marginal_relevance(pool, count, diversity):
    """Carbonell and Goldstein's formula over a dense matrix of similarities."""
    similarity = np.array([[alike(a, b) for b in pool.terms] for a in pool.terms])
    relevance = np.array(pool.weights) / pool.weights[0]
    chosen = [0]
    while len(chosen) < min(count, len(pool.terms)):
        value = (1 - diversity) * relevance - diversity * similarity[:, chosen].max(axis=1)
        value[chosen] = -np.inf
        chosen.append(int(np.argmax(value)))
    return tuple(pool.terms[place] for place in sorted(chosen))


@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_terms_are_varied_by_maximal_marginal_relevance(seed, diversity):
    rng = np.random.default_rng(seed)
    words = ["network", "networking", "python", "packet", "packets", "router", "routing", "art"]
    terms = tuple(dict.fromkeys(" ".join(rng.choice(words, rng.integers(1, 4), replace=False)) for _ in range(30)))
    pool = Terms(terms, tuple(sorted(rng.random(len(terms)), reverse=True)))
    found = varied_terms(pool, 8, diversity)
    assert found.terms == marginal_relevance(pool, 8, diversity)
    assert list(found.weights) == sorted(found.weights, reverse=True)
    assert diversity or found.terms == terms[:8]


def test_alike_is_the_share_of_letters():
    assert alike("python", "python") == pytest.approx(1)
    assert alike("python", "snake") == 0
    assert alike("perl module", "module perl") == pytest.approx(1)
    # " ne" "net" "etw" "two" "wor" "ork" of 7 and 10.
    assert alike("network", "networking") == pytest.approx(6 / 70**0.5)


def test_variety_prefers_other_words():
    rows = [(0, "install", 20, 9), (0, "installing", 18, 9), (0, "installer", 17, 9), (0, "disk", 12, 9), (0, "boot", 11, 9)]
    (by_weight,), (varied,) = choose(rows, n_terms=3), choose(rows, n_terms=3, diversity=0.5)
    assert by_weight.terms == ("install", "installing", "installer")
    assert varied.terms == ("install", "disk", "boot")


@pytest.mark.parametrize("seed", range(5))
def test_the_best_terms_of_ranges_of_terms_are_enough(seed):
    rng = np.random.default_rng(seed)
    # Few terms are wanted of many, so that most are left out; topic 2 shares none of its terms.
    rows = [
        (topic, f"t{term}", int(rng.integers(1, 9)), 1 if topic == 2 else int(rng.integers(1, 4)))
        for topic in range(-1, 3)
        for term in range(120)
        if rng.random() < 0.9
    ]
    counts = counts_of(rows)
    weighted, expected = weigh(counts), choose_terms(weigh(counts), 3, 2, 0.3)
    range_of = rng.integers(0, 4, 120)[[int(row[1][1:]) for row in rows]]
    best = [best_terms(weighted.filter(pa.array(range_of == part)), 2) for part in range(4)]
    assert sum(table.num_rows for table in best) < len(rows)
    assert choose_terms(pa.concat_tables(best), 3, 2, 0.3) == expected
    assert all(len(terms.terms) == 2 for terms in expected)
