"""`corpusbeam duplicates`: the pairs and groups of the published generation, as they are or at a higher threshold."""

import shutil
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.config import ConfigurationError
from pipelines.excerpt import Excerpt, output_lines, pair_facts, pair_lines, pairs_heading
from transforms.duplicates import CAPPED, DuplicatesOptions, is_current, raise_threshold
from transforms.files import read_json, read_table
from transforms.generations import Generation, GenerationError
from transforms.reports import clean, fit, passage_label
from transforms.search import find_passages

# Of so many groups, the largest first, so many members are shown.
_GROUPS, _MEMBERS = 10, 5

_Passage = tuple[str, int]


def published_duplicates(generation: Generation, threshold: float | None, excerpt: Excerpt) -> dict[str, Any]:
    """Pairs and groups of a generation at `threshold`, by default its own; see `Excerpt` for what is shown and written.

    Raises ConfigurationError for a threshold below the published one, GenerationError for a generation of an earlier version,
    CorruptFileError for a published file that is not what was written.
    """
    options = DuplicatesOptions(**generation.manifest.configuration["duplicates"])
    published = options.threshold
    if threshold is not None and threshold < published:
        raise ConfigurationError(
            f"--threshold {threshold!r} is below {published!r}, with which generation {generation.id} was published: pairs "
            f"below were not kept; run `corpusbeam reindex --set duplicates.threshold={threshold!r}` with its other settings"
        )
    options = options.model_copy(update={"threshold": published if threshold is None else threshold})
    pairs = read_table(generation.path("duplicates/pairs.parquet"))
    if not is_current(pairs.schema):
        raise GenerationError(
            f"generation {generation.id} was published by an earlier version, whose duplicates had other columns: run "
            "`corpusbeam reindex` once, which takes over its vectors and graph"
        )
    texts = read_table(generation.path("duplicates/texts.parquet"))
    documents, graph = (
        [generation.checked(file) for file in generation.manifest.under(name)] for name in ("documents", "neighbors")
    )
    raised = raise_threshold(pairs, texts, documents, graph, options)
    excerpt.write(raised.pairs, groups=raised.groups)
    shown, groups = excerpt.shown(raised.pairs).to_pylist(), _groups(raised.groups)
    wanted = {pair[f"doc_id_{side}"] for pair in shown for side in "ab"}
    wanted |= {member["doc_id"] for group in groups for member in (group["kept"], *group["others"])}
    rows = find_passages(generation, wanted, ["text"])
    texts_of = {passage: row["text"] for passage, row in rows.items()}
    # What is said of the whole stage stays true of a part of its pairs, but for the cap.
    stage = read_json(generation.path("metrics.json"))["stages"]["duplicates"]
    reasons = [reason for reason in stage["incomplete_because"] if reason != CAPPED or raised.texts_capped]
    duplicates = raised.groups.filter(pc.not_equal(raised.groups["doc_id"], raised.groups["kept_doc_id"]))
    return {
        "root": generation.root,
        "generation": generation.id,
        "published_threshold": published,
        "threshold": options.threshold,
        **pair_facts(raised.pairs),
        "groups": pc.count_distinct(raised.groups["group_id"]).as_py(),
        "duplicate_documents": pc.count_distinct(duplicates["doc_id"]).as_py(),
        "complete": not reasons,
        "incomplete_because": reasons,
        "texts_capped": raised.texts_capped,
        "shown": [_with_texts(pair, texts_of) for pair in shown],
        "groups_shown": [
            {**group, "kept": _named(group["kept"], texts_of), "others": [_named(one, texts_of) for one in group["others"]]}
            for group in groups
        ],
        **excerpt.facts(raised.pairs),
    }


def published_lines(found: dict[str, Any]) -> list[str]:
    """The same as lines for a terminal."""
    width = shutil.get_terminal_size((100, 24)).columns
    of = "" if found["threshold"] == found["published_threshold"] else f" (published with {found['published_threshold']!r})"
    lines = [
        f"generation {found['generation']}, threshold {found['threshold']!r}{of}",
        f"{found['groups']:,} groups; {found['duplicate_documents']:,} documents have a passage that another one stands for",
    ]
    if not found["complete"]:
        capped = f"; a cap has left out pairs of {found['texts_capped']:,} texts" if found["texts_capped"] else ""
        lines.append(f"NOT COMPLETE ({', '.join(found['incomplete_because'])}){capped}: the report says what to do")
    lines += ["", pairs_heading(found), *pair_lines(found["shown"], width)]
    if groups := found["groups_shown"]:
        lines += ["", f"{found['groups']:,} groups, of which the largest {len(groups):,}"]
        for group in groups:
            lines.append(f"  {group['size']:,} passages")
            lines.append(f"    {'kept':<7}{_label(group['kept'], width - 11)}")
            lines += [f"    {one['cosine_to_kept']:.3f}  {_label(one, width - 11)}" for one in group["others"]]
            if left := group["size"] - 1 - len(group["others"]):
                lines.append(f"           and {left:,} more")
    return [*lines, *output_lines(found)]


def _groups(table: pa.Table) -> list[dict[str, Any]]:
    """The largest groups, each with its kept passage and the first others, which are the most similar ones."""
    first = table.filter(
        pc.and_(
            pc.equal(table["doc_id"], table["kept_doc_id"]),
            pc.equal(table["passage_no"], table["kept_passage_no"]),
        )
    )
    largest = first.sort_by([("size", "descending"), ("group_id", "ascending")]).slice(0, _GROUPS)
    groups = []
    for kept in largest.to_pylist():
        members = table.filter(pc.equal(table["group_id"], kept["group_id"])).slice(1, _MEMBERS)
        facts = {name: kept[name] for name in ("group_id", "size", "component_id", "min_cosine")}
        groups.append({**facts, "kept": kept, "others": members.to_pylist()})
    return groups


def _named(member: dict[str, Any], texts: dict[_Passage, str | None]) -> dict[str, Any]:
    names = ("doc_id", "passage_no", "cosine_to_kept")
    return {**{name: member[name] for name in names}, "text": texts.get((member["doc_id"], member["passage_no"]))}


def _with_texts(pair: dict[str, Any], texts: dict[_Passage, str | None]) -> dict[str, Any]:
    return pair | {f"text_{side}": texts.get((pair[f"doc_id_{side}"], pair[f"passage_no_{side}"])) for side in "ab"}


def _label(member: dict[str, Any], width: int) -> str:
    label = clean(passage_label(member["doc_id"], member["passage_no"]))
    return fit(label if member["text"] is None else f"{label}: {member['text']}", width)
