import dataclasses
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tests.index.helpers import clustered_vectors, encode_tasks, make_corpus
from transforms.files import file_ref
from transforms.index import (
    IndexOptions,
    IndexTypeError,
    ShardError,
    TrainTask,
    encode_shard,
    fingerprint_of,
    index_bytes,
    index_from_bytes,
    merge_shards,
    read_index,
    read_template,
    train_index,
    trained_template,
)

TYPES = [
    "IDMap2,Flat",
    "IVF16,Flat",
    "IVF16,SQ8",
    "IVF16,SQfp16",
    "IVF16,SQbf16",
    "IVF16,PQ4",
    "IVF16,PQ4x8",
    "IVF16,RaBitQ",
    *(f"IVF16,RaBitQ{bits}" for bits in range(2, 10)),
    "IVF16_HNSW8,SQ8",
    "IVF16_HNSW8,PQ4",
    "PCAR16,IVF16,SQ8",
    "PCAR16,IVF16,PQ4",
    "PCAR16,IVF16_HNSW8,SQbf16",
    "RR,IVF16,Flat",
    "RR,IVF16,SQfp16",
    "RR,IVF16_HNSW32,RaBitQ4",
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"), clustered_vectors(1600), rows_per_block=100)


@pytest.mark.parametrize("factory", TYPES)
def test_merged_shards_are_the_bytes_of_one_build(corpus, factory):
    options = IndexOptions(type=factory)
    training = train_index(TrainTask(corpus.blocks, f"{corpus.folder}/{factory}"), options)
    at_once = read_template(training.template, training.fingerprint)
    for block in corpus.blocks:
        at_once.add_with_ids(block.vectors(), block.ids())
    expected = index_bytes(at_once)
    for shards in (1, 3, 16):
        split = options.model_copy(update={"rows_per_shard": -(-1600 // shards)})
        tasks = [
            dataclasses.replace(task, directory=f"{corpus.folder}/{factory}/{shards}")
            for task in encode_tasks(corpus, split, training)
        ]
        assert len(tasks) == shards
        records = [encode_shard(task) for task in tasks]
        target = f"{corpus.folder}/{factory}/{shards}/merged.faiss"
        merged = merge_shards(training.template, training.fingerprint, records[::-1], target)
        assert Path(target).read_bytes() == expected
        assert merged.file == file_ref(target)
        assert merged.entries == 1600
    assert at_once.metric_type == faiss.METRIC_INNER_PRODUCT


def test_the_merged_flat_index_answers_as_faiss_does(corpus):
    options = IndexOptions(rows_per_shard=300)
    training = train_index(TrainTask(corpus.blocks, f"{corpus.folder}/flat"), options)
    records = [encode_shard(task) for task in encode_tasks(corpus, options, training)]
    merged = read_index(
        merge_shards(training.template, training.fingerprint, records, f"{corpus.folder}/flat/merged.faiss").file.path
    )
    scores, positions = faiss.knn(corpus.vectors[:50], corpus.vectors, 5, metric=faiss.METRIC_INNER_PRODUCT)
    found_scores, found = merged.search(corpus.vectors[:50], 5)
    assert np.array_equal(found, corpus.ids[positions])
    assert np.allclose(found_scores, scores)
    assert np.array_equal(merged.reconstruct(int(corpus.ids[7])), corpus.vectors[7])


def test_shards_of_another_template_are_refused(corpus):
    options = IndexOptions(type="IVF16,SQ8", rows_per_shard=800)
    training = train_index(TrainTask(corpus.blocks, f"{corpus.folder}/a"), options)
    other = train_index(TrainTask(corpus.blocks[:8], f"{corpus.folder}/b"), options)
    assert other.fingerprint != training.fingerprint
    first, second = encode_tasks(corpus, options, training)
    foreign = dataclasses.replace(second, template=other.template, fingerprint=other.fingerprint)
    with pytest.raises(ShardError, match="was encoded with template"):
        merge_shards(
            training.template, training.fingerprint, [encode_shard(first), encode_shard(foreign)], f"{corpus.folder}/x"
        )
    with pytest.raises(ShardError, match="not the template"):
        encode_shard(dataclasses.replace(first, fingerprint=other.fingerprint))


def test_missing_and_repeated_shards_are_refused(corpus):
    options = IndexOptions(rows_per_shard=400)
    training = train_index(TrainTask(corpus.blocks, f"{corpus.folder}/c"), options)
    records = [encode_shard(task) for task in encode_tasks(corpus, options, training)]
    for wrong in (records[1:], [*records, records[0]]):
        with pytest.raises(ShardError, match="without gaps"):
            merge_shards(training.template, training.fingerprint, wrong, f"{corpus.folder}/x")


@pytest.mark.parametrize("factory", ["IVF16,SQ8", "PCAR16,IVF16,SQfp16", "RR,IVF16_HNSW8,RaBitQ4", "IVF16,PQ4"])
def test_training_is_a_function_of_the_sample_on_any_number_of_threads(factory):
    sample = clustered_vectors(700)
    templates = []
    for threads in (1, 2, 2):
        with threadpool_limits(threads):
            templates.append(trained_template(factory, sample))
    assert templates[0] == templates[1] == templates[2]
    assert fingerprint_of(templates[0]) != fingerprint_of(trained_template(factory, sample[::-1].copy()))
    assert index_from_bytes(templates[0]).is_trained


@pytest.mark.parametrize("factory", ["IVF16,Flat", "IVF16,SQ8", "IVF16,RaBitQ4", "RR,IVF16,SQfp16", "IVF16_HNSW8,SQ8"])
def test_templates_are_those_that_faiss_trains(factory):
    sample = clustered_vectors(16 * 64)
    with threadpool_limits(1):
        index = faiss.index_factory(32, factory, faiss.METRIC_INNER_PRODUCT)
        index.train(sample)
        assert trained_template(factory, sample) == index_bytes(index)


def test_training_does_not_take_the_first_rows(tmp_path):
    vectors = clustered_vectors(1000)
    one = make_corpus(tmp_path / "a", vectors)
    training = train_index(TrainTask(one.blocks, f"{one.folder}/t"), IndexOptions(type="IVF4,Flat"))
    assert training.training_texts == 1000
    assert training.trained
    assert training.queries.rows == 1000
    few = train_index(TrainTask(one.blocks, f"{one.folder}/u"), IndexOptions(type="IVF4,Flat", recall_queries=10))
    assert few.queries.rows == 10
    assert np.isin(few.queries.ids(), one.ids).all()
    places = np.searchsorted(one.ids, few.queries.ids())
    assert np.array_equal(few.queries.vectors(), vectors[places])
    assert places.max() > 500


def test_faiss_refusals_are_one_clear_line(tmp_path):
    corpus = make_corpus(tmp_path, clustered_vectors(300))
    with pytest.raises(IndexTypeError, match=r"cannot train 'IVF4,PQ5' on 300 texts of 32 dimensions") as caught:
        train_index(TrainTask(corpus.blocks, f"{tmp_path}/t"), IndexOptions(type="IVF4,PQ5"))
    assert "\n" not in str(caught.value)
    with pytest.raises(IndexTypeError, match="needs at least 512"):
        train_index(TrainTask(corpus.blocks, f"{tmp_path}/t"), IndexOptions(type="IVF512,Flat"))


def test_small_training_sets_print_nothing():
    code = (
        "import numpy as np; from transforms.index import trained_template\n"
        "x = np.random.default_rng(0).normal(size=(300, 32)).astype('float32')\n"
        "[trained_template(t, x) for t in ('IVF100,Flat', 'IVF4,PQ4', 'PCAR16,IVF64_HNSW8,SQ8', 'RR,IVF64,RaBitQ4')]"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "clustering" not in done.stderr


def test_an_unreadable_index_is_named(tmp_path):
    (tmp_path / "index.faiss").write_bytes(b"not an index")
    with pytest.raises(ValueError, match=r"index\.faiss cannot be read as a FAISS index"):
        read_index(f"{tmp_path}/index.faiss")
    with pytest.raises(FileNotFoundError):
        read_index(f"{tmp_path}/absent.faiss")
