import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from transforms.duplicates import DuplicatesOptions, raise_threshold
from transforms.files import list_files, read_table


def publish(corpus, options: DuplicatesOptions) -> dict[str, pa.Table]:
    _, _, record = corpus.duplicates(options)
    return {name: read_table(getattr(record, f"{name}_file").path) for name in ("pairs", "groups", "texts")}


def raised(corpus, tables: dict[str, pa.Table], options: DuplicatesOptions):
    graph = sorted(list_files(f"{corpus.folder}/neighbors", ".parquet"))
    return raise_threshold(tables["pairs"], tables["texts"], [file.path for file in corpus.documents], graph, options)


@pytest.mark.parametrize("cap", [2000, 5])
@pytest.mark.parametrize("threshold", [0.75, 0.8, 0.97, 1.0])
def test_tables_are_those_that_are_published_with_the_threshold(corpus, cap, threshold):
    low, high = (DuplicatesOptions(threshold=value, max_pairs_per_text=cap) for value in (0.75, threshold))
    before, expected = publish(corpus, low), publish(corpus, high)
    found = raised(corpus, before, high)
    assert found.pairs.equals(expected["pairs"])
    assert found.groups.equals(expected["groups"])
    assert found.texts_capped == pc.sum(pc.invert(expected["texts"]["complete"])).as_py()
    assert (found.texts_capped > 0) == (cap == 5)


def test_a_threshold_that_a_pair_has_keeps_it(corpus):
    before = publish(corpus, DuplicatesOptions(threshold=0.75))
    cosines = np.unique(before["pairs"]["cosine"].to_numpy().astype(np.float64))
    middle = float(cosines[len(cosines) // 2])
    for threshold, kept in ((middle, True), (np.nextafter(middle, 2), False)):
        found = raised(corpus, before, DuplicatesOptions(threshold=float(threshold)))
        assert (middle in found.pairs["cosine"].to_pylist()) is kept


def test_the_kept_one_follows_from_the_policy_at_the_new_threshold(corpus):
    for keep in ((), ("shortest",), ("most_documents", "longest")):
        low, high = (DuplicatesOptions(threshold=value, keep=keep) for value in (0.75, 0.9))
        before, expected = publish(corpus, low), publish(corpus, high)
        assert raised(corpus, before, high).groups.equals(expected["groups"])
