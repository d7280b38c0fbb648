import pytest

from pipelines.index import RecallResult, target_warnings
from transforms.files import FileRef
from transforms.index import RecallRecord, SetRecall


def measured(nprobe: int, **at_10: float) -> RecallResult:
    file = FileRef("index.faiss", 1, 1, "")
    sets = tuple(SetRecall(name, 5, (1.0, recall, 1.0), (0.0,) * 3, (1.0,) * 3) for name, recall in at_10.items())
    return RecallResult(RecallRecord(file, file, None, nprobe, sets), {})


@pytest.mark.parametrize(("nprobe", "at_10"), [(3, 0.95), (3, 1.0), (0, 0.2)])
def test_a_target_that_is_reached_or_an_index_without_lists_is_nothing_to_tell(nprobe, at_10):
    assert target_warnings(measured(nprobe, corpus=at_10), 0.95) == []


def test_what_was_reached_instead_of_the_target_is_told_with_what_to_do():
    (warning,) = target_warnings(measured(7, corpus=0.99, file=0.91234), 0.95)
    assert "index.recall_target 0.95" in warning
    assert "the queries of index.recall_queries_file is 0.9123 with the 7 that" in warning
    assert "index.type with finer codes, or lower index.recall_target" in warning
    assert "texts of the corpus is 0.9000" in target_warnings(measured(7, corpus=0.9, file=0.91), 0.95)[0]
