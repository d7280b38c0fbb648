import dataclasses
import json
import pickle

import pytest
from pydantic import TypeAdapter

from tests.corpus.helpers import build, build_with_beam, write_jsonl, write_parquet
from transforms.corpus import CorpusOptions, DocumentsRecord, PassagesRecord, UnitRecord, plan_units


@pytest.fixture
def corpus(tmp_path):
    rows = [{"id": i % 95, "text": f"text {i % 70}" if i % 9 else "", "m": i} for i in range(100)]
    write_jsonl(tmp_path / "in/1.jsonl", rows)
    columns = {"id": [f"p{i}" for i in range(50)], "text": [f"text {i}" for i in range(50)], "m": [i / 2 for i in range(50)]}
    write_parquet(tmp_path / "in/2.parquet", columns, row_group_size=10)
    return {"input": [f"{tmp_path}/in"], "metadata_columns": ["m"], "rows_per_part": 20}


@pytest.mark.parametrize("flags", [(), ("--direct_runner_bundle_repeat=1",)], ids=["once", "bundles run twice"])
@pytest.mark.parametrize("sample", [None, 30], ids=["all", "sample"])
def test_jobs_leave_the_records_of_the_plain_functions(tmp_path, corpus, flags, sample):
    build_with_beam(tmp_path / "out", flags, sample=sample, **corpus)


def test_an_empty_corpus_through_beam(tmp_path):
    build_with_beam(tmp_path / "out", (), input=[write_jsonl(tmp_path / "a.jsonl", [])], sample=5)


def test_descriptors_are_small_and_records_survive_json(tmp_path, corpus):
    units = plan_units(CorpusOptions(**corpus))
    assert all(len(pickle.dumps(unit)) < 2000 for unit in units)
    built = build(tmp_path / "out", **corpus)
    for records, kind in ((built.units, UnitRecord), (built.documents, DocumentsRecord), (built.passages, PassagesRecord)):
        for record in records:
            text = json.dumps(dataclasses.asdict(record))
            assert TypeAdapter(kind).validate_python(json.loads(text)) == record
