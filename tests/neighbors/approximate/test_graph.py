import numpy as np
import pytest

from tests.neighbors.approximately import SMALL, approximate, check_lists, exact_matrix, lists_of, true_shares
from tests.neighbors.helpers import make_ids, random_vectors, unit
from transforms.index import sampled_rows
from transforms.neighbors import NeighborsOptions
from transforms.vectors import write_block


def clumps(rows: int, seed: int = 0, dim: int = 12, spread: float = 1.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = unit(generator.normal(size=(rows // 50, dim)))
    return unit(centres[generator.integers(0, len(centres), rows)] + spread * generator.normal(size=(rows, dim)) / dim**0.5)


@pytest.fixture(scope="module")
def vectors():
    return clumps(1200)


def test_lists_are_well_formed_with_exact_cosines_and_the_certificate_is_the_true_recall_of_its_rows(tmp_path, vectors):
    ids = make_ids(len(vectors))
    graph = approximate(tmp_path, vectors)
    recall = check_lists(vectors, ids, graph, 8)
    assert 0.97 < recall < 1
    found = graph.certificate
    sampled = true_shares(vectors, lists_of(graph)[2])[sampled_rows(ids, 100, last=True)]
    assert (found.texts, found.k, found.recall) == (100, 8, pytest.approx(sampled.mean(), abs=1e-12))
    assert found.low < found.recall < found.high
    assert found.low <= recall <= found.high
    everybody = approximate(tmp_path / "all", vectors, NeighborsOptions(k=8, **SMALL | {"recall_rows": 10_000}))
    assert everybody.certificate.recall == pytest.approx(recall, abs=1e-12)
    assert graph.counts["candidates_compared"] < 0.5 * len(vectors) ** 2


def test_more_or_larger_buckets_find_more(tmp_path, vectors):
    def recall(name, **options):
        return approximate(tmp_path / name, vectors, NeighborsOptions(k=8, **SMALL | options)).certificate.recall

    one = recall("one", buckets_per_text=1, recall_rows=1200)
    assert one + 0.03 < recall("large", buckets_per_text=1, texts_per_bucket=100, recall_rows=1200)
    assert one + 0.1 < recall("two", buckets_per_text=2, recall_rows=1200)


def test_without_the_round_of_neighbours_neighbours_a_graph_is_worse(tmp_path, vectors, monkeypatch):
    options = NeighborsOptions(k=8, **SMALL | {"recall_rows": 1200, "buckets_per_text": 2})
    full = approximate(tmp_path / "a", vectors, options).certificate.recall
    monkeypatch.setattr("transforms.neighbors.approximate.refine._OUTER", 0)
    assert approximate(tmp_path / "b", vectors, options).certificate.recall < full - 0.05


@pytest.mark.parametrize(
    "how",
    [
        {"rows": 1200},
        {"rows": 33},
        {"rows": 640, "threads": 3, "workers": 3},
        {"options": {"rows_per_chunk": 10**6, "rows_per_tile": 200, "margin": 3}},
    ],
)
def test_the_same_bytes_whatever_blocks_threads_order_of_tasks_and_memory(tmp_path, vectors, how):
    settings = {"k": 8, **SMALL, "rows_per_tile": 1200}
    expected = approximate(tmp_path / "a", vectors, NeighborsOptions(**settings))
    other = NeighborsOptions(**settings | how.pop("options", {}) | {"rows_per_tile": 1200})
    found = approximate(tmp_path / "b", vectors, other, **how)
    assert [part.file.sha256 for part in found.parts] == [part.file.sha256 for part in expected.parts]
    assert found.certificate == expected.certificate
    assert found.counts == expected.counts


def test_tiles_only_cut_the_table(tmp_path, vectors):
    one = approximate(tmp_path / "a", vectors)
    other = approximate(tmp_path / "b", vectors, NeighborsOptions(k=8, **SMALL | {"rows_per_tile": 1}))
    assert len(other.parts) > len(one.parts)
    assert all(np.array_equal(a, b) for a, b in zip(lists_of(one), lists_of(other), strict=True))


PATHOLOGICAL = {
    "all equal": lambda: np.tile(random_vectors(1), (600, 1)),
    "two points": lambda: np.repeat(random_vectors(2), 300, axis=0),
    "pairs of equals": lambda: np.repeat(random_vectors(150), 2, axis=0),
    "a giant clump": lambda: np.vstack([unit(np.ones(16) / 4 + 0.1 * random_vectors(700)), random_vectors(60, seed=1)]),
    "no structure": lambda: random_vectors(400, dim=64),
    "all opposite": lambda: np.vstack([np.eye(40, dtype=np.float32), -np.eye(40, dtype=np.float32)]),
    "fewer texts than neighbours": lambda: random_vectors(5),
    "two texts": lambda: random_vectors(2),
}


@pytest.mark.parametrize("name", PATHOLOGICAL)
@pytest.mark.parametrize("per_bucket", [1, 20, 10_000])
def test_every_text_gets_a_full_list_whatever_the_vectors(tmp_path, name, per_bucket):
    vectors = PATHOLOGICAL[name]()
    options = NeighborsOptions(k=8, **SMALL | {"texts_per_bucket": per_bucket, "recall_rows": 10_000, "buckets_per_text": 2})
    graph = approximate(tmp_path, vectors, options)
    recall = check_lists(vectors, make_ids(len(vectors)), graph, 8)
    assert graph.certificate.recall == pytest.approx(recall, abs=1e-12)
    if per_bucket == 10_000 or name in ("all equal", "two points"):
        # Everybody in one bucket, or in one with enough equals: only rounding can cost a place.
        assert recall > 0.995


def test_texts_with_too_few_candidates_are_compared_with_all_and_counted(folder):
    # Forty pairs, each alone in its bucket: nobody can meet anyone but the partner.
    generator = np.random.default_rng(0)
    vectors = unit(np.repeat(np.eye(40), 2, axis=0) + 1e-3 * generator.normal(size=(80, 40)))
    options = NeighborsOptions(k=6, **SMALL | {"texts_per_bucket": 2, "buckets_per_text": 1, "recall_rows": 80})
    graph = approximate(folder, vectors, options)
    assert check_lists(vectors, make_ids(80), graph, 6) == graph.certificate.recall
    assert 60 < graph.counts["rows_filled"] <= 80
    assert graph.certificate.recall > 0.95


def test_a_bucket_that_is_too_large_is_cut(folder):
    generator = np.random.default_rng(0)
    vectors = unit(np.ones(16) + 1e-3 * generator.normal(size=(700, 16)))
    vectors = np.vstack([vectors, random_vectors(60)])
    graph = approximate(folder, vectors, NeighborsOptions(k=8, **SMALL | {"texts_per_bucket": 5, "recall_rows": 760}))
    assert graph.counts["largest_bucket"] > 80
    assert graph.counts["bucket_slices"] > 0
    check_lists(vectors, make_ids(760), graph, 8)


def test_tied_texts_at_the_end_of_a_list_count_as_found(folder):
    # Of 300 equals any eight are right, whichever a brute-force search would list.
    vectors = np.vstack([np.tile(random_vectors(1), (300, 1)), random_vectors(300, seed=1)])
    graph = approximate(folder, vectors, NeighborsOptions(k=8, **SMALL | {"recall_rows": 600}))
    cosines = lists_of(graph)[2]
    assert (cosines[:300] == exact_matrix(vectors)[0, 1]).all()
    assert graph.certificate.recall > 0.9


def test_vectors_that_are_not_unit_stop_it(folder):
    with pytest.raises(ValueError, match="norm"):
        approximate(folder, random_vectors(50) * 1.1)


def test_blocks_may_be_empty(folder):
    vectors, ids = random_vectors(90), make_ids(90)
    empty = write_block(f"{folder}/v.npy", f"{folder}/i.npy", 90, np.empty(0, np.int64), np.empty((0, 16)))
    graph = approximate(folder, vectors, ids=ids)
    assert empty.rows == 0
    check_lists(vectors, ids, graph, 8)


@pytest.mark.long
def test_real_vectors_reach_the_promised_recall(folder, shared_data):
    stored = np.load(shared_data / "debian_packages.minilm.f16.npy", mmap_mode="r")
    vectors = unit(stored[:20_000].astype(np.float32))
    graph = approximate(folder, vectors, NeighborsOptions(), rows=4096, threads=None)
    assert graph.certificate.recall >= 0.98
