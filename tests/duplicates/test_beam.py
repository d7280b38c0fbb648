import dataclasses

import pytest

from tests.neighbors.helpers import FLAG_NAMES, FLAGS, records_of
from transforms.duplicates import DuplicatesOptions, WordingTask, mine_part, publish_duplicates, write_wording
from transforms.duplicates.beam import GroupDuplicates, MinePairs, ReadWording


@pytest.mark.parametrize("flags", FLAGS, ids=FLAG_NAMES)
def test_the_jobs_leave_the_records_of_the_plain_functions(corpus, flags):
    options = DuplicatesOptions(max_pairs_per_text=20)
    tasks = corpus.mine_tasks()
    mined = [mine_part(task, options) for task in tasks]
    read = [WordingTask(part, file, f"{corpus.folder}/wordings") for part, file in enumerate(corpus.passages)]
    records_of(ReadWording(threads=2), [tuple(read[:3]), tuple(read[3:])], [write_wording(task) for task in read], flags)
    halves = [tuple(tasks[:2]), tuple(tasks[2:])]
    records_of(MinePairs(options, threads=2), halves, mined, flags)
    task = corpus.group_task(mined)
    records_of(GroupDuplicates(options), [task], [publish_duplicates(task, options)], flags)


def test_the_order_in_which_parts_arrive_changes_nothing(corpus):
    options = DuplicatesOptions()
    mined = [mine_part(task, options) for task in corpus.mine_tasks()]
    task = corpus.group_task(mined)
    turned = dataclasses.replace(task, pairs=task.pairs[::-1])
    assert publish_duplicates(turned, options) == publish_duplicates(task, options)
