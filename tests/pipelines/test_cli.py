"""The command line: what after `--` is Beam's, and what is a text."""

import pytest

from pipelines import cli

BEAM = ["--runner=PrismRunner", "--x"]


@pytest.fixture
def parsed(monkeypatch):
    """The options that a verb would run with."""

    def parse(*arguments):
        found = []
        for verb in ("_search", "_similarity", "_reindex", "_plan"):
            monkeypatch.setattr(cli, verb, lambda options: found.append(options) or 0)
        assert cli.main(arguments) == 0
        return found[0]

    return parse


@pytest.mark.parametrize("text", ["-fno-exceptions", "--queries", "--", "-k"])
def test_a_text_may_begin_with_a_dash(parsed, text):
    options = parsed("search", "--root", "r", "-k", "3", "--", text)
    assert (options.query, options.k, options.root, options.beam_options) == (text, 3, "r", [])
    assert parsed("search", "--", text).query == text
    assert parsed("similarity", "--matrix", "--", text, "-O2").texts == [text, "-O2"]


@pytest.mark.parametrize(
    "ours",
    [
        ["reindex", "--root", "r"],
        ["plan"],
        ["search", "--queries", "q.jsonl", "--output", "o"],
        ["search", "--output=o", "--quer=q.jsonl"],
    ],
)
def test_options_of_a_job_are_beams(parsed, ours):
    assert parsed(*ours, "--", *BEAM).beam_options == BEAM
    assert parsed(*ours).beam_options == []


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        (["status"], "Beam options after -- make sense for reindex"),
        (["evaluate", "--queries", "q.jsonl"], "Beam options after -- make sense for reindex"),
        (["search", "text"], "unrecognized arguments: --runner=PrismRunner"),
    ],
)
def test_others_have_no_use_for_them(capsys, ours, said):
    with pytest.raises(SystemExit) as stop:
        cli.main([*ours, "--", *BEAM])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
