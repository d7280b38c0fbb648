"""`corpusbeam duplicates --against`: which documents of one set, A, say what a document of another, B, says.

B is the published generation, or files; both are read as `pipelines.text_sets` says.
"""

import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.config import Config
from pipelines.errors import warn
from pipelines.excerpt import Excerpt, output_lines, pair_facts, pair_lines, pairs_heading
from pipelines.reindex import choose_encoder
from pipelines.stage import Run
from pipelines.text_sets import TextSet, local_runner, published_set, read_set, run_in, set_facts, set_line, tiles_of
from transforms.duplicates import AgainstRecord, AgainstTask, AroundRecord, AroundTask, Side, against_tables, texts_of
from transforms.duplicates.beam import CompareTiles, MeasureAround
from transforms.embedding import EncoderSpec, warnings_of
from transforms.files import read_table
from transforms.generations import Generation
from transforms.reports import clean, fit, passage_label
from transforms.vectors import stored_shards

# What the runner's errors call this use of the verb.
_USE = "duplicates --against"


def against_published(config: Config, generation: Generation, spec: EncoderSpec, excerpt: Excerpt) -> dict[str, Any]:
    """Compare the documents that `config` reads, A, with those of a published generation, B, whose encoder `spec` is.

    A text that the generation's root has a vector of is not embedded again. See `Excerpt` for what is in the answer.

    Raises InputError when nothing of A can be used, CorruptFileError for a published file that is not what was written.
    """
    with tempfile.TemporaryDirectory(prefix="corpusbeam-") as work, local_runner(config, _USE) as runner:
        b = published_set(run_in(f"{work}/b", config, runner), generation, spec)
        facts = {"root": generation.root, "generation": generation.id}
        more = stored_shards(generation.root, spec.fingerprint)
        return facts | _against(run_in(f"{work}/a", config, runner), spec, b, more, excerpt)


def against_files(config: Config, files: Sequence[str], excerpt: Excerpt) -> dict[str, Any]:
    """Compare the documents of `files`, A, with those that `config` reads, B, both embedded by its encoder.

    What comes back, and what is raised, is as for `against_published`.
    """
    with tempfile.TemporaryDirectory(prefix="corpusbeam-") as work, local_runner(config, _USE) as runner:
        run_b = run_in(f"{work}/b", config, runner)
        spec = choose_encoder(run_b, None)
        b = read_set(run_b, spec, (), "B")
        of_a = config.model_copy(update={"corpus": config.corpus.model_copy(update={"input": list(files), "sample": None})})
        more = stored_shards(run_b.root, spec.fingerprint)
        facts: dict[str, Any] = {"root": None, "generation": None}
        return facts | _against(run_in(f"{work}/a", of_a, runner), spec, b, more, excerpt)


def against_lines(found: dict[str, Any]) -> list[str]:
    """What either function found as lines for a terminal."""
    a, b = found["a"], found["b"]
    published = f"generation {found['generation']} of {found['root']}, {b['texts']:,} different texts"
    lines = [
        f"A  {set_line(a)}",
        f"B  {published if found['root'] else set_line(b)}",
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


def _against(run: Run, spec: EncoderSpec, b: TextSet, more: Sequence[str], excerpt: Excerpt) -> dict[str, Any]:
    warn(warnings_of(spec, ["similarity"]))
    a = read_set(run, spec, more, "A")
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
        "a": set_facts(a),
        "b": set_facts(b),
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
    tasks = [AgainstTask(part, tile, b, folder, progress) for part, tile in enumerate(tiles_of(run, a))]
    transform = CompareTiles(run.config.duplicates, run.config.neighbors.k, run.runner.threads(len(tasks)))
    return run.job("against", transform, tasks, AgainstRecord)


def _around(run: Run, a: Side, b: Side, records: Sequence[AgainstRecord]) -> list[AroundRecord]:
    pairs = tuple(record.pairs for record in records)
    tasks = [AroundTask(part, tile, a, pairs, run.scratch("around")) for part, tile in enumerate(tiles_of(run, b))]
    transform = MeasureAround(run.config.duplicates, run.config.neighbors.k, run.runner.threads(len(tasks)))
    return run.job("around", transform, tasks, AroundRecord)


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
