"""The promise of the room: the published pairs are those of brute force, whatever the lists of the graph hold."""

import tempfile

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.duplicates.helpers import brute_pairs, found_pairs, make_corpus
from tests.neighbors.helpers import clumpy_vectors, integer_cosines, unit
from transforms.duplicates import DuplicatesOptions


def corpus_of(folder, vectors, rows_per_part):
    owned = {f"text {i}": [f"d{i:03d}"] for i in range(len(vectors))}
    return make_corpus(folder, owned, dict(zip(owned, vectors, strict=True)), rows_per_part)


@settings(max_examples=40)
@given(clumpy_vectors(max_rows=40), st.integers(1, 12), st.integers(3, 40), st.integers(1, 40), st.data())
def test_pairs_are_those_of_brute_force(vectors, k, rows_per_tile, cap, data):
    """Any K, any parts, groups larger than K, a threshold that is a cosine of the corpus, with and without a cap that cuts."""
    present = sorted(set(integer_cosines(vectors)[np.triu_indices(len(vectors), 1)].tolist()))
    threshold = data.draw(st.sampled_from([*present, 0.75]))
    with tempfile.TemporaryDirectory() as folder:
        corpus = corpus_of(folder, vectors, 7)
        options = DuplicatesOptions(threshold=threshold, max_pairs_per_text=cap)
        rows, groups, record = corpus.duplicates(options, k=k, rows_per_tile=rows_per_tile)
    everything, found = brute_pairs(corpus, threshold), found_pairs(rows)
    place = {names[0]: i for i, names in enumerate(corpus.owners)}
    by_first = {}
    for (a, b), cosine in everything.items():
        first, second = sorted((place[a], place[b]))
        by_first.setdefault(first, []).append((-cosine, second, (a, b)))
    best = {pair: -negative for pairs in by_first.values() for negative, _, pair in sorted(pairs)[:cap]}
    assert len(rows) == len(found)
    assert found == best
    assert record.pairs_dropped == len(everything) - len(best)
    assert record.complete == (len(best) == len(everything))
    assert all(row["cosine_to_kept"] >= threshold for row in groups if row["doc_id"] != row["kept_doc_id"])


@pytest.mark.long
@pytest.mark.parametrize("threshold", [0.75, 0.8, 0.9])
def test_pairs_of_real_texts_are_those_of_brute_force(tmp_path, shared_data, threshold):
    """A fifth of debian_packages; benchmarks/mining.py --check does all of it."""
    table = pq.read_table(shared_data / "debian_packages.parquet")
    texts, names = table["text"].to_pylist()[::5], table["id"].to_pylist()[::5]
    stored = np.load(shared_data / "debian_packages.minilm.f16.npy", mmap_mode="r")[::5]
    owned = {}
    for name, text in zip(names, texts, strict=True):
        owned.setdefault(text, []).append(name)
    corpus = make_corpus(tmp_path, owned, dict(zip(texts, unit(stored.astype(np.float32)), strict=True)), 2048)
    rows, _, record = corpus.duplicates(DuplicatesOptions(threshold=threshold), k=32, rows_per_tile=4096)
    whole = np.rint(corpus.vectors.astype(np.float64) * 2**26)
    expected = {}
    for low in range(0, len(whole), 1024):
        cosines = np.clip((whole[low : low + 1024] @ whole.T / 2**52).astype(np.float32), -1, 1)
        for i, j in zip(*np.nonzero(cosines.astype(np.float64) >= threshold), strict=True):
            if i + low < j:
                expected[tuple(sorted((corpus.owners[i + low][0], corpus.owners[j][0])))] = cosines[i, j]
    assert found_pairs(rows) == expected
    assert len(expected) > 1000
    assert record.complete
