"""What Beam options say of an engine: whose files its workers see, and whether it can be watched and asked."""

import pytest

from pipelines.runner import Runner, RunnerOptions

HERE, ELSEWHERE = True, False
SERVER = ("--runner=PortableRunner", "--job_endpoint=server:8099")


def engine(*options: str):
    return Runner(RunnerOptions(beam_options=options)).engine


@pytest.mark.parametrize(
    ("options", "is_here", "is_watched", "has_foreign_workers"),
    [
        ((), HERE, False, False),
        (("--runner=FnApiRunner", "--environment_type=DOCKER"), HERE, False, False),
        (("--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"), HERE, False, False),
        (("--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=EXTERNAL"), HERE, False, True),
        # A container does not see the disk of the machine that it is on.
        (("--runner=PortableRunner", "--job_endpoint=embed"), ELSEWHERE, False, True),
        ((*SERVER, "--environment_type=LOOPBACK"), HERE, True, False),
        ((*SERVER, "--environment_type=beam:env:embedded_python_loopback:v1"), HERE, True, False),
        ((*SERVER, "--environment_type=EXTERNAL"), ELSEWHERE, True, True),
        ((*SERVER, "--environment_type=beam:env:external:v1"), ELSEWHERE, True, True),
        ((*SERVER, "--environment_type=PROCESS"), ELSEWHERE, True, True),
        (SERVER, ELSEWHERE, True, True),
        (("--runner=PrismRunner",), HERE, True, False),
        (("--runner=PrismRunner", "--environment_type=DOCKER"), ELSEWHERE, True, True),
        (("--runner=FlinkRunner",), HERE, True, False),
        (("--runner=FlinkRunner", "--flink_master=[local]"), HERE, True, False),
        (("--runner=FlinkRunner", "--flink_master=flink:8081"), ELSEWHERE, True, True),
        (("--runner=DataflowRunner", "--project=p", "--region=r"), ELSEWHERE, True, False),
    ],
)
def test_where_workers_are_and_whether_they_are_asked(options, is_here, is_watched, has_foreign_workers):
    found = engine(*options)
    assert (found.is_here, found.is_watched, found.has_foreign_workers) == (is_here, is_watched, has_foreign_workers)


def test_only_a_server_that_is_there_already_must_answer():
    assert engine(*SERVER).address == "server:8099"
    for options in ((), ("--runner=PortableRunner", "--job_endpoint=embed"), ("--runner=PrismRunner",)):
        assert engine(*options).address is None


@pytest.mark.parametrize("address", ["flink:8081", "http://flink:8081"])
def test_flink_is_named_as_an_address_for_a_browser(address):
    assert "http://flink:8081 " in engine(*SERVER, f"--flink_master={address}").where_to_look


def test_a_server_of_another_engine_is_named():
    assert "server:8099" in engine(*SERVER).where_to_look
    assert "Dataflow" in engine("--runner=DataflowRunner", "--project=p", "--region=r").where_to_look


def test_workers_outside_this_process_may_stay_when_it_has_died():
    assert not engine().workers_may_stay
    assert not engine(*SERVER, "--environment_type=LOOPBACK").workers_may_stay
    assert engine(*SERVER, "--environment_type=EXTERNAL").workers_may_stay
    assert engine("--runner=DataflowRunner", "--project=p", "--region=r").workers_may_stay
