"""How well documents are found, by relevance judgements."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.evaluate_words import rank_by_words
from pipelines.evaluated import Compared, Measured, Sampling, Section, compare_columns, measure_columns
from pipelines.evaluation_folder import TABLES, measure_column
from pipelines.rankers import Ranked, System, rank
from transforms.evaluation import MEASURES, Judgements, fit_findings, length_ratio, mean, retrieval_measures
from transforms.files import read_table
from transforms.generations import Generation
from transforms.rerank import Reranker
from transforms.search import find_passages, rerank_passages

TASK = "retrieval"
_STATISTICS = dict.fromkeys(MEASURES, mean)
# Unknown documents that are named.
_EXAMPLES = 5


def evaluate_retrieval(
    judgements: Judgements, systems: Sequence[System], sampling: Sampling, reranker: Reranker | None = None
) -> Section:
    """Rank for every query with every system, with a `reranker` also in its order, and compare each with the first.

    A published system whose generation has a lexical index also ranks by words, and by both.
    """
    rankings: dict[str, Ranked] = {}
    weights: dict[str, float] = {}
    findings: list[str] = []
    for system in systems:
        if system.published:
            words = rank_by_words(system, judgements)
            rankings |= words.rankings
            weights |= {} if words.weight is None else {system.name: words.weight}
            findings += [] if words.finding is None else [words.finding]
        else:
            rankings[system.name] = rank(system, judgements.texts)
        ranked = rankings[system.name]
        if reranker is not None:
            rankings[f"{system.name} + {reranker.name}"] = _reranked(system, ranked, judgements, reranker)
    values = {name: retrieval_measures(judgements.relevance, ranked.documents) for name, ranked in rankings.items()}
    rows: list[Measured] = []
    compared: list[Compared] = []
    first, *others = values
    for name, found in values.items():
        rows += measure_columns(TASK, name, {measure: [column] for measure, column in found.items()}, _STATISTICS, sampling)
    for name in others:
        both = {measure: (values[first][measure], values[name][measure]) for measure in MEASURES}
        compared += compare_columns(TASK, (first, name), both, [], _STATISTICS, sampling)
    facts: dict[str, Any] = {
        "queries": len(judgements.texts),
        "judged": judgements.judged,
        "left_out": judgements.left_out,
        "seconds_per_query": {name: ranked.seconds / len(judgements.texts) for name, ranked in rankings.items()},
        "hybrid_weight": weights,
        "exact_search": {system.name: not system.published for system in systems},
    }
    for generation in {s.generation.id: s.generation for s in systems if s.generation is not None}.values():
        unknown = _unknown(judgements, generation)
        facts.setdefault("unknown_documents", {})[generation.id] = len(unknown)
        findings += _unknown_findings(judgements, unknown, generation)
    for system in systems:
        findings += _fit(system, judgements)
    tables = {"queries": _queries(judgements, values), "rankings": _rankings(rankings)}
    return Section(TASK, facts, rows, compared, list(dict.fromkeys(findings)), tables)


def _reranked(system: System, ranked: Ranked, judgements: Judgements, reranker: Reranker) -> Ranked:
    assert system.generation is not None
    started = time.perf_counter()
    texts = [judgements.texts[query] for query in ranked.passages]
    orders = rerank_passages(system.generation, texts, list(ranked.passages.values()), reranker)
    passages = {
        query: [found[one.place] for one in order]
        for (query, found), order in zip(ranked.passages.items(), orders, strict=True)
    }
    return Ranked(passages, ranked.seconds + time.perf_counter() - started)


def _unknown(judgements: Judgements, generation: Generation) -> list[str]:
    """Judged documents that the generation does not have."""
    judged = {doc_id for grades in judgements.relevance.values() for doc_id in grades}
    known = {doc_id for doc_id, _ in find_passages(generation, judged, [])}
    return sorted(judged - known)


def _unknown_findings(judgements: Judgements, unknown: Sequence[str], generation: Generation) -> list[str]:
    if not unknown:
        return []
    absent = set(unknown)
    pairs = [grade for grades in judgements.relevance.values() for doc_id, grade in grades.items() if doc_id in absent]
    return [
        f"{len(unknown):,} judged documents are not in generation {generation.id} ({', '.join(unknown[:_EXAMPLES])}"
        f"{' …' if len(unknown) > _EXAMPLES else ''}): {sum(grade > 0 for grade in pairs):,} of {len(pairs):,} judgements of "
        "them say relevant, and count as not found."
    ]


def _fit(system: System, judgements: Judgements) -> list[str]:
    """Whether the model suits the lengths of queries and passages; nothing where the generation keeps no texts."""
    assert system.generation is not None
    # Documents are in parts by the hash of their ids: one part is a sample.
    table = read_table(system.generation.checked(system.generation.manifest.under("documents")[0]))
    if "text" not in table.column_names or not table.num_rows:
        return []
    lengths = [np.array([len(text) for text in texts]) for texts in (judgements.texts.values(), table["text"].to_pylist())]
    return fit_findings(system.spec, length_ratio(*lengths))


def _queries(judgements: Judgements, values: Mapping[str, Mapping[str, np.ndarray]]) -> pa.Table:
    rows = [
        {"system": system, "query_id": query, "judged": len(grades), "relevant": sum(grade > 0 for grade in grades.values())}
        | {measure_column(measure): float(column[i]) for measure, column in found.items()}
        for system, found in values.items()
        for i, (query, grades) in enumerate(judgements.relevance.items())
    ]
    return pa.Table.from_pylist(rows, TABLES["queries"])


def _rankings(rankings: Mapping[str, Ranked]) -> pa.Table:
    rows = [
        (system, query, place, doc_id, passage_no)
        for system, ranked in rankings.items()
        for query, found in ranked.passages.items()
        for place, (doc_id, passage_no) in enumerate(found, 1)
    ]
    schema = TABLES["rankings"]
    columns = zip(*rows, strict=True) if rows else [[] for _ in schema.names]
    return pa.table([pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)], schema=schema)
