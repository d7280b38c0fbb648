import faiss
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tests.index.helpers import clustered_vectors, make_corpus
from transforms.index import index_bytes, index_from_bytes, trained_template
from transforms.index.encode import BATCH, batches, encode_batch, store

# 64 dimensions: the parts of a product quantizer are long enough for FAISS to multiply matrices.
VECTORS = clustered_vectors(5000, dim=64)
TYPES = ["IVF32,Flat", "IVF32,SQ8", "IVF32,SQfp16", "IVF32,PQ4", "IVF32,RaBitQ3", "PCAR32,IVF32_HNSW8,SQ8", "RR,IVF32,PQ4"]


def encoded(index: faiss.Index, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    coded = [encode_batch(index, VECTORS[rows[low : low + BATCH]]) for low in range(0, len(rows), BATCH)]
    lists, codes = np.empty(len(VECTORS), np.int64), np.empty((len(VECTORS), coded[0].codes.shape[1]), np.uint8)
    lists[rows], codes[rows] = np.concatenate([c.lists for c in coded]), np.concatenate([c.codes for c in coded])
    return lists, codes


@pytest.mark.parametrize("factory", TYPES)
def test_codes_do_not_depend_on_what_is_encoded_together(factory):
    index = index_from_bytes(trained_template(factory, VECTORS))
    everything = np.arange(len(VECTORS))
    lists, codes = encoded(index, everything)
    dice = np.random.default_rng(0)
    for threads in (1, 2):
        with threadpool_limits(threads):
            for rows in (dice.permutation(everything), everything[1::3], everything[-5:], everything[7:8]):
                some_lists, some_codes = encoded(index, rows)
                assert np.array_equal(some_lists[rows], lists[rows])
                assert np.array_equal(some_codes[rows], codes[rows])


@pytest.mark.parametrize("factory", TYPES)
def test_what_is_stored_is_what_faiss_adds(factory):
    template = trained_template(factory, VECTORS)
    ours, theirs = index_from_bytes(template), index_from_bytes(template)
    ids = np.arange(len(VECTORS)) * 5
    theirs.add_with_ids(VECTORS, ids)
    rows = np.random.default_rng(1).permutation(len(VECTORS))
    lists, codes = encoded(ours, rows)
    store(ours, ids[rows], lists[rows], codes[rows])
    assert index_bytes(ours) == index_bytes(theirs)


@pytest.mark.parametrize("factory", ["IVF32,SQ8", "PCAR32,IVF32_HNSW8,SQ8"])
def test_distances_and_clipped_components_are_those_of_the_definition(factory):
    index = index_from_bytes(trained_template(factory, VECTORS[:1500]))
    coded = encode_batch(index, VECTORS[1500:2500])
    transformed, ivf = VECTORS[1500:2500], index
    if isinstance(index, faiss.IndexPreTransform):
        transformed, ivf = index.chain.at(0).apply(transformed), faiss.downcast_index(index.index)
    centroids = faiss.downcast_index(ivf.quantizer).reconstruct_n(0, 32)
    rest = transformed - centroids[coded.lists]
    assert np.allclose(coded.distances, np.linalg.norm(rest, axis=1), atol=1e-5)
    low, width = faiss.vector_to_array(ivf.sq.trained).reshape(2, -1)
    outside = (rest < low) | (rest > low + width)
    assert coded.clipped == outside.sum() > 0
    assert coded.components == rest.size
    assert encode_batch(index, VECTORS[:1000]).clipped < coded.clipped


def test_batches_have_all_texts_in_order(tmp_path):
    corpus = make_corpus(tmp_path, clustered_vectors(9000, dim=4), rows_per_block=700)
    found = list(batches(corpus.blocks[::-1]))
    assert [len(ids) for ids, _ in found] == [BATCH, BATCH, 9000 - 2 * BATCH]
    assert np.array_equal(np.concatenate([ids for ids, _ in found]), corpus.ids)
    assert np.array_equal(np.concatenate([vectors for _, vectors in found]), corpus.vectors)
    only = np.sort(np.append(corpus.ids[3::7], [0, 2**62]))
    some = list(batches(corpus.blocks, only))
    assert np.array_equal(np.concatenate([ids for ids, _ in some]), corpus.ids[3::7])
    assert np.array_equal(np.concatenate([vectors for _, vectors in some]), corpus.vectors[3::7])
    assert list(batches(corpus.blocks, np.empty(0, np.int64))) == []


def test_what_cannot_be_encoded_is_named():
    index = index_from_bytes(trained_template("IVF32,SQ8", VECTORS))
    with pytest.raises(ValueError, match="at most 4096 vectors are encoded at a time, got 4097"):
        encode_batch(index, VECTORS[: BATCH + 1])
    with pytest.raises(ValueError, match="3 vectors belong to no inverted list"):
        encode_batch(index, np.full((3, 64), np.nan, np.float32))
