"""Search: answers from a published generation, and similarity of texts.

In: a `Generation` and queries. Out: `Hit`s, best first, each another document (or group of duplicates) with its best passage.
Promises: only files that the query needs are read, each checked against the manifest first; an index that another encoder
built is refused; ties are ordered by document id; the score of a query and a document does not depend on what is asked beside
it; a filter leaves the k best of what fits, never what fits of the k best.
"""

from transforms.search.allowed import check_where
from transforms.search.batch import HITS_SCHEMA, BatchOptions, HitsRecord, QueriesPart, search_part
from transforms.search.labels import Theme, Topic
from transforms.search.nearest import nearest
from transforms.search.owners import Owners
from transforms.search.passages import find_passages
from transforms.search.rankers import Mode
from transforms.search.reranked import CANDIDATES, check_texts, rerank_passages
from transforms.search.searcher import (
    EncoderMismatchError,
    GenerationSearcher,
    Hit,
    Place,
    QueryError,
    check_mode,
    check_queries,
    matching_spec,
)
from transforms.search.similarity import PairSimilarity, pairwise_similarity, rank_alike
from transforms.search.vector_index import Found
from transforms.search.where import Where, WhereError, parse_where

__all__ = [
    "CANDIDATES",
    "HITS_SCHEMA",
    "BatchOptions",
    "EncoderMismatchError",
    "Found",
    "GenerationSearcher",
    "Hit",
    "HitsRecord",
    "Mode",
    "Owners",
    "PairSimilarity",
    "Place",
    "QueriesPart",
    "QueryError",
    "Theme",
    "Topic",
    "Where",
    "WhereError",
    "check_mode",
    "check_queries",
    "check_texts",
    "check_where",
    "find_passages",
    "matching_spec",
    "nearest",
    "pairwise_similarity",
    "parse_where",
    "rank_alike",
    "rerank_passages",
    "search_part",
]
