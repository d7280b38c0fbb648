"""Estimates against files that were really written."""

import os

import pytest

from tests.index.helpers import build, clustered_vectors, make_corpus
from tests.index.test_shards import TYPES
from transforms.index import IndexOptions, choose_type, estimate_index


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"), clustered_vectors(1500, dim=64), rows_per_block=500)


@pytest.mark.parametrize("factory", [*TYPES, "IVF128_HNSW16,Flat", "IVF3,Flat", "PCAR8,IVF16,RaBitQ3"])
def test_bytes_are_those_of_the_file_within_two_percent(corpus, factory):
    options = IndexOptions(type=factory, recall_target=0.1, recall_queries=20)
    written = os.path.getsize(build(corpus, options).recall.index.path)
    estimate = estimate_index(factory, 1500, 1503, 64, options)
    assert estimate.file_bytes == pytest.approx(written, rel=0.02)
    assert estimate.search_bytes >= estimate.file_bytes


@pytest.mark.parametrize("texts", [1, 100_000, 1_000_000, 10_000_000, 50_000_000])
def test_each_type_by_size_has_an_estimate_that_grows_with_the_corpus(texts):
    options = IndexOptions()
    one, two = (estimate_index(choose_type(texts), n, n, 384, options) for n in (texts, 2 * texts))
    for name in ("file_bytes", "search_bytes", "products", "copied_bytes"):
        assert 0 < getattr(one, name) < getattr(two, name)
    assert one.stage_bytes <= two.stage_bytes
    assert one.seconds(2) < two.seconds(2)
    assert one.seconds(16) < one.seconds(2)


def test_the_research_notes_table_of_bytes():
    """index.md, 3.3: a million vectors of 384 dimensions."""
    for codec, megabytes in {"Flat": 1544, "SQfp16": 776, "SQ8": 392, "RaBitQ4": 220, "PQ48": 56, "RaBitQ": 64}.items():
        estimate = estimate_index(f"IVF1024,{codec}", 1_000_000, 1_000_000, 384, IndexOptions())
        assert estimate.file_bytes / 1e6 == pytest.approx(megabytes, rel=0.05)
