import logging
import struct

import numpy as np
import pytest

from tests.index.helpers import clustered_vectors, encode_tasks, make_corpus
from transforms.index import (
    IndexOptions,
    TrainTask,
    check,
    copy_with_nprobe,
    encode_shard,
    index_from_bytes,
    layout,
    merge_shards,
    train_index,
    trained_template,
    write_index,
)
from transforms.index.check import knows_layout


@pytest.fixture
def fresh():
    """The check is made anew, also after the test."""
    knows_layout.cache_clear()
    yield
    knows_layout.cache_clear()


def test_the_installed_faiss_writes_what_is_known_here(fresh, caplog):
    assert knows_layout()
    assert not caplog.records


@pytest.mark.parametrize("error", [IndexError("x"), struct.error("x"), MemoryError(), OSError("disk full")])
def test_whatever_an_unknown_layout_raises_it_is_not_known(fresh, monkeypatch, error):
    def fails(*arguments, **options):
        raise error

    monkeypatch.setattr(check, "merge_files", fails)
    assert not knows_layout()


@pytest.mark.parametrize(("name", "value"), [("_FULL", b"fulL"), ("_SPARSE", b"Sprs"), ("_LISTS", b"ilaX"), ("_ID", 16)])
def test_another_layout_is_noticed(fresh, monkeypatch, name, value):
    monkeypatch.setattr(layout, name, value)
    assert not knows_layout()


@pytest.mark.parametrize("factory", ["IVF8,SQ8", "PCAR16,IVF8_HNSW8,SQfp16", "IDMap2,Flat"])
def test_an_unknown_layout_is_merged_in_memory_with_a_warning(tmp_path, monkeypatch, fresh, caplog, factory):
    corpus, options = make_corpus(tmp_path, clustered_vectors(500), 100), IndexOptions(type=factory, rows_per_shard=200)
    training = train_index(TrainTask(corpus.blocks, f"{tmp_path}/t"), options)
    shards = [encode_shard(task) for task in encode_tasks(corpus, options, training)]
    streamed = merge_shards(training.template, training.fingerprint, shards, f"{tmp_path}/merged")
    assert not caplog.records
    monkeypatch.setattr(layout, "_frame", lambda lists, sizes: b"another layout")
    knows_layout.cache_clear()
    with caplog.at_level(logging.WARNING):
        in_memory = merge_shards(training.template, training.fingerprint, shards, f"{tmp_path}/merged")
    (record,) = caplog.records
    assert "merged in memory" in record.message
    assert in_memory.file == streamed.file
    assert np.array_equal(in_memory.sizes, streamed.sizes)


@pytest.mark.parametrize("factory", ["IVF8,SQ8", "RR,IVF8,Flat"])
def test_nprobe_in_an_unknown_layout_is_set_in_memory_with_a_warning(tmp_path, monkeypatch, caplog, factory):
    index = index_from_bytes(trained_template(factory, clustered_vectors(500)))
    index.add_with_ids(clustered_vectors(500), np.arange(500))
    write_index(index, f"{tmp_path}/a")
    known = copy_with_nprobe(f"{tmp_path}/a", f"{tmp_path}/b", 3)
    monkeypatch.setattr(layout, "_LISTS", b"ilaX")
    with caplog.at_level(logging.WARNING):
        unknown = copy_with_nprobe(f"{tmp_path}/a", f"{tmp_path}/c", 3)
    (record,) = caplog.records
    assert "set in memory" in record.message
    assert unknown.sha256 == known.sha256


def test_the_check_is_made_once(fresh, monkeypatch):
    asked = []
    monkeypatch.setattr(check, "_agrees", lambda factory: asked.append(factory) or True)
    assert knows_layout()
    assert knows_layout()
    assert asked == list(check._TYPES)
