"""nprobe against the sweep that it replaces: the recall of every number of lists, each measured by a search."""

import faiss
import numpy as np
import pytest

from tests.index.helpers import clustered_vectors
from tests.index.test_recall import meter_of
from tests.neighbors.helpers import make_blocks, make_ids, random_vectors, unit
from transforms.index import QuerySet, RecallMeter, exact_top, index_from_bytes, smallest_nprobe, trained_template

TYPES = ["IVF64,SQ8", "IVF64,Flat", "PCAR16,IVF40,SQfp16", "RR,IVF64,RaBitQ2", "IVF64_HNSW8,SQ8"]
TARGETS = [0.3, 0.8, 0.9, 0.97, 0.999, 1.0]


def built(factory: str, vectors: np.ndarray) -> faiss.Index:
    index = index_from_bytes(trained_template(factory, vectors))
    index.add_with_ids(vectors, make_ids(len(vectors)))
    return index


def sweep(index, meter: RecallMeter) -> list[float]:
    """Measured recall at 10 of every nprobe from 1 on."""
    ivf = faiss.extract_index_ivf(index)
    recalls = []
    for nprobe in range(1, ivf.nlist + 1):
        ivf.nprobe = nprobe
        recalls.append(meter.recall(meter.search(index)))
    return recalls


def all_but_nothing(recalls: list[float]) -> int:
    """The smallest nprobe whose recall is within 0.001 of that of all lists."""
    return next(p for p, recall in enumerate(recalls, 1) if recall >= recalls[-1] - 0.001)


@pytest.fixture(scope="module", params=TYPES)
def swept(request, tmp_path_factory):
    vectors = clustered_vectors(3000)
    meter = meter_of(tmp_path_factory.mktemp("nprobe"), vectors, np.arange(0, 3000, 15), rows_per_block=1000)
    index = built(request.param, vectors)
    return request.param, index, meter, sweep(index, meter)


@pytest.mark.parametrize("target", TARGETS)
def test_nprobe_is_the_smallest_whose_measured_recall_reaches_the_target(swept, target):
    factory, index, meter, recalls = swept
    chosen = smallest_nprobe(index, meter, target)
    assert faiss.extract_index_ivf(index).nprobe == chosen.nprobe
    reached = [p for p, recall in enumerate(recalls, 1) if recall >= target]
    if "HNSW" in factory and reached:
        assert chosen.nprobe in reached
        assert chosen.nprobe - 1 not in reached
    else:
        assert chosen.nprobe == (reached[0] if reached else all_but_nothing(recalls))
    assert meter.recall(chosen.found) == recalls[chosen.nprobe - 1]


@pytest.mark.parametrize("factory", ["IVF96,PQ4", "IVF96,RaBitQ2"])
def test_codes_that_are_too_coarse_for_the_target_get_the_lists_in_which_something_is_found(tmp_path, factory):
    # Neighbours are in few lists, of many: the curve is at its end long before codes could reach the target.
    vectors = clustered_vectors(4000)
    meter = meter_of(tmp_path, vectors, np.arange(0, 4000, 100), rows_per_block=1000)
    index = built(factory, vectors)
    recalls = sweep(index, meter)
    assert max(recalls) < 0.99
    chosen = smallest_nprobe(index, meter, 0.99)
    assert chosen.nprobe == all_but_nothing(recalls) < 64
    assert meter.recall(chosen.found) == recalls[chosen.nprobe - 1]


def test_few_searches_are_made(swept, monkeypatch):
    factory, index, meter, recalls = swept
    searched = []
    search = meter.search

    def counted(index, depth=None, rows=None):
        searched.append(len(meter.queries) if rows is None else len(rows))
        return search(index, depth, rows)

    monkeypatch.setattr(meter, "search", counted)
    reachable = max(recalls) >= 0.9
    smallest_nprobe(index, meter, 0.9)
    # To find out that codes are too coarse, the number of lists is doubled up to all 64.
    most = 7 if not reachable else 3 if "HNSW" in factory else 1.5
    assert sum(searched) <= most * len(meter.queries)


@pytest.mark.parametrize("target", [0.5, 0.9, 0.97])
def test_what_is_taken_from_a_search_of_more_lists_is_what_fewer_give(swept, target):
    _, index, meter, _ = swept
    chosen = smallest_nprobe(index, meter, target)
    searched = meter.search(index)
    np.testing.assert_array_equal(chosen.found.scores, searched.scores)
    # Equal scores may come in any order, and the last ones may be cut.
    inside = searched.scores > searched.scores[:, -1:]
    for ours, theirs, whole in zip(chosen.found.ids, searched.ids, inside, strict=True):
        assert set(ours[whole]) == set(theirs[whole])


def test_the_curve_is_what_exact_codes_find(swept):
    factory, index, meter, recalls = swept
    curve = smallest_nprobe(index, meter, 1.0).curve
    coarse = curve.coarse["corpus"]
    assert coarse[0] == 0
    assert (np.diff(coarse) >= 0).all()
    if factory == "IVF64,Flat":
        assert coarse[1:] == pytest.approx(recalls[: len(coarse) - 1])
    elif "HNSW" not in factory:
        assert (coarse[1:] >= np.array(recalls[: len(coarse) - 1]) - 1e-12).all()
    sizes = [faiss.extract_index_ivf(index).invlists.list_size(i) for i in range(faiss.extract_index_ivf(index).nlist)]
    assert curve.texts[-1] <= sum(sizes) == 3000
    assert (np.diff(curve.texts) >= 0).all()


def test_the_published_curve_has_the_stored_nprobe_and_its_neighbours_in_powers_of_two(swept):
    _, index, meter, _ = swept
    chosen = smallest_nprobe(index, meter, 0.9)
    rows = chosen.curve.table(chosen.nprobe).to_pylist()
    assert [row["nprobe"] for row in rows if row["stored"]] == [chosen.nprobe]
    assert {1, 2, 4, 8} <= {row["nprobe"] for row in rows}
    assert [row["nprobe"] for row in rows] == sorted({row["nprobe"] for row in rows})
    for row in rows:
        assert row["coarse_recall_at_10"] == chosen.curve.coarse["corpus"][row["nprobe"]]


def test_queries_from_outside_count_too(tmp_path):
    """Their neighbours are in more lists: nprobe must do for both sets."""
    vectors, ids = clustered_vectors(2000), make_ids(2000)
    blocks = make_blocks(tmp_path, vectors, ids, 1000)
    (own,) = make_blocks(tmp_path / "own", vectors[::20], ids[::20], 100)
    (asked,) = make_blocks(tmp_path / "asked", random_vectors(80, 32, seed=4), np.arange(-81, -1), 80)
    sets = [QuerySet("corpus", own), QuerySet("file", asked)]
    queries = np.concatenate([own.vectors(), asked.vectors()])
    meter = RecallMeter(sets, blocks, exact_top(np.concatenate([own.ids(), asked.ids()]), queries, blocks, 100))
    alone = RecallMeter(sets[:1], blocks, exact_top(own.ids(), own.vectors(), blocks, 100))
    index = built("IVF40,SQ8", vectors)
    recalls, of_alone = sweep(index, meter), sweep(index, alone)
    for target in (0.7, 0.9):
        chosen = smallest_nprobe(index, meter, target)
        assert chosen.nprobe == next(p for p, recall in enumerate(recalls, 1) if recall >= target)
        assert chosen.nprobe > next(p for p, recall in enumerate(of_alone, 1) if recall >= target)
        assert set(chosen.curve.coarse) == {"corpus", "file"}


def test_equal_texts_beyond_number_are_found_wherever_they_are(tmp_path):
    """500 equal vectors are in one list; exact search names 100 of them."""
    vectors = np.concatenate([np.repeat(random_vectors(1, 32), 500, axis=0), clustered_vectors(1000)])
    meter = meter_of(tmp_path, vectors, np.arange(0, 1500, 10), rows_per_block=500)
    index = built("IVF30,SQ8", vectors)
    recalls = sweep(index, meter)
    for target in (0.5, 0.95):
        assert smallest_nprobe(index, meter, target).nprobe == next(p for p, r in enumerate(recalls, 1) if r >= target)


def test_lengths_decide_with_inner_products(tmp_path):
    lengths = np.exp(0.5 * np.random.default_rng(3).normal(size=(2000, 1)))
    vectors = (clustered_vectors(2000) * lengths).astype(np.float32)
    meter = meter_of(tmp_path, vectors, np.arange(0, 2000, 10), rows_per_block=500, unit=False)
    index = built("IVF30,SQfp16", vectors)
    recalls = sweep(index, meter)
    for target in (0.5, 0.9, 0.99):
        assert smallest_nprobe(index, meter, target).nprobe == next(p for p, r in enumerate(recalls, 1) if r >= target)


def test_codes_that_cannot_reach_the_target_with_neighbours_in_all_lists(tmp_path):
    vectors = unit(random_vectors(1000, 32))
    meter = meter_of(tmp_path, vectors, np.arange(0, 1000, 10), rows_per_block=500)
    index = built("IVF20,RaBitQ", vectors)
    chosen = smallest_nprobe(index, meter, 1.0)
    assert chosen.nprobe == all_but_nothing(sweep(index, meter))
    assert meter.recall(chosen.found) < 1


def test_an_index_without_lists_has_no_nprobe(tmp_path):
    vectors = random_vectors(100, 32)
    meter = meter_of(tmp_path, vectors, np.arange(10), rows_per_block=50)
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(32))
    index.add_with_ids(vectors, make_ids(100))
    chosen = smallest_nprobe(index, meter, 0.9)
    assert (chosen.nprobe, chosen.curve) == (0, None)
    assert meter.recall(chosen.found) == 1
