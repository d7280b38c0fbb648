import pytest

from tests.index.helpers import build, clustered_vectors, encode_tasks, find_all_exact, make_corpus
from tests.neighbors.helpers import FLAG_NAMES, FLAGS, records_of
from transforms.index import ExactTask, IndexOptions, MergeTask, RecallTask, TrainTask
from transforms.index.beam import EncodeShards, ExactTop, MeasureRecall, MergeIndex, TrainIndex


@pytest.mark.parametrize("flags", FLAGS, ids=FLAG_NAMES)
def test_the_jobs_leave_the_records_of_the_plain_functions(tmp_path, flags):
    corpus = make_corpus(tmp_path, clustered_vectors(600), rows_per_block=100)
    options = IndexOptions(type="IVF8,SQ8", recall_queries=50, rows_per_shard=200)
    built = build(corpus, options)
    work, published = f"{tmp_path}/work", f"{tmp_path}/index"
    records_of(TrainIndex(options), [TrainTask(corpus.blocks, work)], [built.training], flags)
    records_of(EncodeShards(threads=1), encode_tasks(corpus, options, built.training), built.shards, flags)
    merge = MergeTask(built.training, tuple(built.shards), corpus.documents, work, published)
    records_of(MergeIndex(), [merge], [built.merged], flags)
    exact = find_all_exact(corpus, built.training)
    tasks = [ExactTask(part, built.training.queries, corpus.blocks[part * 3 : part * 3 + 3], work) for part in range(2)]
    records_of(ExactTop(), tasks, list(exact), flags)
    recall = RecallTask(built.merged.index, built.training.queries, exact, corpus.blocks, published)
    records_of(MeasureRecall(options), [recall], [built.recall], flags)
