"""`corpusbeam search --queries`: the answers to many queries as tables, by a Beam job over parts of the queries.

The queries are read as a corpus is, with its formats, columns and reasons for quarantine; equal files in another order, or cut
otherwise, give the same tables.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines.answers_folder import QUARANTINE, check_answers_folder, publish_answers, work_folder
from pipelines.config import Config, ConfigurationError, load_config
from pipelines.corpus import CorpusResult, read_corpus
from pipelines.errors import warn
from pipelines.places import check_places
from pipelines.runner import Runner
from pipelines.search import published_embedding, word_warnings
from pipelines.stage import Run
from pipelines.text_sets import reasons_of, refuse_inside, texts_only
from transforms.corpus import QUARANTINE_SCHEMA, InputError
from transforms.files import FileRef, join, read_table, redact, write_table
from transforms.generations import Generation, open_generation
from transforms.lexical import check_lexical
from transforms.search import (
    BatchOptions,
    HitsRecord,
    QueriesPart,
    check_mode,
    check_queries,
    check_texts,
    check_where,
    matching_spec,
    parse_where,
)
from transforms.search.beam import SearchQueries


@dataclass(frozen=True)
class HitsResult:
    """The tables of answers."""

    records: list[HitsRecord]
    counts: dict[str, int]


def search_batch(
    root: str,
    files: Sequence[str],
    output: str,
    asked: BatchOptions,
    model: str | None = None,
    settings: Sequence[str] = (),
    beam_options: Sequence[str] = (),
) -> dict[str, Any]:
    """Answer every query of `files` from the published generation, into `part-*.parquet` in the folder `output`.

    Rows that are no query, and queries that the model fails on, go to `quarantine.parquet` there; the others are answered. What
    an earlier call left there is replaced once all is done. `settings` are KEY=VALUE.

    Raises InputError when there is no query that can be used, ConfigurationError for an output inside the root, or with
    the queries or others' tables in it, and for a setting that a search does not go by, RunnerError for places that workers
    elsewhere do not have, and what `GenerationSearcher` raises.
    """
    refuse_inside("--output", output, root)
    check_queries([], asked.k)
    check_mode(asked.mode, asked.weight)
    generation = open_generation(root)
    if asked.rerank is not None and not generation.manifest.configuration["corpus"]["keep_text"]:
        check_texts([None])
    if asked.mode != "dense":
        check_lexical(generation)
    if asked.mode != "lexical":
        matching_spec(generation, published_embedding(generation, model))
    if asked.where is not None:
        check_where(generation, parse_where(asked.where))
    check_answers_folder(output, files)
    with work_folder(output) as work:
        config = _config(generation, files, work, model, settings, beam_options)
        runner = Runner(config.runner)
        for place in (config, config.model_copy(update={"root": root})):
            check_places(place, runner)
        warn([*runner.check_answers(), *word_warnings(generation, asked.mode)])
        finished = join(work, "answers")
        with runner:
            run = Run(config, runner)
            corpus = run.stage("corpus", CorpusResult, None, lambda: read_corpus(run))
            if not corpus.rows:
                reasons = ", ".join(f"{reason} {count}" for reason, count in reasons_of(corpus).items()) or "no rows"
                raise InputError(f"--queries {redact(files[0])} has no query that can be used ({reasons}): check its columns")
            found = run.stage(
                "search",
                HitsResult,
                None,
                lambda: _search(run, corpus, generation, finished, asked),
                total=corpus.rows,
                unit="queries",
            )
            bad = _quarantine(corpus, found.records)
            if bad.num_rows:
                write_table(join(finished, QUARANTINE), bad)
        publish_answers(finished, output)
    unusable = reasons_of(corpus)
    if failed := sum(len(record.failed) for record in found.records):
        unusable["model_failed"] = failed
    return {
        "root": root,
        "generation": generation.id,
        "rows_read": corpus.counts["rows_read"],
        **found.counts,
        "quarantined": sum(unusable.values()),
        "quarantine": unusable,
        "output": redact(output),
        "seconds": {name: run.metrics[name]["seconds"] for name in ("corpus", "search")},
    }


def batch_lines(found: dict[str, Any]) -> list[str]:
    """The same as lines for a terminal."""
    lines = [
        f"{found['queries']:,} queries, {found['hits']:,} answers of generation {found['generation']} in {found['output']}"
    ]
    if found["truncated"]:
        lines.append(f"{found['truncated']:,} queries are longer than the model takes: their rest was not searched for")
    if found["quarantined"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in found["quarantine"].items())
        lines.append(f"{found['quarantined']:,} rows could not be answered ({reasons}): see {QUARANTINE} there")
    return lines


# What a search of many queries goes by: how they are read, and where and how their jobs run.
_SETTINGS = re.compile(r"corpus\.(?!keep_text|passage_).+|runner\..+|embedding\.(device|threads|tokens_per_batch)")


def _config(
    generation: Generation,
    files: Sequence[str],
    work: str,
    model: str | None,
    settings: Sequence[str],
    beam_options: Sequence[str],
) -> Config:
    """The generation's settings for reading and embedding texts; where jobs run is this command's affair."""
    embedding = published_embedding(generation, model).model_dump(mode="json")
    base = texts_only(generation, files) | {"root": work, "embedding": embedding, "runner": {}}
    base["corpus"] |= {"passage_tokens": None, "keep_text": True, "max_quarantine_fraction": 1.0}
    config = load_config(None, settings, {}, base, beam_options=list(beam_options))
    for key in (setting.partition("=")[0].strip() for setting in settings):
        if not _SETTINGS.fullmatch(key):
            raise ConfigurationError(
                f"--set {key} changes nothing in a search: index and model are the generation's; corpus.…, runner.… and "
                "embedding.device, .threads and .tokens_per_batch can be set"
            )
    return config


def _search(run: Run, corpus: CorpusResult, generation: Generation, directory: str, asked: BatchOptions) -> HitsResult:
    parts = [part for part in corpus.parts if part.rows]
    tasks = [QueriesPart(i, part.documents, generation.root, generation.id, directory) for i, part in enumerate(parts)]
    threads = run.config.embedding.threads or run.runner.threads(len(tasks))
    options = run.config.embedding.model_copy(update={"threads": threads})
    records: list[HitsRecord] = run.job("search", SearchQueries(options, asked), tasks, HitsRecord)
    records.sort(key=lambda record: record.part)
    counts = {name: sum(getattr(record, name) for record in records) for name in ("queries", "truncated")}
    return HitsResult(records, counts | {"hits": sum(record.hits.rows or 0 for record in records)})


def _quarantine(corpus: CorpusResult, records: Sequence[HitsRecord]) -> pa.Table:
    files: list[FileRef] = corpus.quarantine
    rows = [
        {"source": None, "row": None, "doc_id": query, "reason": "model_failed", "detail": error, "excerpt": None}
        for record in records
        for query, error in record.failed
    ]
    failed = pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)
    return pa.concat_tables([*(read_table(file.path).cast(QUARANTINE_SCHEMA) for file in files), failed])
