"""Answers by document where documents have several passages, against brute force over all passages."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import faiss
import numpy as np
import pyarrow as pa
import pytest

from tests.neighbors.helpers import unit
from transforms.corpus import content_keys, doc_hash, ids_of, part_of
from transforms.embedding import EmbeddingOptions
from transforms.files import write_table
from transforms.search import GenerationSearcher, Hit, QueryError, Theme, Topic, WhereError, check_queries
from transforms.search.owners import Owners

DIM, PARTS = 8, 2
SECTIONS = ["net", "web", "games", None]


class OneVector:
    """An encoder that answers every query with a given vector."""

    max_tokens = 256

    def __init__(self, vector: np.ndarray) -> None:
        self.vector = vector

    def encode(self, queries):
        return np.repeat(self.vector[None], len(queries), 0), np.zeros(len(queries), bool)


class Folder:
    """As much of a generation as a search reads."""

    id = "one"

    def __init__(self, path, files):
        self.encoder = {"metric": "cosine"}
        self.configuration = {"topics": {"resolutions": [0.5, 1], "resolution": 1}}
        self._path, self._files = path, files
        self.manifest = self

    def path(self, name):
        return f"{self._path}/{name}"

    def file(self, name):
        return SimpleNamespace(size=0)

    def under(self, name):
        return [file for file in self._files if f"/{name}/" in file.path]

    def checked(self, file):
        return file.path


def section_of(doc_id: str) -> str | None:
    return SECTIONS[sum(doc_id.encode()) % len(SECTIONS)]


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """A function from passages {(document, number): vector}, a query vector and groups, lists of passages, to a searcher."""

    def build(passages, query, index=None, groups=()):
        names = sorted(passages, key=lambda name: (doc_hash(name[0]), name))
        vectors = np.stack([passages[name] for name in names]).astype(np.float32)
        # Equal vectors stand for equal texts, which share an id.
        unique, which = np.unique(vectors, axis=0, return_inverse=True)
        keys = content_keys([f"text {i}" for i in range(len(unique))])
        ids = ids_of(keys)
        made = index or faiss.IndexFlatIP(DIM)
        if not made.is_trained:
            made.train(unique)
        with_ids = faiss.IndexIDMap2(made) if index is None else made
        with_ids.add_with_ids(unique, ids)
        (tmp_path / "index").mkdir()
        faiss.write_index(with_ids, f"{tmp_path}/index/index.faiss")
        doc_ids, numbers = [name for name, _ in names], [number for _, number in names]
        columns = {
            "doc_id": pa.array(doc_ids),
            "passage_no": pa.array(numbers, pa.int32()),
            "content_key": keys.take(pa.array(which.ravel())),
            "text": pa.array([f"{name} {number}" for name, number in names]),
            "section": pa.array([section_of(name) for name in doc_ids], pa.string()),
            "size": pa.array(numbers, pa.int64()),
        }
        table = pa.table(columns)
        own = table.select(["doc_id", "passage_no"]).append_column("id", pa.array(ids[which.ravel()]))
        write_table(
            f"{tmp_path}/index/ids.parquet", own.sort_by([(n, "ascending") for n in ("id", "doc_id", "passage_no")]), 16
        )
        parts = np.array([part_of(doc_hash(name), PARTS) for name in doc_ids])
        files = [
            write_table(f"{tmp_path}/documents/part-{part:05d}.parquet", table.filter(pa.array(parts == part)), 32)
            for part in range(PARTS)
        ]
        theme = pa.array(np.arange(len(names)) % 3, pa.int32())
        topic = pa.array(np.arange(len(names)) % 4 - 1, pa.int32())
        assignments = {"doc_id": doc_ids, "passage_no": columns["passage_no"], "theme_id": theme, "topic_id": topic}
        assignments |= {"assigned_topic_id": topic, "topic_uid": pa.array([f"u{one.as_py()}" for one in topic])}
        themes = {"layer": [0, 1, 1, 1], "theme_id": [0, 0, 1, 2], "theme_uid": list("zabc"), "title": list("ZABC")}
        files += [
            write_table(f"{tmp_path}/topics/assignments.parquet", pa.table(assignments), 16),
            write_table(f"{tmp_path}/topics/themes.parquet", pa.table(themes)),
            write_table(f"{tmp_path}/topics/topics.parquet", pa.table({"topic_id": [0, 1, 2], "title": ["t0", "t1", "t2"]})),
        ]
        members = [(f"g{i}", *passage) for i, group in enumerate(groups) for passage in group]
        kinds = [("group_id", pa.string()), ("doc_id", pa.string()), ("passage_no", pa.int32())]
        rows = pa.table({name: pa.array([m[i] for m in members], kind) for i, (name, kind) in enumerate(kinds)})
        files.append(write_table(f"{tmp_path}/duplicates/groups.parquet", rows))
        monkeypatch.setattr("transforms.search.searcher.matching_spec", lambda *_: SimpleNamespace(metric="cosine"))
        monkeypatch.setattr("transforms.search.searcher.load_query_encoder", lambda *_: OneVector(query))
        return GenerationSearcher(Folder(tmp_path, files), EmbeddingOptions())

    return build


def brute_force(passages, query, k, fits=lambda name: True, group_of=lambda name: None):
    documents, answers = {}, {}
    for name, vector in passages.items():
        score = float(np.float32(np.float32(vector).astype(np.float64) @ query.astype(np.float64)))
        if fits(name):
            documents[name[0]] = min(documents.get(name[0], (2, name)), (-score, name))
    for answer in sorted(documents.values()):
        answers.setdefault(group_of(answer[1]) or answer[1][0], answer[1])
    return list(answers.values())[:k]


def some_passages(seed: int, query: np.ndarray) -> dict:
    generator = np.random.default_rng(seed)
    # Two hundred passages of one document are nearer to the query than anything else.
    passages = {("long", i): unit((query + 0.05 * generator.normal(size=DIM))[None])[0] for i in range(200)}
    for i in range(40):
        for number in range(int(generator.integers(1, 5))):
            passages[f"d{i:02d}", number] = unit(generator.normal(size=(1, DIM)))[0]
    passages["copy", 7] = passages["d03", 0]
    passages["d05", 9] = passages["d05", 0]
    return passages


@pytest.fixture
def query():
    return unit(np.random.default_rng(9).normal(size=(1, DIM)))[0].astype(np.float32)


def places(hits: list[Hit]) -> list[tuple[str, int]]:
    return [(hit.doc_id, hit.passage_no) for hit in hits]


@pytest.mark.parametrize("k", [1, 3, 10, 30, 1000])
def test_the_best_documents_are_found_however_many_passages_are_in_the_way(searched, query, k):
    passages = some_passages(k, query)
    hits = searched(passages, query).search(["anything"], k)[0]
    assert places(hits) == brute_force(passages, query, k)
    assert [hit.rank for hit in hits] == list(range(1, min(k, 42) + 1))
    assert all(hit.text == f"{hit.doc_id} {hit.passage_no}" for hit in hits)
    assert all(hit.metadata == {"section": section_of(hit.doc_id), "size": hit.passage_no} for hit in hits)
    assert all(hit.score == pytest.approx(float(passages[hit.doc_id, hit.passage_no] @ query), abs=1e-6) for hit in hits)


def test_themes_and_topics_are_those_of_the_passage(searched, query):
    passages = some_passages(1, query)
    rows = sorted(passages, key=lambda name: (doc_hash(name[0]), name))
    for hit in searched(passages, query).search(["anything"], 42)[0]:
        row = rows.index((hit.doc_id, hit.passage_no))
        topic = row % 4 - 1
        assert hit.theme == Theme(row % 3, "abc"[row % 3], "ABC"[row % 3])
        assert hit.topic == Topic(topic, topic, f"u{topic}", None if topic < 0 else f"t{topic}")


@pytest.mark.parametrize("factory", [None, "IVF4,Flat"])
@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ("section = 'net'", lambda name: section_of(name[0]) == "net"),
        ("section != 'net'", lambda name: section_of(name[0]) not in ("net", None)),
        ("section is null and size >= 1", lambda name: section_of(name[0]) is None and name[1] >= 1),
        # A text that two documents have is an answer for the one that fits.
        ("doc_id = 'copy'", lambda name: name[0] == "copy"),
        ("text like 'd05 9'", lambda name: name == ("d05", 9)),
        ("size > 1000", lambda name: False),
    ],
)
def test_a_filter_leaves_the_best_of_what_fits(searched, query, where, fits, factory):
    passages = some_passages(2, query)
    index = None if factory is None else faiss.index_factory(DIM, factory, faiss.METRIC_INNER_PRODUCT)
    searcher = searched(passages, query, index)
    for k in (1, 5, 100):
        if factory is None or k == 100:
            assert places(searcher.search(["anything"], k, where=where)[0]) == brute_force(passages, query, k, fits)


def test_one_answer_for_each_group(searched, query):
    passages = some_passages(3, query)
    # Documents with one passage only fold; of "long" no other passage is the best.
    nearest = brute_force(passages, query, 1)[0]
    for name in ("d03", "d20"):
        for number in range(1, 5):
            passages.pop((name, number), None)
    groups = [[nearest, ("d07", 0), ("d08", 0)], [("d03", 0), ("copy", 7), ("d20", 0)]]
    group_of = {name: f"group {i}" for i, group in enumerate(groups) for name in group}
    searcher = searched(passages, query, groups=groups)
    for k in (1, 4, 20, 100):
        hits = searcher.search(["anything"], k, group_duplicates=True)[0]
        assert places(hits) == brute_force(passages, query, k, group_of=group_of.get)
        answers = {hit.doc_id for hit in hits}
        assert len(answers) == len(hits)
        for hit in hits:
            group = next((group for group in groups if (hit.doc_id, hit.passage_no) in group), [])
            assert hit.duplicates == tuple(sorted({name for name, _ in group} - answers))
    by_passage = {(hit.doc_id, hit.passage_no): hit for hit in hits}
    first = next(hit for name, hit in by_passage.items() if group_of.get(name) == "group 1")
    assert set(first.duplicates) == {"d03", "copy", "d20"} - {first.doc_id}
    # Every other passage of these is another answer.
    assert {"d07", "d08"} <= answers
    fitting = searcher.search(["anything"], 100, where="doc_id in ('copy', 'd20')", group_duplicates=True)[0]
    assert {fitting[0].doc_id, *fitting[0].duplicates} == {"copy", "d20"}
    assert all(not hit.duplicates for hit in searcher.search(["anything"], 100)[0])


def test_equal_scores_are_in_the_order_of_the_documents_also_at_the_last_place(searched):
    """Mirrored vectors have exactly equal scores; FAISS answers with any of them."""
    query = np.eye(DIM, dtype=np.float32)[0]
    passages = {}
    for i in range(60):
        vector = np.zeros(DIM)
        vector[0], vector[1 + i % 7] = 0.6, 0.8 if i % 2 else -0.8
        passages[f"d{(i * 37) % 60:02d}", 0] = vector * (1 + 0.0001 * (i // 14))
    searcher = searched(passages, query)
    for k in (1, 5, 14, 20):
        assert places(searcher.search(["anything"], k)[0]) == brute_force(passages, query, k)


def test_an_index_with_lists_is_asked_for_more_of_them_where_the_visited_ones_have_too_few(searched, query):
    generator = np.random.default_rng(0)
    passages = {(f"d{i:03d}", 0): unit(generator.normal(size=(1, DIM)))[0] for i in range(400)}
    index = faiss.index_factory(DIM, "IVF8,Flat", faiss.METRIC_INNER_PRODUCT)  # visits one list of eight
    hits = searched(passages, query, index).search(["anything"], 300)[0]
    assert len(hits) == 300
    assert set(places(hits)) == set(brute_force(passages, query, 300))


def test_many_threads_get_the_answers_of_one(searched, query):
    passages = some_passages(4, query)
    searcher = searched(passages, query, groups=[[("d01", 0), ("d02", 0)]])
    asked = [
        {"k": k, "where": where, "group_duplicates": g} for k in (1, 7) for where in (None, "size < 2") for g in (True, False)
    ]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: searcher.search(["anything"], **one), asked * 5))
    assert found == [searcher.search(["anything"], **one) for one in asked] * 5


@pytest.mark.parametrize(
    ("queries", "said"),
    [
        *((["good", blank], "a query must not be blank") for blank in ("", "\u200b", "\x00", "\ufeff \u00ad\u2028")),
        ([None], "must be a text, got NoneType"),
        ([b"x"], "must be a text, got bytes"),
        (b"x", "queries are a list of texts"),
        (["\ud800"], "must be Unicode"),
    ],
)
def test_what_is_no_query_is_refused(queries, said):
    with pytest.raises(QueryError, match=said):
        check_queries(queries, 1)


def test_what_can_be_seen_is_a_query():
    check_queries([".", "\u200b\u4e00", np.str_("x"), "\U0001f600"], np.int64(3))
    check_queries((), 1)
    for k in (0, -1, 2.5, "3", None):
        with pytest.raises(QueryError, match="k must be at least 1 and whole"):
            check_queries(["x"], k)


def test_a_query_without_an_answer_is_refused(searched, query):
    searcher = searched({("d", 0): query}, query)
    with pytest.raises(QueryError, match="k must be at least 1"):
        searcher.search(["anything"], 0)
    with pytest.raises(QueryError, match="queries are a list of texts"):
        searcher.search("anything")
    with pytest.raises(QueryError, match="blank"):
        searcher.search(["good", " \n"])
    with pytest.raises(QueryError, match="must be Unicode"):
        searcher.search(["caf\udce9"])
    with pytest.raises(WhereError, match="there is no column 'nothing'; columns are doc_id, passage_no, text, section, size"):
        searcher.search(["anything"], where="nothing = 1")
    assert searcher.search([]) == []


def test_ids_are_found_across_row_groups(tmp_path):
    ids = np.sort(np.random.default_rng(0).integers(0, 50, 300))
    doc_ids = [f"d{i:03d}" for i in range(300)]
    write_table(
        f"{tmp_path}/ids.parquet", pa.table({"id": ids, "doc_id": doc_ids, "passage_no": pa.array([0] * 300, pa.int32())}), 7
    )
    found = Owners(f"{tmp_path}/ids.parquet").of(np.array([3, 60, 17, -1, 3]))
    assert found == {one: [(doc_ids[i], 0) for i in np.flatnonzero(ids == one)] for one in (3, 17)}
