"""Spherical k-means: a given number of topics, no noise."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from transforms.threads import one_blas_thread
from transforms.topics.clusters.cluster import Clusters
from transforms.topics.clusters.numbering import numbered_by_size
from transforms.topics.options import TopicsOptions
from transforms.vectors import VectorBlock, gather_rows

# As FAISS: centres are means of some 200 directions or more, and more texts move them little.
_TEXTS_PER_CENTRE = 256
_ROUNDS = 25


def kmeans(blocks: Sequence[VectorBlock], options: TopicsOptions, weights: np.ndarray) -> Clusters:
    """Cluster the n unit vectors of `blocks`, in order, around `options.k` centres, round(sqrt(n / 2)) unless configured.

    Centres are trained by FAISS on at most 256 texts for each, those of the smallest content keys (which are hashes: a sample
    that does not depend on order or parts). `strength` is the cosine to the text's centre, at least 0. Topics are numbered by
    descending sum of `weights` int (n,). Fewer texts than k are a topic each; one text is noise.
    """
    n = sum(block.rows for block in blocks)
    k = min(options.k or max(2, round(sqrt(n / 2))), n)
    if k < 2:
        return Clusters(np.full(n, -1, np.int32), np.zeros(n, np.float32))
    import faiss

    sample = gather_rows(blocks, np.arange(min(n, k * _TEXTS_PER_CENTRE)))
    # One thread of each: sums in another order change the last bits, and a text between two centres then changes sides.
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        with one_blas_thread():
            model = faiss.Kmeans(
                sample.shape[1],
                k,
                niter=_ROUNDS,
                spherical=True,
                seed=options.seed % 2**31,
                init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
                min_points_per_centroid=1,
                max_points_per_centroid=_TEXTS_PER_CENTRE,
            )
            model.train(sample)
            found = [model.index.search(np.ascontiguousarray(block.vectors()), 1) for block in blocks if block.rows]
    finally:
        faiss.omp_set_num_threads(threads)
    labels = np.concatenate([nearest[:, 0] for _, nearest in found])
    strength = np.clip(np.concatenate([cosines[:, 0] for cosines, _ in found]), 0, 1).astype(np.float32)
    return Clusters(numbered_by_size(labels, weights), strength)
