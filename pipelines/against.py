"""`corpusbeam duplicates --against`: which documents of one set, A, say what a document of another, B, says.

B is the published generation, or files. What is read goes through the first stages of a run, in a folder that is removed
afterwards: so it is read, checked, split and embedded as a corpus is. Nothing is written below a root.
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.config import Config
from pipelines.corpus import CorpusResult, read_corpus, write_corpus
from pipelines.embed import EmbedResult, damage_warnings, embed_passages
from pipelines.errors import warn
from pipelines.excerpt import Excerpt, output_lines, pair_facts, pair_lines, pairs_heading
from pipelines.passages import PassagesResult, distinct_passages, make_passages
from pipelines.reindex import choose_encoder
from pipelines.runner import Runner, RunnerError
from pipelines.splitter import passage_splitter
from pipelines.stage import Run
from transforms.corpus import InputError, PassagesPlan, part_count, quarantine_reasons, write_keys_run
from transforms.duplicates import AgainstRecord, AgainstTask, AroundRecord, AroundTask, Side, against_tables, texts_of
from transforms.duplicates.beam import CompareTiles, MeasureAround
from transforms.embedding import EncoderSpec, warnings_of
from transforms.files import FileRef, join, read_table
from transforms.generations import Generation
from transforms.neighbors import plan_tiles
from transforms.reports import clean, fit, passage_label
from transforms.vectors import FailedText, stored_shards


@dataclass(frozen=True)
class _Set:
    """One of the two sets: what was read of it (None for a published one), its distinct texts, and their vectors."""

    corpus: CorpusResult | None
    passages: PassagesResult
    embedded: EmbedResult

    @property
    def side(self) -> Side:
        """The texts as files, without empty parts."""
        pairs = zip(self.embedded.unit_blocks, self.passages.files, strict=True)
        full = [(block, file) for block, file in pairs if block.rows]
        return Side(tuple(block for block, _ in full), tuple(file for _, file in full))


def against_published(config: Config, generation: Generation, spec: EncoderSpec, excerpt: Excerpt) -> dict[str, Any]:
    """Compare the documents that `config` reads, A, with those of a published generation, B, whose encoder `spec` is.

    A text that the generation's root has a vector of is not embedded again. See `Excerpt` for what is in the answer.

    Raises InputError when nothing of A can be used, CorruptFileError for a published file that is not what was written.
    """
    with tempfile.TemporaryDirectory(prefix="corpusbeam-") as work, _local_runner(config) as runner:
        b = _published(_run(config, f"{work}/b", runner), generation, spec)
        facts = {"root": generation.root, "generation": generation.id}
        more = stored_shards(generation.root, spec.fingerprint)
        return facts | _against(_run(config, f"{work}/a", runner), spec, b, more, excerpt)


def against_files(config: Config, files: Sequence[str], excerpt: Excerpt) -> dict[str, Any]:
    """Compare the documents of `files`, A, with those that `config` reads, B, both embedded by its encoder.

    What comes back, and what is raised, is as for `against_published`.
    """
    with tempfile.TemporaryDirectory(prefix="corpusbeam-") as work, _local_runner(config) as runner:
        run_b = _run(config, f"{work}/b", runner)
        spec = choose_encoder(run_b, None)
        b = _read(run_b, spec, (), "B")
        of_a = config.model_copy(update={"corpus": config.corpus.model_copy(update={"input": list(files), "sample": None})})
        more = stored_shards(run_b.root, spec.fingerprint)
        facts: dict[str, Any] = {"root": None, "generation": None}
        return facts | _against(_run(of_a, f"{work}/a", runner), spec, b, more, excerpt)


def _local_runner(config: Config) -> Runner:
    """The runner, which must be this machine: what is compared waits in a temporary folder. Raises RunnerError otherwise.

    Raises RemoteJobError when its job server, if it has one, does not answer.
    """
    runner = Runner(config.runner)
    if not runner.engine.is_here:
        raise RunnerError(
            f"runner.runner {runner.engine.runner!r}: duplicates --against works with files of this machine, so its workers "
            "must be here too; add --set runner.runner=FnApiRunner --set runner.beam_options=[]"
        )
    warn(runner.check_answers())
    return runner


def against_lines(found: dict[str, Any]) -> list[str]:
    """What either function found as lines for a terminal."""
    a, b = found["a"], found["b"]
    published = f"generation {found['generation']} of {found['root']}, {b['texts']:,} different texts"
    lines = [
        f"A  {_read_line(a)}",
        f"B  {published if found['root'] else _read_line(b)}",
        f"threshold {found['threshold']!r}, model {found['model']} ({found['fingerprint'][:12]})",
        f"{found['documents_with_match']:,} documents of A have a match in B, {found['documents_without_match']:,} have none",
    ]
    if not found["complete"]:
        lines.append(
            f"NOT COMPLETE: {found['texts_capped']:,} texts of A have {found['pairs_dropped']:,} pairs more than "
            "duplicates.max_pairs_per_text allows; raise it, or the threshold"
        )
    width = shutil.get_terminal_size((100, 24)).columns
    lines += ["", pairs_heading(found), *pair_lines(found["shown"], width)]
    if unlike := found["without_match"]:
        shown = f"{len(unlike):,} of {found['documents_without_match']:,}"
        lines += ["", f"documents of A without a match ({shown}), with the nearest of B, least similar first"]
        for row in unlike:
            label = clean(passage_label(row["doc_id"], row["passage_no"]))
            nearest = "" if row["best_doc_id"] is None else f" (nearest {clean(row['best_doc_id'])})"
            cosine = "     " if row["best_cosine"] is None else f"{row['best_cosine']:.3f}"
            lines += [f"  {cosine}  {label}{nearest}", " " * 9 + fit(row["text"], width - 9)]
    return [*lines, *output_lines(found)]


def _read_line(one: dict[str, Any]) -> str:
    bad = ", ".join(f"{reason} {count:,}" for reason, count in one["quarantine"].items())
    unusable = f", {one['quarantined']:,} rows could not be used ({bad})" if bad else ""
    cost = f"{one['texts_embedded']:,} of them embedded now"
    return f"{one['documents']:,} documents, {one['texts']:,} different texts, {cost}{unusable}"


def _run(config: Config, root: str, runner: Runner) -> Run:
    # Nothing is published: bad rows are reported, however many they are, and only texts are wanted.
    corpus = config.corpus.model_copy(update={"max_quarantine_fraction": 1.0, "metadata_columns": [], "keep_text": True})
    own = config.model_copy(update={"root": root, "corpus": corpus})
    return Run(own, runner, passage_splitter(own))


def _published(run: Run, generation: Generation, spec: EncoderSpec) -> _Set:
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
    return _Set(None, found, run.stage("embed", EmbedResult, None, lambda: embed_passages(run, found, spec, more=shards)))


def _read(run: Run, spec: EncoderSpec, more: Sequence[str], name: str) -> _Set:
    """Read and embed a set."""
    return _embedded(run, spec, more, name, run.stage("corpus", CorpusResult, None, lambda: read_corpus(run)))


def _embedded(
    run: Run, spec: EncoderSpec, more: Sequence[str], name: str, corpus: CorpusResult, failed: Sequence[FailedText] = ()
) -> _Set:
    """Embed a set that was read, and once more without the documents of texts that the model fails on."""
    if not corpus.rows:
        reasons = ", ".join(f"{reason} {count}" for reason, count in _reasons(corpus).items())
        raise InputError(f"{name} has no document that can be used ({reasons or 'no rows'}): check its files and columns")
    passages = run.stage("passages", PassagesResult, None, lambda: make_passages(run, corpus))
    embed = partial(embed_passages, run, passages, spec, more=more)
    embedded = run.stage("embed", EmbedResult, None, embed, total=passages.rows, unit="texts")
    if embedded.failed:
        bad = [*failed, *embedded.failed]
        rest = run.stage("corpus", CorpusResult, None, lambda: write_corpus(run, corpus.units, bad))
        return _embedded(run, spec, more, name, rest, bad)
    warn(damage_warnings(run.root, embedded.damaged))
    return _Set(corpus, passages, embedded)


def _against(run: Run, spec: EncoderSpec, b: _Set, more: Sequence[str], excerpt: Excerpt) -> dict[str, Any]:
    warn(warnings_of(spec, ["similarity"]))
    a = _read(run, spec, more, "A")
    assert a.corpus is not None
    options = run.config.duplicates
    compare = partial(_compared, run, a.side, b.side)
    records = run.stage("against", list[AgainstRecord], None, compare, total=a.side.rows, unit="texts")
    around = run.stage("margins", list[AroundRecord], None, lambda: _around(run, a.side, b.side, records))
    pairs, matches = against_tables(records, around, [part.documents for part in a.corpus.parts])
    capped, dropped = (sum(getattr(record, name) for record in records) for name in ("texts_capped", "pairs_dropped"))
    best = _by_document(matches)
    unmatched = best.filter(pc.equal(best["pairs"], 0))
    bad = [read_table(file.path) for file in a.corpus.quarantine] if excerpt.output else []
    excerpt.write(pairs, matches=matches, **({"quarantine": pa.concat_tables(bad)} if bad else {}))
    return {
        "threshold": options.threshold,
        "model": spec.model,
        "fingerprint": spec.fingerprint,
        "a": _facts(a),
        "b": _facts(b),
        **pair_facts(pairs),
        "documents_with_match": best.num_rows - unmatched.num_rows,
        "documents_without_match": unmatched.num_rows,
        "complete": not dropped,
        "texts_capped": capped,
        "pairs_dropped": dropped,
        "shown": _shown(excerpt.shown(pairs), a.side, b.side),
        "without_match": _unlike(excerpt.shown(unmatched), a.side),
        **excerpt.facts(pairs),
    }


def _compared(run: Run, a: Side, b: Side) -> list[AgainstRecord]:
    folder, progress = run.scratch("against"), run.progress("against")
    tasks = [AgainstTask(part, tile, b, folder, progress) for part, tile in enumerate(_tiles(run, a))]
    transform = CompareTiles(run.config.duplicates, run.config.neighbors.k, run.runner.threads(len(tasks)))
    return run.job("against", transform, tasks, AgainstRecord)


def _around(run: Run, a: Side, b: Side, records: Sequence[AgainstRecord]) -> list[AroundRecord]:
    pairs = tuple(record.pairs for record in records)
    tasks = [AroundTask(part, tile, a, pairs, run.scratch("around")) for part, tile in enumerate(_tiles(run, b))]
    transform = MeasureAround(run.config.duplicates, run.config.neighbors.k, run.runner.threads(len(tasks)))
    return run.job("around", transform, tasks, AroundRecord)


def _tiles(run: Run, side: Side) -> list[Side]:
    passages_of = dict(zip(side.blocks, side.passages, strict=True))
    return [Side(tile, tuple(passages_of[block] for block in tile)) for tile in plan_tiles(side.blocks, run.config.neighbors)]


def _facts(one: _Set) -> dict[str, Any]:
    facts: dict[str, Any] = {"texts": one.passages.rows}
    if one.corpus is not None:
        facts |= {name: one.corpus.counts[name] for name in ("rows_read", "documents", "quarantined")}
        facts |= {"quarantine": _reasons(one.corpus)}
        facts |= {name: one.embedded.counts[name] for name in ("texts_embedded", "texts_reused", "texts_truncated")}
    return facts


def _reasons(corpus: CorpusResult) -> dict[str, int]:
    return quarantine_reasons(corpus.units, corpus.parts)


def _by_document(matches: pa.Table) -> pa.Table:
    """One row for each document, with the best of its passages and the pairs of all; least similar first."""
    order = [("doc_id", "ascending"), ("best_cosine", "descending"), ("passage_no", "ascending")]
    ranked = matches.sort_by(order).combine_chunks()
    _, first = np.unique(ranked["doc_id"].to_numpy(zero_copy_only=False), return_index=True)
    pairs = np.add.reduceat(ranked["pairs"].to_numpy(), first) if len(first) else first
    best = ranked.take(pa.array(first)).drop_columns("pairs").append_column("pairs", pa.array(pairs))
    return best.sort_by([("best_cosine", "ascending"), ("doc_id", "ascending")])


def _shown(pairs: pa.Table, a: Side, b: Side) -> list[dict[str, Any]]:
    """Pairs with the texts of both."""
    texts = [texts_of(np.unique(pairs[name].to_numpy()), side) for name, side in (("id_a", a), ("id_b", b))]
    return [{**row, "text_a": texts[0][row["id_a"]], "text_b": texts[1][row["id_b"]]} for row in pairs.to_pylist()]


def _unlike(documents: pa.Table, a: Side) -> list[dict[str, Any]]:
    texts = texts_of(np.unique(documents["id"].to_numpy()), a)
    return [{**row, "text": texts[row["id"]]} for row in documents.to_pylist()]
