"""Estimates of the index from generations that are made up, so that every number is known."""

import pytest

from pipelines.config import load_config
from pipelines.index_estimate import plan_index
from pipelines.plan import _index
from transforms.files import file_ref, write_bytes, write_json
from transforms.generations import FORMAT, Manifest, open_generation, published_files, write_manifest
from transforms.index import Encoded, IndexOptions, IndexTypeError, Spread, Training, estimate_index, write_training

CONFIG = load_config(None, [])


@pytest.fixture
def chain(tmp_path):
    """Generations from (type, texts, encoded now, seconds of index and recall, resumed), oldest first."""
    root = str(tmp_path)

    def write(*runs: tuple):
        parent = None
        for i, (factory, texts, encoded, seconds, resumed) in enumerate(runs):
            generation = f"2026010{i + 1}T000000Z-00000000"
            folder = f"{root}/generations/{generation}"
            index = {"texts_indexed": texts, "texts_encoded": encoded, "seconds": seconds[0], "resumed": resumed}
            write_json(f"{folder}/metrics.json", {"stages": {"index": index, "recall": {"seconds": seconds[1]}}})
            files = [file_ref(f"{folder}/metrics.json")]
            if factory != "IDMap2,Flat":
                write_bytes(f"{folder}/index/trained.faiss", b"")
                training = Training(factory, "f", 9, Encoded(texts), Spread(), Encoded(), Spread())
                files += [file_ref(f"{folder}/index/trained.faiss"), write_training(f"{folder}/index/training.json", training)]
            manifest = Manifest(
                format=FORMAT,
                generation=generation,
                parent=parent,
                created="",
                encoder={"dimension": 64},
                corpus_digest="",
                configuration_digest="",
                configuration={"index": {"type": "auto"}},
                versions={},
                counts={"passages": texts},
                gates=[],
                files=published_files(root, files),
            ).with_digest()
            write_manifest(root, manifest)
            parent = generation
        return open_generation(root, parent)

    return write


def test_without_a_generation_the_rates_are_stated_ones():
    plan = plan_index(CONFIG, None, 500_000, 500_000, 384)
    assert (plan.estimate.factory, plan.measured_by) == ("IVF2048,SQfp16", None)
    assert plan.seconds > 1
    said = _index({"index": plan.as_dict(), "dimension": 384})
    assert said.startswith(
        "IVF2048,SQfp16, 391.2 MB on disk, 391.2 MB of memory to search; to build and measure it whole about "
    )
    assert "s (at stated rates) and " in said


def test_seconds_of_an_earlier_build_of_that_type_are_scaled(chain):
    published = chain(("IVF2048,SQfp16", 200_000, 200_000, (30.0, 3.0), False))
    plan = plan_index(CONFIG, published, 200_000, 200_000, 64)
    assert (plan.estimate.factory, plan.measured_by, plan.seconds) == (
        "IVF2048,SQfp16",
        published.id,
        pytest.approx(33),
    )
    larger = plan_index(CONFIG, published, 800_000, 800_000, 64)
    assert larger.seconds > 4 * plan.seconds
    assert f"s (as {published.id} took)" in _index({"index": plan.as_dict(), "dimension": 64})


def test_what_was_not_a_whole_build_of_that_type_does_not_count(chain):
    last = chain(
        ("IVF2048,SQfp16", 200_000, 200_000, (30.0, 3.0), False),
        ("IVF2048,SQfp16", 200_000, 200_000, (0.1, 0.1), True),  # resumed
        ("IVF2048,SQfp16", 201_000, 1000, (2.0, 3.0), False),  # an increment
        ("IDMap2,Flat", 90_000, 90_000, (1.0, 1.0), False),
        ("IVF1024,SQfp16", 900, 900, (1.0, 1.0), False),  # too few to tell
    )
    assert plan_index(CONFIG, last, 200_000, 200_000, 64).measured_by == "20260101T000000Z-00000000"
    assert plan_index(load_config(None, ["index.type=IVF64,SQ8"]), last, 200_000, 200_000, 64).measured_by is None


def test_near_a_border_the_published_type_stays_as_it_does_in_a_run(chain):
    published = chain(("IDMap2,Flat", 90_000, 90_000, (1.0, 1.0), False))
    assert plan_index(CONFIG, published, 120_000, 120_000, 64).estimate.factory == "IDMap2,Flat"
    assert plan_index(CONFIG, None, 120_000, 120_000, 64).estimate.factory == "IVF1024,SQfp16"
    always = load_config(None, ["index.retrain=always"])
    assert plan_index(always, published, 120_000, 120_000, 64).estimate.factory == "IVF1024,SQfp16"


def test_a_type_that_cannot_be_built_is_said():
    with pytest.raises(IndexTypeError, match="needs at least 4096 distinct texts"):
        plan_index(load_config(None, ["index.type=IVF4096,SQ8"]), None, 100, 100, 384)
    with pytest.raises(IndexTypeError, match="cannot build 'IVF4,PQ5' for 384 dimensions"):
        plan_index(load_config(None, ["index.type=IVF4,PQ5"]), None, 100, 100, 384)


def test_an_empty_corpus_needs_nothing():
    plan = plan_index(CONFIG, None, 0, 0, 384)
    assert plan.estimate == estimate_index("IDMap2,Flat", 0, 0, 384, IndexOptions())
    assert (plan.estimate.file_bytes, plan.seconds) == (0, 0)
