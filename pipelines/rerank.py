"""Reranking what a search has found: a cross-encoder reads the query with each text."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.errors import warn
from transforms.corpus import InputError
from transforms.generations import Generation
from transforms.rerank import Relevance, Reranker, RerankerError, by_relevance, load_reranker
from transforms.search import find_passages

# The best documents of the search, which a cross-encoder puts into a new order.
CANDIDATES = 100
# Queries whose texts are in memory together.
_QUERIES = 64

_Passage = tuple[str, int]


def find_reranker(name: str, *, optional: bool = False) -> Reranker | None:
    """Load a cross-encoder. Raises RerankerError where it cannot be loaded; with `optional` that is a warning, and None."""
    try:
        return load_reranker(name)
    except RerankerError as error:
        if not optional:
            raise
        warn([f"{error}; results are in the order of the search, not reranked"])
        return None


def rerank_hits(query: str, hits: Sequence[Mapping[str, Any]], k: int, reranker: Reranker | None) -> list[dict[str, Any]]:
    """The best `k` of the hits of one query by a cross-encoder, or without one the first `k` as they are.

    Each hit has its new `rank`, the search's own as `search_rank`, `rerank_logit` and its sigmoid `rerank_score`
    (None without a cross-encoder), and `reranked`. `score` stays the search's. Raises InputError where a hit has no text.
    """
    if reranker is None:
        return [{**hit, **_facts(hit["rank"], None)} for hit in hits[:k]]
    _check_texts([hit["text"] for hit in hits])
    logits = reranker.logits([(query, hit["text"]) for hit in hits])
    ranked = by_relevance(logits, [hit["doc_id"] for hit in hits])[:k]
    return [{**hits[one.place], **_facts(hits[one.place]["rank"], one), "rank": rank} for rank, one in enumerate(ranked, 1)]


def rerank_passages(
    generation: Generation, queries: Mapping[str, str], passages: Mapping[str, Sequence[_Passage]], reranker: Reranker
) -> dict[str, list[_Passage]]:
    """The passages that were found for each query, by id, in the cross-encoder's order. Raises InputError without texts."""
    found: dict[str, list[_Passage]] = {}
    ids = list(passages)
    for low in range(0, len(ids), _QUERIES):
        some = ids[low : low + _QUERIES]
        doc_ids = {doc_id for query in some for doc_id, _ in passages[query]}
        texts = {passage: row["text"] for passage, row in find_passages(generation, doc_ids, ["text"]).items()}
        pairs = [(query, passage) for query in some for passage in passages[query]]
        _check_texts([texts[passage] for _, passage in pairs])
        logits = reranker.logits([(queries[query], texts[passage]) for query, passage in pairs])
        at = 0
        for query in some:
            own = passages[query]
            order = by_relevance(logits[at : at + len(own)], [doc_id for doc_id, _ in own])
            found[query] = [own[one.place] for one in order]
            at += len(own)
    return found


def _facts(search_rank: int, one: Relevance | None) -> dict[str, Any]:
    logit, score = (None, None) if one is None else (one.logit, one.sigmoid)
    return {"search_rank": search_rank, "rerank_logit": logit, "rerank_score": score, "reranked": one is not None}


def _check_texts(texts: Sequence[str | None]) -> None:
    if None in texts:
        raise InputError("the generation keeps no texts (corpus.keep_text=false): a cross-encoder has nothing to read")
