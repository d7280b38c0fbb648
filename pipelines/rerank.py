"""Reranking what a search has found: a cross-encoder reads the query with each text."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.errors import warn
from transforms.rerank import Relevance, Reranker, RerankerError, by_relevance, load_reranker
from transforms.search import check_texts


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
    check_texts([hit["text"] for hit in hits])
    logits = reranker.logits([(query, hit["text"]) for hit in hits])
    ranked = by_relevance(logits, [hit["doc_id"] for hit in hits])[:k]
    return [{**hits[one.place], **_facts(hits[one.place]["rank"], one), "rank": rank} for rank, one in enumerate(ranked, 1)]


def _facts(search_rank: int, one: Relevance | None) -> dict[str, Any]:
    logit, score = (None, None) if one is None else (one.logit, one.sigmoid)
    return {"search_rank": search_rank, "rerank_logit": logit, "rerank_score": score, "reranked": one is not None}
