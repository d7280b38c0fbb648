"""`corpusbeam topics --assign`: themes and topics of new documents from the published generation, nothing clustered again."""

import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.config import Config
from pipelines.published_topics import layer_of, published_topics
from pipelines.stage import Run
from pipelines.text_sets import TextSet, local_runner, published_set, read_set, run_in, set_facts, set_line, tiles_of
from transforms.duplicates import Side
from transforms.embedding import EncoderSpec
from transforms.files import join, read_table, remove, write_table
from transforms.generations import Generation
from transforms.reports import clean, fit, passage_label
from transforms.topics import (
    AssignRecord,
    AssignTask,
    ParentTopics,
    Step,
    assign_texts,
    lonely_cosine,
    new_assignments,
    remember_parent,
)
from transforms.topics.beam import TopicsStep
from transforms.vectors import stored_shards

# What the runner's errors call this use of the verb.
_USE = "topics --assign"
_SHOWN = 20


def assign_topics(
    config: Config, generation: Generation, spec: EncoderSpec, floor: float | None, output: str | None
) -> dict[str, Any]:
    """Give the documents that `config` reads the themes and topics of a published generation, whose encoder `spec` is.

    Texts whose nearest published text has a cosine below `floor` get none; None takes what one in a hundred of the published
    texts does not have to its nearest. The rows go to `assignments.parquet` in the folder `output`, unusable ones to
    `quarantine.parquet`.

    Raises GenerationError when the generation has no topics, InputError when no document can be used, CorruptFileError for a
    published file that is not what was written.
    """
    published = published_topics(generation)
    if floor is None:
        floor = lonely_cosine(generation.checked(file) for file in generation.manifest.under("neighbors"))
    with tempfile.TemporaryDirectory(prefix="corpusbeam-") as work, local_runner(config, _USE) as runner:
        of_b, run = run_in(f"{work}/b", config, runner), run_in(f"{work}/a", config, runner)
        b = published_set(of_b, generation, spec)
        a = read_set(run, spec, stored_shards(generation.root, spec.fingerprint), "the input")
        assert a.corpus is not None
        records = run.stage("assign", list[AssignRecord], None, lambda: _assigned(run, a.side, b, published, floor))
        themes = None if published.themes is None else read_table(published.themes.path)
        tables = read_table(published.topics.path), themes
        documents = [part.documents for part in a.corpus.parts]
        table = new_assignments(records, documents, *tables, layer_of(published, run.config.topics))
        return {
            "root": generation.root,
            "generation": generation.id,
            "model": spec.model,
            "fingerprint": spec.fingerprint,
            "floor": floor,
            "new": set_facts(a),
            "published": set_facts(b),
            **_answer(table, published, output, a),
        }


def assign_lines(found: dict[str, Any]) -> list[str]:
    """What `assign_topics` found as lines for a terminal."""
    width = shutil.get_terminal_size((100, 24)).columns
    lines = [
        f"new        {set_line(found['new'])}",
        f"published  generation {found['generation']} of {found['root']}, {found['published']['texts']:,} different texts",
        f"model {found['model']} ({found['fingerprint'][:12]}), floor {found['floor']:.3f}",
        f"{found['passages']:,} passages: {found['in_topic']:,} in a topic, {found['noise']:,} noise near one, "
        f"{found['without_topic']:,} without a topic; {found['known']:,} are published",
    ]
    if found["topics"]:
        lines += ["", "topics by passages, noise near them included"]
        lines += [f"  {row['passages']:>7,}  {fit(row['title'], width - 11)}" for row in found["topics"]]
    if found["shown"]:
        lines += ["", f"passages ({len(found['shown']):,} of {found['passages']:,}), least like the corpus first"]
    for row in found["shown"]:
        cosine = "     " if row["nearest_cosine"] is None else f"{row['nearest_cosine']:.3f}"
        nothing = "nothing like it is published" if _lonely(row, found["floor"]) else "no topic"
        name = row["topic_title"] or row["theme_title"] or nothing
        near = "" if row["topic_id"] >= 0 or row["topic_uid"] is None else "noise, near "
        label = clean(passage_label(row["doc_id"], row["passage_no"]))
        lines.append(f"  {cosine}  {fit(f'{label}: {near}{name}', width - 9)}")
    if found["output"] is not None:
        lines += ["", f"table written to {found['output']}"]
    return lines


def _lonely(row: dict[str, Any], floor: float) -> bool:
    """Whether a passage is like nothing published. Others may have no topic either: where they are noise, without themes."""
    cosine = row["nearest_cosine"]
    # As it was compared: in float32.
    return not row["known"] and (cosine is None or bool(cosine < np.float32(floor)))


def _assigned(run: Run, a: Side, b: TextSet, published: ParentTopics, floor: float) -> list[AssignRecord]:
    """Compare the texts of `a` with all that are published, tile by tile."""
    options = run.config.topics

    def job(step: Step, tasks: Sequence[Any]) -> list[Any]:
        transform = TopicsStep(step, options)
        return run.job(step.__name__, transform, tasks, transform.record_type)

    said = remember_parent(published, b.passages.files, run.scratch("published"), job)
    tiles = tiles_of(run, a)
    tasks = [
        AssignTask(
            part=part,
            a=tile,
            b=b.side,
            labels=said.before,
            layers=len(published.resolutions),
            layer=layer_of(published, options),
            k=run.config.neighbors.k,
            floor=floor,
            directory=run.scratch("assigned"),
            threads=run.runner.threads(len(tiles)),
            progress=run.progress("assign"),
        )
        for part, tile in enumerate(tiles)
    ]
    return job(assign_texts, tasks)


def _answer(table: pa.Table, published: ParentTopics, output: str | None, a: TextSet) -> dict[str, Any]:
    """What there is to say of the table, which is written to the folder `output`."""
    if output is not None:
        assert a.corpus is not None
        bad = [read_table(file.path) for file in a.corpus.quarantine]
        write_table(join(output, "assignments.parquet"), table)
        path = join(output, "quarantine.parquet")
        if bad:
            write_table(path, pa.concat_tables(bad))
        else:
            remove(path)  # one of an earlier use would be taken for this one's
    in_topic, assigned = (pc.greater_equal(table[name], 0) for name in ("topic_id", "assigned_topic_id"))
    near = pc.and_(assigned, pc.invert(in_topic))
    nothing = pc.invert(assigned)
    sizes = pc.value_counts(table["topic_uid"].drop_null().combine_chunks()).to_pylist()
    titles = dict(zip(*(read_table(published.topics.path)[name].to_pylist() for name in ("topic_uid", "title")), strict=True))
    topics = [{"topic_uid": row["values"], "title": titles[row["values"]], "passages": row["counts"]} for row in sizes]
    order = [("nearest_cosine", "ascending"), ("doc_id", "ascending"), ("passage_no", "ascending")]
    return {
        "passages": table.num_rows,
        "in_topic": _count(in_topic),
        "noise": _count(near),
        "without_topic": _count(nothing),
        "known": _count(table["known"]),
        "topics": sorted(topics, key=lambda row: (-row["passages"], row["topic_uid"]))[:_SHOWN],
        "shown": table.sort_by(order).slice(0, _SHOWN).to_pylist(),
        "output": output,
    }


def _count(flags: pa.ChunkedArray) -> int:
    return int(pc.sum(flags).as_py() or 0)
