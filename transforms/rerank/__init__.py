"""Reranking: a cross-encoder reads the query with each document, and says how well that answers.

In: a query and texts. Out: a logit for each, and its sigmoid: a scale of the cross-encoder's own, never mixed with a cosine.
Promises: the order is that of sentence-transformers' `CrossEncoder.rank`, in fp32 exactly but for ties, which go by document
id; in a lower precision only after logits were compared with the model's own; only safetensors are loaded and no code of a
model is run.
"""

from transforms.rerank.cross_encoder import Reranker, RerankerError, load_reranker
from transforms.rerank.order import Relevance, by_relevance

__all__ = ["Relevance", "Reranker", "RerankerError", "by_relevance", "load_reranker"]
