"""Spherical k-means: a given number of topics, no noise."""

from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np

from transforms.neighbors import exact_cosines, snap
from transforms.threads import one_blas_thread
from transforms.topics.clusters.cluster import Clusters
from transforms.topics.clusters.numbering import numbered_by_size
from transforms.topics.options import TopicsOptions
from transforms.vectors import VectorBlock, gather_rows

# As FAISS: centres are means of some 200 directions or more, and more texts move them little.
_TEXTS_PER_CENTRE = 256
_ROUNDS = 25
# Texts that are compared with all centres at a time.
_ROWS = 512


def kmeans(blocks: Sequence[VectorBlock], options: TopicsOptions, weights: np.ndarray) -> Clusters:
    """Cluster the n unit vectors of `blocks`, in order, around `options.k` centres, round(sqrt(n / 2)) unless configured.

    Centres are trained by FAISS on at most 256 texts for each, those of the smallest content keys (which are hashes: a sample
    that does not depend on order or parts). A text has the centre of the largest cosine, of equally near ones the first, and
    that cosine as `strength`, at least 0: exact ones, which do not depend on the blocks, or on where a text is in one.

    Topics are numbered by descending sum of `weights` int (n,). Fewer texts than k are a topic each; one text is noise.
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
            centres = np.array(model.centroids)
            # Texts that cancel out have a centre without direction, of zeros.
            has_direction = centres.any(axis=1)
            centres[has_direction] = snap(centres[has_direction])
            found = [_nearest(snap(rows), centres) for block in blocks for rows in _some(block.vectors())]
    finally:
        faiss.omp_set_num_threads(threads)
    labels, strength = (np.concatenate(column) for column in zip(*found, strict=True))
    return Clusters(numbered_by_size(labels, weights), np.clip(strength, 0, 1))


def _some(vectors: np.ndarray) -> Iterator[np.ndarray]:
    return (vectors[low : low + _ROWS] for low in range(0, len(vectors), _ROWS))


def _nearest(snapped: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cosines = exact_cosines(snapped, centres)
    return cosines.argmax(axis=1), cosines.max(axis=1)
