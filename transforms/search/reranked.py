"""Passages that a search has found, in the order of a cross-encoder."""

from collections.abc import Sequence

from transforms.corpus import InputError
from transforms.generations import Generation
from transforms.rerank import Relevance, Reranker, by_relevance
from transforms.search.passages import Passage, find_passages

# The best documents of a search, which a cross-encoder puts into a new order.
CANDIDATES = 100
# Queries whose texts are in memory together.
_QUERIES = 64


def rerank_passages(
    generation: Generation, queries: Sequence[str], found: Sequence[Sequence[Passage]], reranker: Reranker
) -> list[list[Relevance]]:
    """For each query what the cross-encoder says of the passages found for it, the most relevant first, ties by document
    id. Raises InputError where the generation keeps no texts.
    """
    orders: list[list[Relevance]] = []
    for low in range(0, len(queries), _QUERIES):
        some = range(low, min(low + _QUERIES, len(queries)))
        rows = find_passages(generation, {doc_id for i in some for doc_id, _ in found[i]}, ["text"])
        texts = [[rows[passage]["text"] for passage in found[i]] for i in some]
        check_texts([text for own in texts for text in own])
        logits = reranker.logits([(queries[i], text) for i, own in zip(some, texts, strict=True) for text in own])
        at = 0
        for i in some:
            doc_ids = [doc_id for doc_id, _ in found[i]]
            orders.append(by_relevance(logits[at : at + len(doc_ids)], doc_ids))
            at += len(doc_ids)
    return orders


def check_texts(texts: Sequence[str | None]) -> None:
    """Raise InputError when one is None: a cross-encoder has nothing to read."""
    if None in texts:
        raise InputError("the generation keeps no texts (corpus.keep_text=false): a cross-encoder has nothing to read")
