"""Comparing two sets: workers that cannot see this machine's temporary folder are refused."""

import pytest

from pipelines.against import against_files
from pipelines.config import load_config
from pipelines.excerpt import Excerpt
from pipelines.runner import RunnerError

ELSEWHERE = "runner.beam_options=[--runner=PortableRunner, '--job_endpoint=server:8099', --environment_type=EXTERNAL]"


def test_a_runner_elsewhere_is_refused_with_what_to_set():
    with pytest.raises(RunnerError, match=r"PortableRunner.*works with files of this machine.*runner\.runner=FnApiRunner"):
        against_files(load_config(None, [ELSEWHERE, "runner.shared_root=true"]), ["a.jsonl"], Excerpt())
