"""Sets of texts that a command compares with each other: documents of files, or a published generation.

What is read goes through the first stages of a run, in a folder that is removed afterwards: so it is read, checked, split and
embedded as a corpus is. Nothing is written below a root.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipelines.config import Config, ConfigurationError, load_config
from pipelines.corpus import CorpusResult, read_corpus, write_corpus
from pipelines.embed import EmbedResult, damage_warnings, embed_passages
from pipelines.errors import warn
from pipelines.passages import PassagesResult, distinct_passages, make_passages
from pipelines.runner import Runner, RunnerError
from pipelines.search import published_embedding
from pipelines.splitter import passage_splitter
from pipelines.stage import Run
from transforms.corpus import InputError, PassagesPlan, part_count, quarantine_reasons, write_keys_run
from transforms.duplicates import Side
from transforms.embedding import EncoderSpec
from transforms.files import FileRef, is_within, join, redact
from transforms.generations import Generation, read_current
from transforms.neighbors import plan_tiles
from transforms.vectors import FailedText


@dataclass(frozen=True)
class TextSet:
    """One set: what was read of it (None for a published one), its distinct texts, and their vectors."""

    corpus: CorpusResult | None
    passages: PassagesResult
    embedded: EmbedResult

    @property
    def side(self) -> Side:
        """The texts as files, without empty parts."""
        pairs = zip(self.embedded.unit_blocks, self.passages.files, strict=True)
        full = [(block, file) for block, file in pairs if block.rows]
        return Side(tuple(block for block, _ in full), tuple(file for _, file in full))


def refuse_inside(option: str, path: str | None, root: str) -> None:
    """Raise ConfigurationError when what `option` names would be written among the published files of a root."""
    if path is not None and is_within(path, root) and read_current(root) is not None:
        raise ConfigurationError(
            f"{option} {redact(path)} is inside the root {redact(root)}, whose files are published and checked: give a place "
            "elsewhere"
        )


def config_for(
    generation: Generation,
    files: Sequence[str],
    settings: Sequence[str],
    overrides: dict[str, Any],
    model: str | None = None,
) -> Config:
    """The generation's settings for documents of later, of which only their texts count.

    `settings` are the user's KEY=VALUE.
    """
    base = {**texts_only(generation, files), "embedding": published_embedding(generation, model).model_dump(mode="json")}
    return load_config(None, settings, overrides, base)


def texts_only(generation: Generation, files: Sequence[str]) -> dict[str, Any]:
    """The generation's settings with other documents, of which no column but the text is read, nor asked for."""
    published = generation.manifest.configuration
    return {
        **published,
        "corpus": {**published["corpus"], "input": list(files), "sample": None, "metadata_columns": []},
        "duplicates": {**published["duplicates"], "keep": []},
        "topics": {**published["topics"], "tables": [], "date_column": None},
    }


def local_runner(config: Config, use: str) -> Runner:
    """The runner, which must be this machine: what is compared waits in a temporary folder. Raises RunnerError otherwise.

    `use` is what the command is called.

    Raises RemoteJobError when its job server, if it has one, does not answer.
    """
    runner = Runner(config.runner)
    if not runner.engine.is_here:
        raise RunnerError(
            f"runner.runner {runner.engine.runner!r}: {use} works with files of this machine, so its workers "
            "must be here too; add --set runner.runner=FnApiRunner --set runner.beam_options=[]"
        )
    warn(runner.check_answers())
    return runner


def run_in(root: str, config: Config, runner: Runner) -> Run:
    """A run of the first stages in a folder of its own."""
    # Nothing is published: bad rows are reported, however many they are, and only texts are wanted.
    corpus = config.corpus.model_copy(update={"max_quarantine_fraction": 1.0, "metadata_columns": [], "keep_text": True})
    own = config.model_copy(update={"root": root, "corpus": corpus})
    return Run(own, runner, passage_splitter(own))


def published_set(run: Run, generation: Generation, spec: EncoderSpec) -> TextSet:
    """The texts of a generation, checked, with their vectors in the form that a run has them in."""
    # Before anything is embedded: a damaged shard is no reason to embed its texts again here.
    shards = [generation.checked(file) for file in generation.manifest.files if file.path.startswith("vectors/")]

    def passages() -> PassagesResult:
        parts = [
            FileRef(generation.checked(file), file.size, file.rows, file.sha256)
            for file in generation.manifest.under("documents")
        ]
        runs = tuple(write_keys_run(part, join(run.scratch("keys"), f"part-{i:05d}.parquet")) for i, part in enumerate(parts))
        texts = part_count(sum(keys.rows or 0 for keys in runs), run.config.corpus.rows_per_part)
        plan = PassagesPlan(runs, texts, run.scratch("passages"))
        return distinct_passages(run, plan, generation.manifest.counts.get("passages", 0))

    found = run.stage("passages", PassagesResult, None, passages)
    return TextSet(None, found, run.stage("embed", EmbedResult, None, lambda: embed_passages(run, found, spec, more=shards)))


def read_set(run: Run, spec: EncoderSpec, more: Sequence[str], name: str) -> TextSet:
    """Read and embed the documents of the run's input, which messages call `name`; texts are looked up in `more` shards too.

    Raises InputError when no document of it can be used.
    """
    return _embedded(run, spec, more, name, run.stage("corpus", CorpusResult, None, lambda: read_corpus(run)))


def tiles_of(run: Run, side: Side) -> list[Side]:
    """A side cut into what one task has in memory of it."""
    passages_of = dict(zip(side.blocks, side.passages, strict=True))
    return [Side(tile, tuple(passages_of[block] for block in tile)) for tile in plan_tiles(side.blocks, run.config.neighbors)]


def set_facts(one: TextSet) -> dict[str, Any]:
    """What was read and embedded of a set, in numbers."""
    facts: dict[str, Any] = {"texts": one.passages.rows}
    if one.corpus is not None:
        facts |= {name: one.corpus.counts[name] for name in ("rows_read", "documents", "quarantined")}
        facts |= {"quarantine": reasons_of(one.corpus)}
        facts |= {name: one.embedded.counts[name] for name in ("texts_embedded", "texts_reused", "texts_truncated")}
    return facts


def set_line(one: dict[str, Any]) -> str:
    """What `set_facts` says of a set that was read, in one line."""
    bad = ", ".join(f"{reason} {count:,}" for reason, count in one["quarantine"].items())
    unusable = f", {one['quarantined']:,} rows could not be used ({bad})" if bad else ""
    cost = f"{one['texts_embedded']:,} of them embedded now"
    return f"{one['documents']:,} documents, {one['texts']:,} different texts, {cost}{unusable}"


def reasons_of(corpus: CorpusResult) -> dict[str, int]:
    """How many rows could not be used, by reason."""
    return quarantine_reasons(corpus.units, corpus.parts)


def _embedded(
    run: Run, spec: EncoderSpec, more: Sequence[str], name: str, corpus: CorpusResult, failed: Sequence[FailedText] = ()
) -> TextSet:
    """Embed a set that was read, and once more without the documents of texts that the model fails on."""
    if not corpus.rows:
        reasons = ", ".join(f"{reason} {count}" for reason, count in reasons_of(corpus).items())
        raise InputError(f"{name} has no document that can be used ({reasons or 'no rows'}): check its files and columns")
    passages = run.stage("passages", PassagesResult, None, lambda: make_passages(run, corpus))
    embed = partial(embed_passages, run, passages, spec, more=more)
    embedded = run.stage("embed", EmbedResult, None, embed, total=passages.rows, unit="texts")
    if embedded.failed:
        bad = [*failed, *embedded.failed]
        rest = run.stage("corpus", CorpusResult, None, lambda: write_corpus(run, corpus.units, bad))
        return _embedded(run, spec, more, name, rest, bad)
    warn(damage_warnings(run.root, embedded.damaged))
    return TextSet(corpus, passages, embedded)
