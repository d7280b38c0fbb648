"""A lexical index built in parts, against bm25s over the whole corpus."""

import hashlib
import random
from pathlib import Path
from types import SimpleNamespace

import bm25s
import numpy as np
import pyarrow as pa
import pytest

from transforms.files import read_json, write_table
from transforms.lexical import LexicalIndex, LexicalOptions, build_lexical, open_lexical, split_words, steps
from transforms.lexical.join import BORDERS, IDS, POSITIONS, SCORES, TERMS
from transforms.vectors import load_array

OPTIONS = LexicalOptions(lexical=True)


def corpus(count: int = 60) -> list[str]:
    """Texts over a small vocabulary, so that terms repeat, among them empty ones and ones of function words only."""
    rng = random.Random(1)
    words = [f"w{number}x" for number in range(40)] + ["the", "running", "runs"]
    return [" ".join(rng.choices(words, k=rng.randint(0, 12))) for _ in range(count)] + ["the of", ""]


def build(folder, texts, rows=1000, options=OPTIONS, backwards=False):
    """Build with parts of so many rows; ids are positions times ten."""
    parts, ids = [], np.arange(len(texts)) * 10
    for start in range(0, max(len(texts), 1), rows):
        table = pa.table({"id": ids[start : start + rows], "text": pa.array(texts[start : start + rows], pa.string())})
        parts.append((start, write_table(f"{folder}/part-{start:05d}.parquet", table)))

    def run(step, tasks):
        return [step(task, options) for task in (tasks[::-1] if backwards else tasks)]

    return build_lexical(parts, str(folder), f"{folder}/lexical", run)


def open_built(folder, options=OPTIONS) -> LexicalIndex:
    path = f"{folder}/lexical"
    arrays = {name: load_array(f"{path}/{name}") for name in (SCORES, POSITIONS, BORDERS, IDS)}
    return LexicalIndex(arrays, read_json(f"{path}/{TERMS}"), options.language)


def words_of(texts, language):
    words = split_words(texts, language)
    of = [words.terms[code] for code in words.codes.tolist()]
    return [of[low:high] for low, high in zip(words.bounds[:-1], words.bounds[1:], strict=True)]


@pytest.mark.parametrize(
    "options", [OPTIONS, LexicalOptions(lexical=True, language="none", k1=0.9, b=0.4)], ids=["default", "set"]
)
def test_scores_are_those_of_bm25s(tmp_path, options):
    texts = corpus()
    built = build(tmp_path, texts, 7, options)
    oracle = bm25s.BM25(k1=options.k1, b=options.b)
    tokens = words_of(texts, options.language)
    oracle.index(tokens, show_progress=False)
    index = open_built(tmp_path, options)
    loaded = bm25s.BM25.load(f"{tmp_path}/lexical", mmap=True)
    for query in ["w1x", "w1x w1x w2x running unknown", "the runs w39x", "w3x " * 7 + "w1x w2x " * 3]:
        words = words_of([query], options.language)[0]
        expected = oracle.get_scores([word for word in words if word in oracle.vocab_dict])
        np.testing.assert_allclose(index.scores(query), expected, rtol=1e-5, atol=1e-6)
        # The published files are the package's own format.
        known = [word for word in words if word in loaded.vocab_dict]
        np.testing.assert_allclose(index.scores(query), loaded.get_scores(known), rtol=1e-6)
    assert (built.terms, built.scores) == (
        len({word for words in tokens for word in words}),
        sum(len(set(words)) for words in tokens),
    )


def test_a_word_that_is_repeated_costs_one_pass_over_its_texts(tmp_path):
    build(tmp_path, corpus())
    index = open_built(tmp_path)
    once, positions, read = index.scores("w1x"), index._positions, []

    class Counted:
        def __getitem__(self, where):
            read.append(len(positions[where]))
            return positions[where]

    index._positions = Counted()
    np.testing.assert_array_equal(index.scores("w1x " * 1024), once * 1024)
    assert read == [np.count_nonzero(once)]


def test_the_best_come_first_and_ties_by_id(tmp_path):
    build(tmp_path, ["cat", "dog cat", "cat", "bird", "cat"], 2)
    index = open_built(tmp_path)
    for k in range(1, 7):
        ids, scores = index.search("cats", k)
        assert ids.tolist() == [0, 20, 40, 10][:k]
        assert np.all(np.diff(scores) <= 0)
    assert index.search("cats", 2, np.array([False, True, True, True, True]))[0].tolist() == [20, 40]


@pytest.mark.parametrize("query", ["", "the", "unknown", "?!"])
def test_a_query_without_a_known_word_finds_nothing(tmp_path, query):
    build(tmp_path, corpus())
    index = open_built(tmp_path)
    assert index.search(query, 5)[0].tolist() == []
    assert not index.scores(query).any()


def test_bytes_do_not_depend_on_parts_tasks_or_order(tmp_path, monkeypatch):
    def digests(name, **how):
        folder = tmp_path / name
        folder.mkdir()
        return [file.sha256 for file in build(folder, corpus(), **how).published]

    whole = digests("whole")
    monkeypatch.setattr(steps, "_TEXTS_PER_TASK", 10)
    monkeypatch.setattr(steps, "_COUNTS_PER_TASK", 20)
    assert digests("parts", rows=4) == whole
    assert digests("backwards", rows=9, backwards=True) == whole


@pytest.mark.parametrize("texts", [[], [""], ["the"]])
def test_a_corpus_without_words_has_an_empty_index(tmp_path, texts):
    assert build(tmp_path, texts).scores == 0
    index = open_built(tmp_path)
    assert index.search("anything", 3)[0].tolist() == []
    assert index.scores("anything").shape == (len(texts),)


def test_checksums_are_those_of_the_files(tmp_path):
    for file in build(tmp_path, corpus()).published:
        data = Path(file.path).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (file.sha256, file.size)


def test_a_generation_without_an_index_says_what_to_do():
    from transforms.generations import GenerationError

    generation = SimpleNamespace(id="one", manifest=SimpleNamespace(under=lambda _: []))
    with pytest.raises(GenerationError, match=r"one has no lexical index: reindex with search\.lexical: true"):
        open_lexical(generation)
