import dataclasses
import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from tests.duplicates.helpers import brute_pairs, found_pairs, is_pair, make_corpus
from tests.neighbors.helpers import random_vectors, unit
from transforms.duplicates import DuplicatesOptions, MineRecord, mine_part, publish_duplicates
from transforms.files import read_table, write_table
from transforms.neighbors import read_neighbors
from transforms.neighbors.tables import neighbors_table


@pytest.mark.parametrize("threshold", [0.75, 0.9, 0.99999])
@pytest.mark.parametrize(("k", "rows_per_tile"), [(1, 10), (4, 30), (32, 1000)])
def test_pairs_are_complete_where_the_lists_are_not(corpus, threshold, k, rows_per_tile):
    options = DuplicatesOptions(threshold=threshold)
    rows, _, record = corpus.duplicates(options, k=k, rows_per_tile=rows_per_tile)
    assert found_pairs(rows) == brute_pairs(corpus, threshold)
    assert len(found_pairs(rows)) == record.near + record.paraphrase
    assert record.complete
    assert record.texts_searched_by_range >= 40


def test_what_a_cap_cuts_is_counted_exactly(corpus):
    options = DuplicatesOptions(threshold=0.75, max_pairs_per_text=3)
    rows, groups, record = corpus.duplicates(options)
    everything = brute_pairs(corpus, 0.75)
    assert found_pairs(rows).items() <= everything.items()
    lost = everything.keys() - found_pairs(rows).keys()
    assert record.pairs_dropped == len(lost) > 500
    assert not record.complete
    assert record.incomplete_because == ("max_pairs_per_text",)
    assert all(row["cosine_to_kept"] >= 0.75 for row in groups)
    owned_by = Counter(min((corpus.ids[corpus.place(a)], a), (corpus.ids[corpus.place(b)], b))[1] for a, b in found_pairs(rows))
    assert max(owned_by.values()) == 3


@pytest.mark.parametrize("cap", [3, 20, 1000])
def test_each_text_says_what_it_lacks(corpus, cap):
    rows, _, record = corpus.duplicates(DuplicatesOptions(threshold=0.75, max_pairs_per_text=cap))
    everything = brute_pairs(corpus, 0.75)
    lost = {pair: cosine for pair, cosine in everything.items() if pair not in found_pairs(rows)}
    texts = read_table(record.texts_file.path).to_pylist()
    assert [row["id"] for row in texts] == sorted(row["id"] for row in texts)
    named = {name for pair in everything for name in pair} | {names[0] for names in corpus.owners if len(names) > 1}
    assert {row["doc_id"] for row in texts} == named
    for row in texts:
        mine = [cosine for pair, cosine in lost.items() if row["doc_id"] in pair]
        assert row["pairs"] == sum(row["doc_id"] in pair for pair in found_pairs(rows))
        assert (row["pairs_dropped"], row["best_dropped"]) == (len(mine), max(mine, default=None))
        assert row["complete"] == (not mine)
        place = corpus.place(row["doc_id"])
        assert (row["id"], row["documents"]) == (corpus.ids[place], len(corpus.owners[place]))
        assert row["characters"] == len(corpus.texts[place])
    assert record.texts_incomplete == sum(not row["complete"] for row in texts)
    assert record.complete == (not lost) == (cap == 1000)


def test_mine_records_survive_json(corpus):
    for record in (mine_part(task, DuplicatesOptions(max_pairs_per_text=3)) for task in corpus.mine_tasks()):
        text = json.dumps(dataclasses.asdict(record))
        assert TypeAdapter(MineRecord).validate_python(json.loads(text)) == record
        assert read_table(record.file.path).num_rows == record.pairs == record.file.rows


def test_relations_and_reasons_come_from_the_texts(tmp_path):
    texts = [
        "today the mail server is up again in 3 minutes",
        "today the mail server is up again in 5 minutes",
        "the host is not reachable",
        "something else",
    ]
    vector = unit(np.ones((1, 8)))[0]
    vectors = [vector, vector, vector, random_vectors(1, 8)[0]]
    owned = {text: [f"d{i}"] for i, text in enumerate(texts)}
    rows, _, _ = make_corpus(tmp_path, owned, dict(zip(texts, vectors, strict=True)), 2).duplicates(DuplicatesOptions())
    assert [(row["doc_id_a"], row["doc_id_b"], row["relation"], row["differences"]) for row in rows] == [
        ("d0", "d1", "near", ["numbers"]),
        ("d0", "d2", "paraphrase", ["numbers", "negation"]),
        ("d1", "d2", "paraphrase", ["numbers", "negation"]),
    ]


def test_passages_of_another_run_are_refused(corpus):
    (task, *_) = corpus.mine_tasks()
    with pytest.raises(ValueError, match="belong to each other"):
        mine_part(dataclasses.replace(task, passages=corpus.passages[:-1]), DuplicatesOptions())
    with pytest.raises(ValueError, match="different runs"):
        mine_part(dataclasses.replace(task, wordings=task.wordings[::-1]), DuplicatesOptions())


@pytest.mark.parametrize("threshold", [0.75, 0.9])
def test_real_texts_and_vectors(tmp_path, shared_data, threshold):
    stored = np.load(shared_data / "debian_packages.minilm.f16.npy", mmap_mode="r")[18_000:20_000]
    table = pq.read_table(shared_data / "debian_packages.parquet").slice(18_000, 2_000)
    vector_of = dict(zip(table["text"].to_pylist(), unit(stored.astype(np.float32)), strict=True))
    owned = {}
    for name, text in zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True):
        owned.setdefault(text, []).append(name)
    corpus = make_corpus(tmp_path, owned, vector_of, 512)
    rows, groups, record = corpus.duplicates(DuplicatesOptions(threshold=threshold), k=2, rows_per_tile=1000)
    whole = np.rint(corpus.vectors.astype(np.float64) * 2**26)
    cosines = np.triu(np.clip(((whole @ whole.T) / 2**52).astype(np.float32), -1, 1), 1).astype(np.float64)
    expected = {
        (*sorted((corpus.owners[i][0], corpus.owners[j][0])), cosines[i, j])
        for i, j in zip(*np.nonzero(cosines >= threshold), strict=True)
    }
    assert {(*pair, cosine) for pair, cosine in found_pairs(rows).items()} == expected
    assert len(expected) > 400
    assert record.texts_searched_by_range > 0
    assert sum(row["doc_id"] != row["kept_doc_id"] for row in groups) == record.duplicate_documents


@pytest.mark.parametrize("threshold", [0.75, 0.9])
def test_an_approximate_graph_gives_what_either_list_holds_and_says_so(corpus, threshold):
    """Lists that lack some of their neighbours at random, as those of an approximate graph do."""
    generator = np.random.default_rng(3)
    tasks = corpus.mine_tasks(k=12, rows_per_tile=30)
    listed, loose, parts = {}, set(), []
    for task in tasks:
        ids, neighbor_ids, cosines = read_neighbors(task.neighbors.file.path)
        chosen = np.sort(np.argsort(generator.random(cosines.shape), axis=1)[:, :8], axis=1)
        neighbor_ids, cosines = (np.take_along_axis(values, chosen, 1) for values in (neighbor_ids, cosines))
        parts.append(write_table(task.neighbors.file.path, neighbors_table(ids, neighbor_ids, cosines)))
        loose |= set(ids[cosines[:, -1] >= threshold].tolist())
        for row, text in enumerate(ids.tolist()):
            for other, cosine in zip(neighbor_ids[row].tolist(), cosines[row].tolist(), strict=True):
                listed[frozenset((text, other))] = cosine
    tasks = [dataclasses.replace(task, graph=tuple(parts), exact=False) for task in tasks]
    options = DuplicatesOptions(threshold=threshold)
    record = publish_duplicates(
        dataclasses.replace(corpus.group_task([mine_part(task, options) for task in tasks]), exact=False), options
    )
    rows = [row for row in read_table(record.pairs_file.path).to_pylist() if is_pair(row)]
    found = {frozenset((row["id_a"], row["id_b"])): row["cosine"] for row in rows}
    id_of = {names[0]: int(text) for names, text in zip(corpus.owners, corpus.ids, strict=True)}
    everything = {frozenset((id_of[a], id_of[b])): cosine for (a, b), cosine in brute_pairs(corpus, threshold).items()}
    expected = {pair: cosine for pair, cosine in listed.items() if cosine >= threshold}
    expected |= {pair: cosine for pair, cosine in everything.items() if pair <= loose}
    assert len(rows) == len(found)
    assert found == expected
    assert found.items() <= everything.items()
    assert (record.complete, record.incomplete_because, record.pairs_dropped) == (False, ("approximate graph",), 0)
    assert not any(read_table(record.texts_file.path)["complete"].to_pylist())
