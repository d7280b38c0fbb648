import pytest

from tests.index.helpers import build, clustered_vectors, encode_tasks, exact_tasks, make_corpus, recall_task
from tests.neighbors.helpers import FLAG_NAMES, FLAGS, records_of
from transforms.index import IndexOptions, MergeTask, TrainTask
from transforms.index.beam import EncodeShards, MeasureRecall, MergeIndex, TrainIndex


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
    task = recall_task(corpus, built.training, built.merged)
    records_of(MeasureRecall(task, options), exact_tasks(corpus, built.training), [built.recall], flags)
