"""`corpusbeam plan`: what a reindex would do, without loading the model and without publishing."""

from dataclasses import asdict
from typing import Any

from pipelines.changes import find_changes
from pipelines.config import Config
from pipelines.differences import Difference, differences
from pipelines.embed import damage_warnings, embed_tasks
from pipelines.errors import warn
from pipelines.estimate import measured_rate
from pipelines.gates import Allowed, deletions_refused, empty_refused
from pipelines.index_estimate import plan_index
from pipelines.labels import settings_digest, user_labels
from pipelines.neighbors import is_approximate
from pipelines.queries import user_queries
from pipelines.reindex import begin, choose_encoder, find_passages, model_warnings, read_documents
from pipelines.stage import Run
from transforms.embedding import EncoderSpec, find_profile
from transforms.generations import Generation, open_generation, read_current
from transforms.index import IndexTypeError
from transforms.reports import changes_line
from transforms.vectors import MissingRecord
from transforms.vectors.beam import CountMissing


def make_plan(config: Config) -> dict[str, Any]:
    """Read the corpus, look its texts up in the vector store, and compare with the published generation.

    Seconds are estimated from the rate of an earlier run (see `measured_rate`), and None without one.
    """
    with begin(config) as run:
        return _make_plan(run)


def _make_plan(run: Run) -> dict[str, Any]:
    config = run.config
    queries, labels = user_queries(config), user_labels(config)
    spec = choose_encoder(run, read_current(config.root))
    corpus = read_documents(run)
    passages = find_passages(run, corpus)
    published = _published(config.root)
    manifest = None if published is None else published.manifest
    found = find_changes(run, corpus, manifest)
    differing = [] if manifest is None else differences(manifest.encoder, manifest.configuration, spec, config)
    records = run.job("missing", CountMissing(), embed_tasks(run, passages, spec), MissingRecord)
    damaged = sorted({path for record in records for path in record.damaged})
    warnings = [*model_warnings(spec), *damage_warnings(run.root, damaged)]
    warn(warnings)
    dimension = _dimension(spec, published)
    missing = sum(record.texts for record in records)
    characters = sum(record.characters for record in records)
    rate = measured_rate(published, spec)
    index, no_index = None, None
    if dimension is not None:
        try:
            index = plan_index(config, published, passages.rows, corpus.passages, dimension)
        except IndexTypeError as error:
            no_index = str(error)
    return {
        "root": config.root,
        "published": None if published is None else published.id,
        "rows_read": corpus.counts["rows_read"],
        "documents": corpus.rows,
        "quarantined": corpus.counts["quarantined"],
        "distinct_texts": passages.rows,
        "texts_to_embed": missing,
        "texts_stored": passages.rows - missing,
        "characters_to_embed": characters,
        "model": spec.model,
        "fingerprint": spec.fingerprint,
        "profile": spec.profile,
        "metric": spec.metric,
        "dimension": dimension,
        "bytes_to_store": None if dimension is None else 4 * dimension * missing,
        "warnings": warnings,
        "encoder_changed": published is not None and published.manifest.encoder["fingerprint"] != spec.fingerprint,
        "settings_changed": published is not None
        and published.manifest.configuration_digest != settings_digest(config, queries, labels),
        "embedding_seconds": None if rate is None else round(rate.seconds(missing, characters), 1),
        "rate_of": None if rate is None else rate.generation,
        "rate_of_same_model": None if rate is None else rate.same_model,
        "changes": {"since": found.since, **found.counts},
        "graph": "approximate" if is_approximate(config, passages.rows) else "exact",
        "differences": [asdict(difference) for difference in differing],
        "index": None if index is None else index.as_dict(),
        "would_refuse": empty_refused(run, corpus, Allowed()) or deletions_refused(config, found, Allowed()) or no_index,
    }


def plan_lines(plan: dict[str, Any]) -> list[str]:
    """The same as lines for a terminal."""
    seconds = plan["embedding_seconds"]
    model = "" if plan["rate_of_same_model"] else " (of another model)"
    time = (
        "unknown: no kept generation embedded 100 texts with this precision"
        if seconds is None
        else f"about {seconds:,} s at the rate of {plan['rate_of']}{model}"
    )
    lines = [
        f"published        {plan['published'] or 'nothing yet'}",
        f"corpus           {plan['rows_read']:,} rows, {plan['documents']:,} documents, {plan['quarantined']:,} quarantined",
        f"changes          {changes_line(plan['changes'])}",
        f"texts            {plan['distinct_texts']:,} distinct, {plan['texts_stored']:,} have a stored vector",
        f"to embed         {plan['texts_to_embed']:,} texts, {plan['characters_to_embed']:,} characters",
        f"embedding time   {time}",
        f"model            {plan['model']} ({plan['fingerprint'][:12]}), profile {plan['profile'] or 'none'}",
        f"vectors          {_vectors(plan)}",
        f"index            {_index(plan)}",
    ]
    if plan["graph"] != "exact":
        lines.append(
            "neighbour graph  approximate: more texts than neighbors.exact_up_to; recall is measured, see neighbors.recall_gate"
        )
    if plan["encoder_changed"]:
        lines.append("The encoder is not the one of the published generation: every text is embedded again.")
    if plan["settings_changed"]:
        lines.append("Settings that change results differ from the published generation's: a new generation will be published.")
    lines += [f"  {Difference(**difference).line()}" for difference in plan["differences"]]
    if plan["would_refuse"]:
        lines.append(f"A reindex would refuse: {plan['would_refuse']}")
    return lines


def _vectors(plan: dict[str, Any]) -> str:
    if plan["dimension"] is None:
        return f"{plan['metric']}, dimension unknown before the model is loaded"
    return f"{plan['metric']}, {plan['dimension']} dimensions, {plan['bytes_to_store'] / 1e6:,.1f} MB to store"


def _index(plan: dict[str, Any]) -> str:
    index = plan["index"]
    if index is None:
        return "not possible, see below" if plan["dimension"] else "unknown before the model is loaded"
    rate = "at stated rates" if index["seconds_of"] is None else f"as {index['seconds_of']} took"
    disk, search, stage = (_size(index[name]) for name in ("file_bytes", "search_bytes", "stage_bytes"))
    return (
        f"{index['type']}, {disk} on disk, {search} of memory to search; to build and measure it whole about "
        f"{index['seconds']:,.0f} s ({rate}) and {stage} of memory"
    )


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def _dimension(spec: EncoderSpec, published: Generation | None) -> int | None:
    """The dimension of the vectors as far as it is known without the model: from what is published, or from the profile."""
    if published is not None and published.manifest.encoder["fingerprint"] == spec.fingerprint:
        return int(published.manifest.encoder["dimension"])
    profile = find_profile(spec.profile) if spec.profile else None
    return None if profile is None else profile.dimension_after(spec.truncate_dim)


def _published(root: str) -> Generation | None:
    return None if read_current(root) is None else open_generation(root)
