"""Configuration: YAML and `--set` into one frozen, validated object; unknown keys are errors."""

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipelines.defaults import DEFAULT_ROOT
from pipelines.prometheus import MonitoringOptions
from pipelines.runner import RunnerOptions
from transforms.corpus import PYTHON_DOCS, PYTHON_DOCS_COLUMNS, CorpusOptions
from transforms.duplicates import DuplicatesOptions, columns_of
from transforms.embedding import EmbeddingOptions
from transforms.files import digest_of, filesystem_of, holds_credentials, redact
from transforms.generations import PublishOptions
from transforms.index import IndexOptions
from transforms.lexical import LexicalOptions
from transforms.neighbors import NeighborsOptions
from transforms.reports import ReportOptions
from transforms.topics import TopicsOptions

# Keys that say where and how a run happens, not what it gives: changing them makes no new generation necessary. Where the
# documents come from is one of them, because the documents themselves are compared.
_NOT_RESULTS: dict[str, Any] = {
    "root": True,
    "runner": True,
    "monitoring": True,
    "publish": True,
    "corpus": {"input", "max_quarantine_fraction", "max_deleted_fraction", "unreadable_files"},
    "embedding": {"characters_per_batch", "device", "threads", "tokens_per_batch"},
    # A gate that is lowered after it refused a graph must not cost the graph again.
    "neighbors": {"margin", "rows_per_chunk", "recall_gate"},
    # What the file holds is compared, not where it is.
    "index": {"rows_per_shard", "recall_queries_file"},
    "topics": {"labels"},
}

# What configs/*.yaml have where nobody else can know the value. Neither hosts nor buckets can have such a name.
_PLACEHOLDER = re.compile(r"<[A-Z][A-Z-]*>")
_ON_THE_COMMAND_LINE = {
    "root": "--root URL",
    "corpus.input": "--input URL …",
    "runner.beam_options": "after --, such as -- --job_endpoint=HOST:PORT",
}


class ConfigurationError(Exception):
    """The configuration cannot be used; the message names the key, the value and what is allowed."""


class Config(BaseModel):
    """All settings of a run. Every key is documented where its room defines it; `corpusbeam config --schema` prints them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str = Field(DEFAULT_ROOT, description="Folder that holds the generations and the vector store.", min_length=1)
    corpus: CorpusOptions = Field(CorpusOptions(), description="What is read.")
    embedding: EmbeddingOptions = Field(EmbeddingOptions(), description="Which model embeds it.")
    index: IndexOptions = Field(IndexOptions(), description="The FAISS index and its recall gate.")
    neighbors: NeighborsOptions = Field(NeighborsOptions(), description="The neighbour graph.")
    duplicates: DuplicatesOptions = Field(DuplicatesOptions(), description="Pairs and groups of texts that say the same.")
    topics: TopicsOptions = Field(TopicsOptions(), description="Topics and their terms.")
    search: LexicalOptions = Field(LexicalOptions(), description="What can be searched beside vectors.")
    report: ReportOptions = Field(ReportOptions(), description="The HTML report.")
    monitoring: MonitoringOptions = Field(MonitoringOptions(), description="What a run leaves for monitoring.")
    publish: PublishOptions = Field(PublishOptions(), description="How a generation is published, and by one run at a time.")
    runner: RunnerOptions = Field(RunnerOptions(), description="Where the Beam jobs run.")

    @field_validator("root")
    @classmethod
    def _no_trailing_slash(cls, root: str) -> str:
        if holds_credentials(root):
            raise ValueError("the URL has credentials: give them through the environment")
        return root.rstrip("/") or "/"

    @model_validator(mode="after")
    def _topics_have_their_neighbors(self) -> "Config":
        # The topic stage would say so too, after everything has been embedded.
        needed = self.topics.n_neighbors - 1
        if self.neighbors.k < needed:
            raise ValueError(
                f"topics.n_neighbors={self.topics.n_neighbors} needs neighbors.k={needed} or more, it is {self.neighbors.k}: "
                f"raise neighbors.k or lower topics.n_neighbors"
            )
        if self.topics.reduce == "none" and self.topics.method != "kmeans" and self.neighbors.k < self.topics.min_samples:
            raise ValueError(
                f"topics.min_samples={self.topics.min_samples} with topics.reduce=none needs as many neighbours, neighbors.k "
                f"is {self.neighbors.k}: raise neighbors.k or lower topics.min_samples"
            )
        return self

    @model_validator(mode="after")
    def _columns_are_read(self) -> "Config":
        known = {*self.corpus.metadata_columns, *(PYTHON_DOCS_COLUMNS if PYTHON_DOCS in self.corpus.input else ())}
        named = {
            "duplicates.keep": columns_of(self.duplicates.keep),
            "topics.tables": self.topics.tables,
            "topics.date_column": () if self.topics.date_column is None else (self.topics.date_column,),
        }
        for key, columns in named.items():
            if missing := [name for name in columns if name not in known]:
                raise ValueError(
                    f"{key} names the column {missing[0]!r}, which corpus.metadata_columns does not: add it there, so "
                    f"that it is read (now {sorted(known) or 'empty'})"
                )
        return self

    @model_validator(mode="after")
    def _places_are_filled_in(self) -> "Config":
        places = {"root": (self.root,), "corpus.input": tuple(self.corpus.input)}
        # What counts of options that are given twice is the last.
        options = {option.partition("=")[0]: option for option in self.runner.beam_options}
        for key, values in {**places, "runner.beam_options": tuple(options.values())}.items():
            for value in values:
                if found := _PLACEHOLDER.search(value):
                    raise ValueError(
                        f"{key}: {value!r} still has the placeholder {found[0]}: write what is yours there, in the file or on "
                        f"the command line ({_ON_THE_COMMAND_LINE[key]})"
                    )
        return self

    @model_validator(mode="after")
    def _jobs_are_run(self) -> "Config":
        if any(option.partition("=")[0] == "--dry_run" for option in self.runner.beam_options):
            raise ValueError(
                "runner.beam_options: --dry_run builds a job and does not run it, but each job reads what the last one has "
                "written. Leave it out (Beam takes --dry_run=False for true): `corpusbeam plan` says what would be done"
            )
        return self

    def results_digest(self) -> str:
        """Digest of every setting that can change what is published."""
        return digest_of(result_settings(self))


def result_settings(config: Config) -> dict[str, Any]:
    """Every setting that can change what is published, as JSON values by section."""
    return config.model_dump(mode="json", exclude=_NOT_RESULTS)


def load_config(
    path: str | None,
    settings: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    published: Mapping[str, Any] | None = None,
    beam_options: Sequence[str] = (),
) -> Config:
    """Read a YAML file (None: defaults only), then apply `key.path=value` settings, then `overrides` by dotted key.

    `published` settings, of a generation, take the place of a file. `beam_options` come after those of runner.beam_options: of
    an option that is given twice Beam takes the last.
    Values of settings are YAML: `a=3` is a number, `a="3"` a string, `a=[x, y]` a list.
    Raises ConfigurationError with one line per problem.
    """
    values = copy.deepcopy(dict(published or {})) if path is None else _read_yaml(path)
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key.strip():
            raise ConfigurationError(f"--set needs key.path=value, got {redact(setting)!r}")
        _set(values, key.strip(), _parse_value(setting, text))
    for key, value in (overrides or {}).items():
        _set(values, key, value)
    if beam_options:
        given = _get(values, "runner", "beam_options")
        # What is no list is left for the validation to refuse.
        if given is None or isinstance(given, list):
            _set(values, "runner.beam_options", [*(given or ()), *beam_options])
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_problem(item) for item in error.errors())) from None


def config_schema() -> dict[str, Any]:
    """The JSON Schema of the configuration, with every key's description, default and limits."""
    return Config.model_json_schema()


def _read_yaml(path: str) -> dict[str, Any]:
    fs, inner = filesystem_of(path)
    try:
        with fs.open(inner, "rb") as file:
            values = yaml.load(file, _Loader)
    except FileNotFoundError:
        raise ConfigurationError(f"configuration file {path!r} does not exist") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"configuration file {path!r} is not YAML: {' '.join(str(error).split())}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"configuration file {path!r} must hold keys and values, found {type(values).__name__}")
    return values


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which takes the last of several equal keys; here they are an error, as in YAML's own rules."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in found:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is there twice", key_node.start_mark)
            found.add(key)
        return super().construct_mapping(node, deep)


def _parse_value(setting: str, text: str) -> Any:
    try:
        return yaml.safe_load(text) if text.strip() else ""
    except yaml.YAMLError:
        raise ConfigurationError(f"--set {redact(setting)!r}: the value is not YAML; quote it") from None


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigurationError(f"{key!r}: {section!r} is a value, not a section")
        values = inner
    values[last] = value


def _get(values: Mapping[str, Any], section: str, key: str) -> Any:
    inner = values.get(section)
    return inner.get(key) if isinstance(inner, dict) else None


def _problem(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "configuration"
    if item["type"] == "extra_forbidden":
        return f"unknown key {key!r}: `corpusbeam config --schema` lists every key"
    if not item["loc"]:  # about several sections: the message names what of them does not fit
        return str(item["msg"])
    return f"{key}: {item['msg']}, got {redact(repr(item['input']))}"


def config_yaml(config: Config) -> str:
    """The resolved configuration as YAML, every key written out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
