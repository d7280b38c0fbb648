"""Configuration: YAML, settings and overrides, in that order; every key documented; unknown keys refused."""

import re
from pathlib import Path

import pytest
import yaml

from pipelines.config import Config, ConfigurationError, config_schema, config_yaml, load_config

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

# What a user writes in place of the placeholders.
FILLED_IN = {
    "flink.yaml": {
        "overrides": {"root": "s3://bucket/root", "corpus.input": ["s3://bucket/documents/*.parquet"]},
        "beam_options": ["--job_endpoint=flink:8099"],
    },
    "dataflow.yaml": {
        "overrides": {"root": "gs://bucket/root", "corpus.input": ["gs://bucket/documents/*.parquet"]},
        "beam_options": ["--project=p", "--region=r", "--temp_location=gs://bucket/temp", "--sdk_container_image=image:1"],
    },
}


def test_settings_win_over_the_file_and_overrides_over_both(tmp_path):
    (tmp_path / "c.yaml").write_text("root: from-file\ncorpus: {id_column: a, text_column: b}\n")
    config = load_config(str(tmp_path / "c.yaml"), ["corpus.text_column=c", "neighbors.k=40"], {"root": "from-option/"})
    assert (config.root, config.neighbors.k) == ("from-option", 40)
    assert (config.corpus.id_column, config.corpus.text_column) == ("a", "c")


def test_values_of_settings_are_yaml():
    config = load_config(None, ["corpus.input=[a.jsonl, b.jsonl]", "corpus.keep_text=false", 'corpus.id_column="3"'])
    assert config.corpus.input == ["a.jsonl", "b.jsonl"]
    assert config.corpus.keep_text is False
    assert config.corpus.id_column == "3"


def test_printed_configuration_is_the_configuration(tmp_path):
    config = load_config(None, ["duplicates.threshold=0.9", "corpus.metadata_columns=[section]"])
    (tmp_path / "printed.yaml").write_text(config_yaml(config))
    assert load_config(str(tmp_path / "printed.yaml")) == config


def test_where_a_run_happens_does_not_change_what_it_gives():
    digest = Config().results_digest()
    elsewhere = ["root=elsewhere", "runner.workers=2", "corpus.input=[x]", "embedding.threads=1"]
    assert load_config(None, [*elsewhere, "embedding.characters_per_batch=9"]).results_digest() == digest
    assert load_config(None, ["neighbors.recall_gate=0.5", "neighbors.margin=5"]).results_digest() == digest
    assert load_config(None, ["neighbors.recall_rows=5"]).results_digest() != digest
    assert load_config(None, ["duplicates.threshold=0.8"]).results_digest() != digest
    assert load_config(None, ["embedding.precision=bf16"]).results_digest() != digest


def test_every_key_is_described_in_the_schema():
    schema = config_schema()
    for name, section in [("Config", schema), *schema["$defs"].items()]:
        for key, described in section["properties"].items():
            assert described.get("description"), f"{name}.{key}"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_configuration_files_are_complete_and_commented(path):
    text = path.read_text()
    config = load_config(str(path), **FILLED_IN.get(path.name, {}))
    written = yaml.safe_load(text)
    resolved = yaml.safe_load(config_yaml(config))
    assert {key: sorted(value) if isinstance(value, dict) else None for key, value in written.items()} == {
        key: sorted(value) if isinstance(value, dict) else None for key, value in resolved.items()
    }
    for line in text.splitlines():
        if line.startswith("  ") and ":" in line and not line.strip().startswith("#"):
            before = text[: text.index(line)].rstrip().splitlines()[-1]
            assert before.strip().startswith("#"), f"no comment above {line.strip()!r}"


@pytest.mark.parametrize("name", FILLED_IN)
def test_every_place_that_is_not_filled_in_is_named(name):
    given = FILLED_IN[name]
    places = set(
        re.findall(r"<[A-Z-]+>", "\n".join(line for line in (CONFIGS / name).read_text().splitlines() if "#" not in line))
    )
    assert places
    left_out = [
        *(
            {**given, "overrides": {key: v for key, v in given["overrides"].items() if key != left}}
            for left in given["overrides"]
        ),
        *({**given, "beam_options": [o for o in given["beam_options"] if o != left]} for left in given["beam_options"]),
    ]
    named = set()
    for values in left_out:
        with pytest.raises(ConfigurationError, match=r"still has the placeholder <[A-Z-]+>: write what is yours") as error:
            load_config(str(CONFIGS / name), **values)
        named |= set(re.findall(r"<[A-Z-]+>", str(error.value)))
    assert named == places
    load_config(str(CONFIGS / name), **given)


def test_a_placeholder_is_looked_for_only_where_the_files_have_some():
    assert load_config(None, ["embedding.document_prompt=<DOC>"]).embedding.document_prompt == "<DOC>"


@pytest.mark.parametrize("option", ["--dry_run=True", "--dry_run=False", "--dry_run"])
def test_a_dry_run_of_beam_is_refused(option):
    with pytest.raises(ConfigurationError, match=r"--dry_run builds a job and does not run it.*corpusbeam plan"):
        load_config(None, beam_options=[option])


def test_beam_options_of_the_command_line_come_after_those_of_the_file(tmp_path):
    (tmp_path / "c.yaml").write_text("runner: {beam_options: [--parallelism=2, --environment_type=LOOPBACK]}\n")
    options = load_config(str(tmp_path / "c.yaml"), beam_options=["--parallelism=3"]).runner.beam_options
    assert options == ("--parallelism=2", "--environment_type=LOOPBACK", "--parallelism=3")
    assert load_config(None, beam_options=["--parallelism=3"]).runner.beam_options == ("--parallelism=3",)
    with pytest.raises(ConfigurationError, match=r"runner.beam_options: .*, got 'x'"):
        load_config(None, ["runner.beam_options=x"], beam_options=["--parallelism=3"])
    with pytest.raises(ConfigurationError, match=r"runner"):
        load_config(None, ["runner=x"], beam_options=["--parallelism=3"])


@pytest.mark.parametrize(
    "setting",
    ["runner.one_worker_ram=32", "runner.one_worker_ram=lots", "runner.accelerator=nvidia-l4", "runner.worker_threads=0"],
)
def test_what_no_engine_could_be_asked_for_is_refused(setting):
    with pytest.raises(ConfigurationError, match=setting.partition("=")[0]):
        load_config(None, [setting])


def test_a_section_cannot_be_set_below_a_value():
    with pytest.raises(ConfigurationError, match="'root' is a value"):
        load_config(None, ["root=x", "root.deeper=1"])
    with pytest.raises(ConfigurationError, match="must hold keys"):
        load_config(str(CONFIGS / ".." / "constraints.txt"))


def test_topics_that_need_more_neighbours_than_there_are_are_refused_before_anything_is_read():
    message = r"topics.n_neighbors=15 needs neighbors.k=14 or more, it is 13: raise neighbors.k or lower topics.n_neighbors$"
    with pytest.raises(ConfigurationError, match=message):
        load_config(None, ["neighbors.k=13", "topics.n_neighbors=15"])
    assert load_config(None, ["neighbors.k=14", "topics.n_neighbors=15"]).neighbors.k == 14
    exactly = ["topics.n_neighbors=5", "topics.min_samples=10", "topics.reduce=none"]
    with pytest.raises(ConfigurationError, match=r"min_samples=10 with topics.reduce=none .* is 9: raise"):
        load_config(None, ["neighbors.k=9", *exactly])
    assert load_config(None, ["neighbors.k=10", *exactly]).topics.reduce == "none"


@pytest.mark.parametrize(
    "settings",
    [
        ["corpus.input=[x.jsonl]", "duplicates.keep=[newest:updated_at]"],
        ["corpus.input=[x.jsonl]", "corpus.metadata_columns=[kind]", "duplicates.keep=[longest, column:updated_at:asc]"],
        ["duplicates.keep=[column:updated_at:asc]"],
    ],
)
def test_a_kept_document_cannot_be_chosen_by_a_column_that_is_not_read(settings):
    with pytest.raises(ConfigurationError, match=r"duplicates.keep names the column 'updated_at'.*corpus.metadata_columns"):
        load_config(None, settings)


@pytest.mark.parametrize("setting", ["topics.tables=[section]", "topics.date_column=section"])
def test_metadata_that_is_not_read_cannot_be_counted(setting):
    key = setting.partition("=")[0]
    with pytest.raises(ConfigurationError, match=rf"{key} names the column 'section'.*corpus.metadata_columns"):
        load_config(None, ["corpus.input=[x.jsonl]", setting])
    known = load_config(None, ["corpus.input=[x.jsonl]", "corpus.metadata_columns=[section]", setting])
    assert [one.column for one in known.topics.counted] == ["section"]
    assert load_config(None, ["topics.tables=[kind, package]"]).topics.tables == ("kind", "package")


def test_columns_that_are_read_choose_the_kept_document():
    assert load_config(None, ["duplicates.keep=[column:package:asc]"]).duplicates.keep == ("column:package:asc",)
    settings = ["corpus.input=[x.jsonl]", "corpus.metadata_columns=[updated_at]", "duplicates.keep=[newest:updated_at]"]
    assert load_config(None, settings).duplicates.keep == ("newest:updated_at",)
    with pytest.raises(ConfigurationError, match="'best' is no rule: write most_documents"):
        load_config(None, ["duplicates.keep=[best]"])


def test_a_key_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("runner:\n  workers: 2\n  workers: 1\n")
    with pytest.raises(ConfigurationError, match=r"key 'workers' is there twice.*line 3"):
        load_config(str(path))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_configuration_files_hold_the_defaults(path):
    config, defaults = load_config(str(path), **FILLED_IN.get(path.name, {})).model_dump(), Config().model_dump()
    # Where a run happens, and of what, is each file's own.
    for section in config.keys() - {"root", "corpus", "publish", "runner"}:
        assert config[section] == defaults[section], section
