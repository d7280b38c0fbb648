"""What a run asks of its root before anything is written."""

import uuid

import fsspec
import pytest

from pipelines.config import Config, ConfigurationError, load_config
from pipelines.errors import exit_code
from pipelines.reindex import begin
from transforms.files import UnconditionalError, read_versioned, write_if
from transforms.generations import LeaseLostError, RootInUseError

OTHER = f"memory://{uuid.uuid4().hex}"


def refuse(config: Config) -> Exception:
    with pytest.raises(UnconditionalError) as refused, begin(config):
        raise AssertionError("a run has begun")
    return refused.value


def test_a_root_without_conditional_writes_is_refused_with_the_option_that_allows_it():
    error = refuse(load_config(None, [f"root={OTHER}/a"]))
    assert exit_code(error) == 2
    assert "publish.unconditional_writes" in str(error)
    assert not fsspec.filesystem("memory").exists(f"{OTHER}/a")


def test_the_option_allows_it_with_a_warning(capsys):
    config = load_config(None, [f"root={OTHER}/b", "publish.unconditional_writes=true"])
    with begin(config) as run:
        assert run.lease.root == f"{OTHER}/b"
        warned = capsys.readouterr().err
        with pytest.raises(RootInUseError) as refused, begin(config):
            raise AssertionError("two runs at once")
        assert exit_code(refused.value) == 4
    assert warned.startswith("corpusbeam: warning: ")
    assert "no conditional writes" in warned


@pytest.mark.parametrize("option", ["false", "true"])
def test_a_local_root_needs_no_option_and_no_warning(tmp_path, capsys, option):
    with begin(load_config(None, [f"root={tmp_path}", f"publish.unconditional_writes={option}"])):
        assert (tmp_path / "LEASE").exists()
    assert not (tmp_path / "LEASE").exists()
    assert capsys.readouterr().err == ""


def test_the_options_change_no_result():
    changed = load_config(None, ["publish.lease_seconds=10", "publish.unconditional_writes=true"])
    assert changed.results_digest() == load_config(None).results_digest()


@pytest.mark.parametrize("seconds", ["0", "2.9", "-1", "nan", "forever", "100000"])
def test_a_lease_that_is_no_sensible_time_is_refused(seconds):
    with pytest.raises(ConfigurationError, match=r"publish\.lease_seconds"):
        load_config(None, [f"publish.lease_seconds=.{seconds}" if seconds == "nan" else f"publish.lease_seconds={seconds}"])


def test_no_stage_begins_after_the_lease_was_lost(tmp_path):
    begun = []
    with begin(load_config(None, [f"root={tmp_path}"])) as run:
        assert run.stage("first", int, None, lambda: begun.append("first") or 1) == 1
        found = read_versioned(f"{tmp_path}/LEASE")
        write_if(f"{tmp_path}/LEASE", b"of another", found.version)
        with pytest.raises(LeaseLostError) as lost:
            run.stage("second", int, None, lambda: begun.append("second") or 1)
        assert exit_code(lost.value) == 4
    assert begun == ["first"]
    assert (tmp_path / "LEASE").read_bytes() == b"of another"
