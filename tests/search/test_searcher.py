"""Answers by document where documents have several passages, against brute force over all passages."""

import hashlib
from types import SimpleNamespace

import faiss
import numpy as np
import pyarrow as pa
import pytest

from tests.neighbors.helpers import unit
from transforms.embedding import EmbeddingOptions
from transforms.files import write_table
from transforms.search import Hit, Searcher

DIM = 8


class OneVector:
    """An encoder that answers every query with a given vector."""

    def __init__(self, vector: np.ndarray) -> None:
        self.vector = vector

    def encode_queries(self, queries):
        from transforms.embedding import Encoded

        return Encoded(np.repeat(self.vector[None], len(queries), 0), np.zeros(len(queries), bool), 0, 0, {})


class Folder:
    """As much of a generation as a search reads."""

    id = "one"

    def __init__(self, path, parts):
        self._path, self._parts = path, parts
        self.manifest = self

    def path(self, name):
        return f"{self._path}/{name}"

    def file(self, name):
        class File:
            size = 0

        return File

    def under(self, _):
        return self._parts

    def checked(self, part):
        return part.path


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """A function from passages {(document, number): vector} and a query vector to a searcher."""

    def build(passages, query, index=None):
        names = sorted(passages, key=lambda name: (hashlib.sha256(name[0].encode()).digest()[:8], name))
        vectors = np.stack([passages[name] for name in names]).astype(np.float32)
        # Equal vectors stand for equal texts, which share an id.
        unique, ids = np.unique(vectors, axis=0, return_inverse=True)
        made = index or faiss.IndexFlatIP(DIM)
        if not made.is_trained:
            made.train(unique)
        with_ids = faiss.IndexIDMap2(made) if index is None else made
        with_ids.add_with_ids(unique, np.arange(len(unique)) + 100)
        (tmp_path / "index").mkdir()
        faiss.write_index(with_ids, f"{tmp_path}/index/index.faiss")
        doc_ids, numbers = [name for name, _ in names], pa.array([number for _, number in names], pa.int32())
        write_table(
            f"{tmp_path}/index/ids.parquet", pa.table({"id": ids.ravel() + 100, "doc_id": doc_ids, "passage_no": numbers})
        )
        texts = [f"{name} {number}" for name, number in names]
        table = pa.table({"doc_id": doc_ids, "passage_no": numbers, "text": texts})
        part = write_table(f"{tmp_path}/documents/part-00000.parquet", table)
        monkeypatch.setattr("transforms.search.searcher.matching_spec", lambda *_: SimpleNamespace(metric="cosine"))
        monkeypatch.setattr("transforms.search.searcher.load_encoder", lambda *_: OneVector(query))
        return Searcher(Folder(tmp_path, [part]), EmbeddingOptions())

    return build


def brute_force(passages, query, k):
    best = {}
    for (name, number), vector in sorted(passages.items()):
        score = float(np.float32(vector) @ query)
        if name not in best or score > best[name][0] + 1e-6:
            best[name] = score, number
    ranked = sorted(best.items(), key=lambda item: (-item[1][0], item[0]))[:k]
    return [(name, number) for name, (_, number) in ranked]


@pytest.mark.parametrize("k", [1, 3, 10, 30, 1000])
def test_the_best_documents_are_found_however_many_passages_are_in_the_way(searched, k):
    generator = np.random.default_rng(k)
    query = unit(generator.normal(size=(1, DIM)))[0]
    # Two hundred passages of one document are nearer to the query than anything else.
    passages = {("long", i): unit((query + 0.05 * generator.normal(size=DIM))[None])[0] for i in range(200)}
    for i in range(40):
        for number in range(int(generator.integers(1, 5))):
            passages[f"d{i:02d}", number] = unit(generator.normal(size=(1, DIM)))[0]
    passages["copy", 7] = passages["d03", 0]
    passages["d05", 9] = passages["d05", 0]
    hits = searched(passages, query).search(["anything"], k)[0]
    assert [(hit.doc_id, hit.passage_no) for hit in hits] == brute_force(passages, query, k)
    assert [hit.rank for hit in hits] == list(range(1, min(k, 42) + 1))
    assert all(hit.text == f"{hit.doc_id} {hit.passage_no}" for hit in hits)
    assert all(hit.score == pytest.approx(float(passages[hit.doc_id, hit.passage_no] @ query), abs=1e-6) for hit in hits)


def test_an_index_that_answers_with_fewer_is_asked_no_further(searched):
    generator = np.random.default_rng(0)
    passages = {(f"d{i:03d}", 0): unit(generator.normal(size=(1, DIM)))[0] for i in range(400)}
    index = faiss.index_factory(DIM, "IVF8,Flat", faiss.METRIC_INNER_PRODUCT)  # visits one list of eight
    query = unit(generator.normal(size=(1, DIM)))[0]
    hits = searched(passages, query, index).search(["anything"], 300)[0]
    assert 0 < len(hits) < 300
    assert isinstance(hits[0], Hit)
