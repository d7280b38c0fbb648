import pytest

from tests.neighbors.helpers import FLAG_NAMES, FLAGS, make_blocks, make_ids, random_vectors, records_of
from transforms.neighbors import (
    NeighborsOptions,
    NeighborsTask,
    approximate_graph,
    build_graph,
    build_parts,
    plan_stripes,
    plan_tiles,
)
from transforms.neighbors.beam import ApproximateStep, NeighborGraph, UpdatedGraph


@pytest.mark.parametrize("flags", FLAGS, ids=FLAG_NAMES)
def test_the_job_leaves_the_records_of_the_plain_function(tmp_path, flags):
    blocks = make_blocks(tmp_path, random_vectors(100), make_ids(100), 20)
    options = NeighborsOptions(k=5, rows_per_tile=20)
    tasks = plan_stripes(blocks, options, f"{tmp_path}/out", f"{tmp_path}/scratch", workers=4)
    assert len(tasks) == 4
    records_of(NeighborGraph(options), tasks, build_graph(tasks, options), flags)


@pytest.mark.parametrize("flags", FLAGS, ids=FLAG_NAMES)
def test_the_job_of_an_update_does_too(tmp_path, flags):
    blocks = make_blocks(tmp_path, random_vectors(100), make_ids(100), 20)
    options = NeighborsOptions(k=5, rows_per_tile=40)
    tasks = [NeighborsTask(part, tile, blocks, f"{tmp_path}/out") for part, tile in enumerate(plan_tiles(blocks, options))]
    assert len(tasks) == 3
    records_of(UpdatedGraph(options, threads=1), [tuple(tasks[:2]), tuple(tasks[2:])], build_parts(tasks, options), flags)


@pytest.mark.parametrize("flags", FLAGS, ids=FLAG_NAMES)
def test_the_steps_of_an_approximate_graph_leave_the_records_of_the_plain_functions(tmp_path, flags):
    blocks = make_blocks(tmp_path, random_vectors(150), make_ids(150), 40)
    options = NeighborsOptions(k=5, texts_per_bucket=20, recall_rows=20, rows_per_tile=40, rows_per_chunk=1)
    steps = []

    def run(step, tasks):
        records = [step(task, options, None) for task in tasks]
        steps.append((step, tasks, records))
        return records

    approximate_graph(blocks, options, f"{tmp_path}/work", f"{tmp_path}/out", run)
    assert len(steps) == 11
    # The others have the same wrapper; of these two one has a single task and one several.
    for step, tasks, records in (steps[0], steps[8]):
        records_of(ApproximateStep(step, options, threads=1), tasks, records, flags)
