"""Options whose views are made once say what Beam's own say."""

from apache_beam.options.pipeline_options import DebugOptions, DirectOptions, PipelineOptions, PortableOptions, TypeOptions

from pipelines.beam_options import BeamOptions

ARGUMENTS = ["--runner=PrismRunner", "--job_endpoint=localhost:1", "--experiments=a", "--direct_num_workers=3", "--unknown=x"]


def test_every_option_has_the_value_that_beam_gives_it():
    own, beams = BeamOptions(ARGUMENTS), PipelineOptions(ARGUMENTS)
    assert own.get_all_options(retain_unknown_options=True) == beams.get_all_options(retain_unknown_options=True)
    for view in (DebugOptions, DirectOptions, PortableOptions, TypeOptions):
        assert own.view_as(view).display_data() == beams.view_as(view).display_data()
        assert own.view_as(view) is own.view_as(view)


def test_what_is_set_in_one_view_is_seen_in_all():
    options = BeamOptions(ARGUMENTS)
    debug = options.view_as(DebugOptions)
    options.view_as(PortableOptions).view_as(DebugOptions).add_experiment("b")
    debug.add_experiment("c")
    assert options.view_as(DebugOptions).experiments == ["a", "b", "c"] == options.get_all_options()["experiments"]
    options.view_as(PortableOptions).job_endpoint = "localhost:2"
    assert options.get_all_options()["job_endpoint"] == "localhost:2"
