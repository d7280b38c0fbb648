"""Places that only this machine has are refused for workers elsewhere, before anything is read or written."""

from pathlib import Path

import pytest

from pipelines.config import load_config
from pipelines.errors import exit_code
from pipelines.places import check_places
from pipelines.reindex import begin
from pipelines.runner import Runner, RunnerError

ELSEWHERE = "runner.beam_options=[--runner=PortableRunner, '--job_endpoint=server:8099', --environment_type=EXTERNAL]"
LOOPBACK = "runner.beam_options=[--runner=PortableRunner, '--job_endpoint=server:8099', --environment_type=LOOPBACK]"
REMOTE_ROOT, REMOTE_INPUT = "root=s3://bucket/root", "corpus.input=['s3://bucket/*.jsonl']"


def check(*settings: str) -> None:
    config = load_config(None, settings)
    check_places(config, Runner(config.runner))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["root=out", REMOTE_INPUT], "root 'out'"),
        (["root=file:///out", REMOTE_INPUT], "root 'file:///out'"),
        ([REMOTE_ROOT, "corpus.input=['s3://bucket/a.jsonl', b.jsonl]"], "corpus.input 'b.jsonl'"),
        ([REMOTE_ROOT, "corpus.input=[python-docs]"], "corpus.input 'python-docs'"),
    ],
)
def test_a_local_place_is_refused_by_name_with_what_to_do(settings, named):
    with pytest.raises(RunnerError) as refused:
        check(ELSEWHERE, *settings)
    assert str(refused.value).startswith(f"{named} is on this machine, but the workers of PortableRunner are elsewhere")
    assert "runner.shared_root: true" in str(refused.value)
    assert exit_code(refused.value) == 2


def test_places_that_all_see_are_allowed():
    check(ELSEWHERE, REMOTE_ROOT, REMOTE_INPUT)
    check(ELSEWHERE, "root=/out", "corpus.input=[/a.jsonl, file:///b.jsonl, python-docs]", "runner.shared_root=true")
    check(LOOPBACK, "root=out", "corpus.input=[a.jsonl]")
    check("root=out", "corpus.input=[a.jsonl]")


@pytest.mark.parametrize("settings", [["root=out", REMOTE_INPUT], [REMOTE_ROOT, "corpus.input=[/a.jsonl, out]"]])
def test_a_relative_path_means_another_folder_to_a_worker(settings):
    with pytest.raises(RunnerError) as refused:
        check(ELSEWHERE, "runner.shared_root=true", *settings)
    assert "'out' is relative to this command's folder" in str(refused.value)
    assert str(Path("out").absolute()) in str(refused.value)


def test_nothing_is_written_by_a_run_that_is_refused(tmp_path):
    with pytest.raises(RunnerError, match="root"), begin(load_config(None, [ELSEWHERE, f"root={tmp_path / 'root'}"])):
        raise AssertionError("a run has begun")
    assert list(Path(tmp_path).iterdir()) == []
