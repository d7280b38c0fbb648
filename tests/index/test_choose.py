import faiss
import pytest
from pydantic import ValidationError

from transforms.index import IndexOptions, IndexTypeError, check_factory, choose_type, inverted_lists, resolve_type


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (1, "IDMap2,Flat"),
        (100_000, "IDMap2,Flat"),
        (100_001, "IVF1024,SQfp16"),
        (500_000, "IVF2048,SQfp16"),
        (1_000_000, "IVF4096,SQfp16"),
        (1_000_001, "IVF16384,SQ8"),
        (10_000_000, "IVF16384,SQ8"),
        (10_000_001, "RR,IVF65536_HNSW32,RaBitQ4"),
    ],
)
def test_the_type_by_size(texts, expected):
    assert choose_type(texts) == expected
    assert check_factory(expected) == expected
    assert resolve_type("auto", texts) == expected
    assert faiss.index_factory(384, expected, faiss.METRIC_INNER_PRODUCT).d == 384


@pytest.mark.parametrize(
    "factory",
    [
        *("Flat", "SQ8", "HNSW32", "NSG32", "IDMap2,HNSW32", "OPQ8,IVF64,PQ8", "IVF64,RaBitQ1"),
        *("IVF64,FlatPanorama", "IVF64,PQ8x4fs", "IVF64,SQ8,RFlat", "IVF64,PQ8,Refine(SQ8)"),
        *("IVF64,SQ8 ", "ivf64,sq8", "", "IVF64"),
    ],
)
def test_types_that_do_not_merge_safely_are_refused(factory):
    with pytest.raises(IndexTypeError, match="not supported"):
        check_factory(factory)
    with pytest.raises(ValidationError, match="not supported"):
        IndexOptions(type=factory)


def test_more_lists_than_texts_are_refused():
    with pytest.raises(IndexTypeError, match="needs at least 256 distinct texts, the corpus has 255"):
        resolve_type("IVF256,SQ8", 255)
    assert resolve_type("IVF256,SQ8", 256) == "IVF256,SQ8"


@pytest.mark.parametrize(("factory", "lists"), [("IDMap2,Flat", 0), ("IVF7,Flat", 7), ("RR,IVF65536_HNSW32,RaBitQ4", 65536)])
def test_number_of_lists(factory, lists):
    assert inverted_lists(factory) == lists
