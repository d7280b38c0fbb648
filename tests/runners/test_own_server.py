"""An engine that Beam starts for a command, Prism here, ends with the command, also when a signal does."""

import signal

import psutil
import pytest

from tests.embedding.tiny import build_model
from tests.faults.commands import Child, reindex_arguments
from tests.faults.corpora import FIRST, write_corpus
from tests.runners.engines.engine import UnavailableError, in_ci, missing_tools
from tests.runners.engines.prism import TOOLS, prism_binary

pytestmark = [pytest.mark.slow, pytest.mark.tools(*TOOLS)]


def test_a_stopped_command_leaves_no_engine_behind(tmp_path):
    if missing := missing_tools(*TOOLS):
        pytest.skip(f"not on PATH: {', '.join(missing)}")
    try:
        binary = prism_binary()
    except UnavailableError as error:
        if in_ci():
            raise
        pytest.skip(str(error))
    corpus = write_corpus(tmp_path / "corpus.jsonl", FIRST)
    arguments = reindex_arguments(tmp_path / "root", corpus, build_model(tmp_path))
    run = Child([*arguments, "--", "--runner=PrismRunner", f"--prism_location={binary}"], tmp_path / "run", "after_plan")
    run.wait_until_reached()
    engines = [process for process in psutil.Process(run.pid).children() if process.exe() == str(binary)]
    assert len(engines) == 1
    assert run.send(signal.SIGTERM) == 128 + signal.SIGTERM, run.err
    assert psutil.wait_procs(engines, timeout=30)[1] == []
    assert run.err.splitlines()[-1] == "corpusbeam: stopped by SIGTERM; nothing was published"
