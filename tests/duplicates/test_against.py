import numpy as np
import pyarrow as pa
import pytest

from tests.duplicates.helpers import make_corpus
from tests.neighbors.helpers import FLAG_NAMES, FLAGS, integer_cosines, random_vectors, records_of, unit
from transforms.corpus import IdCollisionError, content_key
from transforms.duplicates import (
    AgainstTask,
    AroundTask,
    DuplicatesOptions,
    Side,
    against_tables,
    compare_tile,
    matches_schema,
    measure_around,
    pairs_against_schema,
    texts_of,
)
from transforms.duplicates.beam import CompareTiles, MeasureAround
from transforms.files import read_table, write_table

OPTIONS = DuplicatesOptions(threshold=0.6)
K = 4


@pytest.fixture
def sets(tmp_path):
    """Two sets of clumps around the same centres with five texts in common, in parts of 17; A has copies."""
    generator = np.random.default_rng(3)
    centres = generator.normal(size=(9, 16))[np.arange(90) % 9]
    vectors = unit(centres + 0.35 * generator.normal(size=centres.shape))
    texts = [f"text {i} of {'abc'[i % 3]}" for i in range(90)]
    vector_of = dict(zip(texts, vectors, strict=True))
    a = {text: [f"a{i:02d}", *([f"a{i:02d}-copy"] if i % 10 == 0 else [])] for i, text in enumerate(texts[:50])}
    b = {text: [f"b{i:02d}", *([f"b{i:02d}-copy"] if i % 10 == 0 else [])] for i, text in enumerate(texts[45:])}
    return make_corpus(tmp_path / "a", a, vector_of), make_corpus(tmp_path / "b", b, vector_of)


def side(corpus, first: int = 0, last: int | None = None) -> Side:
    return Side(corpus.blocks[first:last], corpus.passages[first:last])


def tables(a, b, options=OPTIONS, k=K, blocks_per_tile: int = 2):
    def tiles(corpus):
        return [side(corpus, first, first + blocks_per_tile) for first in range(0, len(corpus.blocks), blocks_per_tile)]

    compared = [
        compare_tile(AgainstTask(part, tile, side(b), f"{a.folder}/out"), options, k) for part, tile in enumerate(tiles(a))
    ]
    pairs = tuple(record.pairs for record in compared)
    tasks = [AroundTask(part, tile, side(a), pairs, f"{a.folder}/out") for part, tile in enumerate(tiles(b))]
    around = [measure_around(task, options, k) for task in tasks]
    return against_tables(compared, around, a.documents)


def test_every_document_of_a_has_its_pairs_and_its_nearest(sets):
    a, b = sets
    pairs, matches = tables(a, b)
    whole = integer_cosines(np.concatenate([a.vectors, b.vectors]))[: len(a.texts), len(a.texts) :]
    cosines = np.where(a.ids[:, None] == b.ids, np.float32(1), whole)
    expected = {
        (name, b.owners[j][0]): (cosines[i, j], len(b.owners[j]))
        for i, names in enumerate(a.owners)
        for name in names
        for j in np.flatnonzero(cosines[i].astype(np.float64) >= OPTIONS.threshold)
    }
    rows = pairs.to_pylist()
    assert {(row["doc_id_a"], row["doc_id_b"]): (row["cosine"], row["documents_b"]) for row in rows} == expected
    assert len(rows) == len(expected) > 100
    copies = sum(len(names) for text, names in zip(a.texts, a.owners, strict=True) if text in b.texts)
    assert sum(row["relation"] == "exact" for row in rows) == copies
    assert rows == sorted(rows, key=lambda row: (-row["cosine"], row["doc_id_a"], row["doc_id_b"]))
    best = {row["doc_id"]: row for row in matches.to_pylist()}
    for i, names in enumerate(a.owners):
        for name in names:
            assert best[name]["best_cosine"] == cosines[i].max()
            assert best[name]["pairs"] == np.count_nonzero(cosines[i] >= OPTIONS.threshold)
    assert sorted(best) == list(best) == sorted(name for names in a.owners for name in names)
    for table, schema in ((pairs, pairs_against_schema()), (matches, matches_schema())):
        assert table.schema.equals(schema, check_metadata=True)


@pytest.mark.parametrize("blocks_per_tile", [1, 9])
def test_tiles_do_not_matter(sets, blocks_per_tile):
    expected, found = tables(*sets), tables(*sets, blocks_per_tile=blocks_per_tile)
    assert found[0].equals(expected[0])
    assert found[1].equals(expected[1])


def test_nothing_to_compare_with(sets, tmp_path):
    a, _ = sets
    record = compare_tile(AgainstTask(0, side(a), Side((), ()), f"{tmp_path}/out"), OPTIONS, K)
    pairs, matches = against_tables([record], [], a.documents)
    assert pairs.num_rows == 0
    assert set(matches["pairs"].to_pylist()) == {0}
    assert matches["best_doc_id"].null_count == matches.num_rows > 0


def test_different_texts_with_one_id_are_refused(sets):
    a, b = sets
    path = b.passages[0].path
    table = read_table(path)
    (row,) = [i for i, text in enumerate(table["text"].to_pylist()) if text in a.texts][:1]
    keys = table["content_key"].to_pylist()
    keys[row] = content_key("another text")
    write_table(path, table.set_column(0, "content_key", pa.array(keys, pa.binary(32))))
    with pytest.raises(IdCollisionError, match="have the same id"):
        tables(a, b)


def test_texts_are_found_by_id_in_any_part(sets):
    a, _ = sets
    wanted = a.ids[[1, 20, 49]]
    assert texts_of(wanted, side(a)) == {int(key): a.texts[i] for key, i in zip(wanted, (1, 20, 49), strict=True)}
    assert texts_of(wanted[:0], side(a)) == {}


@pytest.mark.parametrize("flags", FLAGS, ids=FLAG_NAMES)
def test_jobs_give_the_records_of_the_functions(sets, flags):
    a, b = sets
    tasks = [AgainstTask(part, side(a, part, part + 1), side(b), f"{a.folder}/out") for part in range(len(a.blocks))]
    records = [compare_tile(task, OPTIONS, K) for task in tasks]
    records_of(CompareTiles(OPTIONS, K), tasks, records, flags)
    around = [AroundTask(0, side(b), side(a), tuple(record.pairs for record in records), f"{a.folder}/out")]
    records_of(MeasureAround(OPTIONS, K), around, [measure_around(task, OPTIONS, K) for task in around], flags)


def test_a_cap_counts_what_it_leaves_out(sets):
    a, b = sets
    capped = DuplicatesOptions(threshold=0.6, max_pairs_per_text=2)
    record = compare_tile(AgainstTask(0, side(a), side(b), f"{a.folder}/out"), capped, K)
    whole = compare_tile(AgainstTask(1, side(a), side(b), f"{a.folder}/out"), OPTIONS, K)
    assert record.pairs_dropped == whole.pairs.rows - record.pairs.rows > 0
    assert read_table(record.nearest.path)["pairs"].equals(read_table(whole.nearest.path)["pairs"])


def test_a_text_without_others_has_the_threshold_around_it(tmp_path):
    vectors = random_vectors(2)
    a = make_corpus(tmp_path / "a", {"one": ["a"]}, {"one": vectors[0]})
    b = make_corpus(tmp_path / "b", {"one": ["b"]}, {"one": vectors[0]})
    pairs, _ = tables(a, b)
    assert pairs["margin"].to_pylist() == [pytest.approx(1 / 0.6)]
