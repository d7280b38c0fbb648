import shutil
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.runner import Runner, RunnerOptions
from transforms.embedding import load_encoder
from transforms.files import file_ref
from transforms.vectors import EmbedRecord, PartFiller, fill_part, fill_parts
from transforms.vectors.beam import EmbedPassages

PARTS = [[f"{'abcdefghij'[(i * part) % 10] * (1 + i)} part {'pqr'[part]}" for i in range(9)] for part in range(3)]

# With each, how many times it works on a part.
RUNNERS = {
    "FnApiRunner": (1, RunnerOptions()),
    "bundles that run twice": (2, RunnerOptions(beam_options=("--direct_runner_bundle_repeat=1",))),
    "PortableRunner": (
        1,
        RunnerOptions(runner="PortableRunner", beam_options=("--job_endpoint=embed", "--environment_type=LOOPBACK")),
    ),
}


@pytest.fixture
def tasks(make_task):
    return [make_task(texts, part=part, start=9 * part) for part, texts in enumerate(PARTS)]


def files_under(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): file_ref(str(path)).sha256 for path in sorted(folder.rglob("*")) if path.is_file()
    }


def written(tmp_path: Path) -> dict[str, str]:
    return {
        f"{kind}/{name}": digest for kind in ("store", "run/blocks") for name, digest in files_under(tmp_path / kind).items()
    }


@pytest.mark.parametrize("runner", RUNNERS)
def test_every_runner_writes_what_plain_calls_write(runner, tasks, tiny_spec, tiny_options, tmp_path, monkeypatch):
    times, runner_options = RUNNERS[runner]
    filled = []
    plain = list(fill_parts(tasks, tiny_spec, tiny_options, 1))
    add = PartFiller.add
    monkeypatch.setattr(PartFiller, "add", lambda filler, task: filled.append(task.part) or add(filler, task))
    expected = written(tmp_path)
    assert len(expected) == 3 * 3
    shutil.rmtree(tmp_path / "store")
    shutil.rmtree(tmp_path / "run" / "blocks")

    transform = EmbedPassages(tiny_spec, tiny_options, 1)
    records = Runner(runner_options).run(transform, tasks, EmbedRecord, str(tmp_path / "records.json"))

    assert sorted(filled) == sorted([0, 1, 2] * times)
    assert written(tmp_path) == expected
    assert sorted(records, key=lambda record: record.part) == plain


def test_texts_are_counted_in_beam_metrics(make_task, tiny_spec, tiny_options):
    known = fill_part(make_task(PARTS[0][:4], run="before"), tiny_spec, tiny_options, 1)
    task = make_task(PARTS[0], shards=(known.shards[0].path,))
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    _ = pipeline | beam.Create([task]) | EmbedPassages(tiny_spec, tiny_options, 1)
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query(MetricsFilter().with_namespace("embed"))["counters"]
    assert {counter.key.metric.name: counter.committed for counter in counters} == {"texts-embedded": 5, "texts-reused": 4}


def test_a_bad_vector_stops_the_job_with_its_document(tasks, tiny_spec, tiny_options, monkeypatch, tmp_path):
    own = load_encoder(tiny_spec, "cpu")
    bad = PARTS[1][4]
    monkeypatch.setattr(own, "_packed", None)
    real = own._model.encode_document

    def encode_document(texts, **arguments):
        vectors = real(texts, **arguments)
        vectors[[text == bad for text in texts]] = np.nan
        return vectors

    monkeypatch.setattr(own._model, "encode_document", encode_document)
    with pytest.raises(Exception, match=f"doc of {bad}"):
        Runner(RunnerOptions()).run(
            EmbedPassages(tiny_spec, tiny_options, 1), tasks, EmbedRecord, str(tmp_path / "records.json")
        )
    assert not (tmp_path / "records.json").exists()


def test_no_tasks_are_no_records(tiny_spec, tiny_options, tmp_path):
    transform = EmbedPassages(tiny_spec, tiny_options)
    assert Runner(RunnerOptions()).run(transform, [], EmbedRecord, str(tmp_path / "records.json")) == []
