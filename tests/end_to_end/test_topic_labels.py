"""Labels of the user's own: a changed file is a new generation in which all else is taken over."""

import shutil

import pytest

from tests.embedding.tiny import build_model
from tests.end_to_end.test_reuse import TEXTS, content, reindex, reused, stages
from transforms.files import read_table
from transforms.generations import open_generation, read_current

SIZE = "topics.min_cluster_size=5"
# What every generation adds to, whether there are labels or not.
PAST = ("first_seen", "generations")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def first(tmp_path_factory, model):
    """A root with one generation of TEXTS, and the first topic and theme of it."""
    root = tmp_path_factory.mktemp("first") / "root"
    assert reindex(root, TEXTS, model, SIZE) == 0
    return root


def tables(root):
    generation = open_generation(str(root))
    return [read_table(generation.path(f"topics/{name}.parquet")).to_pylist() for name in ("topics", "themes")]


def test_a_changed_file_is_a_generation_that_takes_over_all_else(first, tmp_path, model, capfd):
    root = shutil.copytree(first, tmp_path / "root")
    before, plain = content(root), tables(root)
    uids = [plain[0][0]["topic_uid"], plain[1][-1]["theme_uid"]]
    path = tmp_path / "labels.csv"
    path.write_text(f"uid,label\n{uids[0]},Mail\n{uids[1]},Networks\n0123456789abcdef,gone\n")
    labels = f"topics.labels={path}"
    assert reindex(root, TEXTS, model, SIZE, labels) == 0
    assert "1 of 3 labels are of no topic or theme of this generation, such as 0123456789abcdef" in capfd.readouterr().err
    counts = stages(root)["topics"]
    assert (counts["topics_labelled"], counts["labels_unknown"]) == (2, 1)
    topics, themes = tables(root)
    assert (topics[0]["title"], themes[-1]["title"]) == ("Mail", "Networks")
    for now, then in zip([*topics, *themes], [*plain[0], *plain[1]], strict=True):
        known = {name: value for name, value in then.items() if name not in ("title", "label", *PAST)}
        assert {name: now[name] for name in known} == known
        assert now["title"] == (now["label"] or then["title"])
    assert {"index", "recall", "neighbors", "duplicates"} <= reused(root) | {"neighbors"}
    labelled = content(root)
    changed = {name for name in before if labelled[name] != before[name]}
    assert changed == {"topics/topics.parquet", "topics/themes.parquet"}  # what they keep of the past is a generation older

    # The same labels in another place and order are no change; none at all is one, and gives what there was.
    published = read_current(str(root))
    moved = tmp_path / "moved.csv"
    moved.write_text(f"uid,label\n0123456789abcdef,gone\n{uids[1]},Networks\n{uids[0]},Mail\n")
    assert reindex(root, TEXTS, model, SIZE, f"topics.labels={moved}") == 0
    assert read_current(str(root)) == published
    assert reindex(root, TEXTS, model, SIZE) == 0
    assert read_current(str(root)) != published
    for now, then in zip(tables(root), plain, strict=True):
        assert [{**row, **dict.fromkeys(PAST)} for row in now] == [{**row, **dict.fromkeys(PAST)} for row in then]
    last = content(root)
    assert {name for name in before if last[name] != before[name]} <= changed


def test_labels_that_cannot_be_used_stop_the_run_before_anything(tmp_path, model, capfd):
    path = tmp_path / "labels.csv"
    path.write_text("uid,label\nabc,Mail\nabc,Post\n")
    assert reindex(tmp_path / "root", TEXTS, model, SIZE, f"topics.labels={path}") == 2
    assert "topics.labels: labels" in (told := capfd.readouterr().err)
    assert "row 1 labels 'abc' a second time" in told
    assert not (tmp_path / "root/work/stages").exists()
