"""Evaluation: how good rankings, cosines and topics are by what people have judged, and how sure that is.

In: judgements, rankings, cosines, clusters. Out: measures of established libraries (trec_eval, scipy, scikit-learn) with
intervals by resampling, and differences of two systems with a paired test.
Promises: nothing that is judged is dropped without being counted; the same input and seed give the same figures; nothing here
searches or loads a model.
"""

from transforms.evaluation.clusters import CLUSTER_MEASURES, NOISE, ClusterMeasure
from transforms.evaluation.fit import ASYMMETRIC, fit_findings, length_ratio
from transforms.evaluation.intervals import (
    CONFIDENCE,
    Difference,
    Estimate,
    Statistic,
    difference,
    estimate,
    estimate_by_halves,
    mean,
)
from transforms.evaluation.judgements import Judgements, read_judgements
from transforms.evaluation.pairs import BINARY, GRADED, comparable
from transforms.evaluation.retrieval import DEPTH, MEASURES, retrieval_measures

__all__ = [
    "ASYMMETRIC",
    "BINARY",
    "CLUSTER_MEASURES",
    "CONFIDENCE",
    "DEPTH",
    "GRADED",
    "MEASURES",
    "NOISE",
    "ClusterMeasure",
    "Difference",
    "Estimate",
    "Judgements",
    "Statistic",
    "comparable",
    "difference",
    "estimate",
    "estimate_by_halves",
    "fit_findings",
    "length_ratio",
    "mean",
    "read_judgements",
    "retrieval_measures",
]
