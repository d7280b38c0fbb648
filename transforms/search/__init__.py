"""Search: answers from a published generation, and similarity of texts.

In: a `Generation` and queries. Out: `Hit`s, best first, each another document with its best passage.
Promises: only files that the query needs are read, each checked against the manifest first; an index that another encoder
built is refused; ties are ordered by document id.
"""

from transforms.search.passages import find_passages
from transforms.search.searcher import EncoderMismatchError, Hit, QueryError, Searcher, matching_spec
from transforms.search.similarity import PairSimilarity, pairwise_similarity

__all__ = [
    "EncoderMismatchError",
    "Hit",
    "PairSimilarity",
    "QueryError",
    "Searcher",
    "find_passages",
    "matching_spec",
    "pairwise_similarity",
]
