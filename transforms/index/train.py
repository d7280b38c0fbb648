"""Training: one template that every shard is built against, and the texts that recall will be measured with."""

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from transforms.files import FileRef, file_ref, join, write_bytes
from transforms.index.choose import IndexTypeError, inverted_lists, resolve_type
from transforms.index.faiss_files import fingerprint_of, index_bytes
from transforms.index.options import IndexOptions
from transforms.index.sample import rows_of, sampled
from transforms.index.training import Encoded, Spread, Training
from transforms.vectors import VectorBlock, write_block

# FAISS fixes its own seeds; they are repeated here so that a new default of theirs is no silent change of ours.
_SEED = 1234

# Codes that are shorter floating-point numbers: FAISS would only look for the lists of up to 100,000 texts.
_NOTHING_TO_LEARN = (faiss.ScalarQuantizer.QT_fp16, faiss.ScalarQuantizer.QT_bf16)

# Product quantizers and scalar ranges learn from the same sample; few lists must not leave them with too few texts.
_CODEBOOK_TEXTS = 16_384


@dataclass(frozen=True)
class TrainTask:
    """All vector blocks of the run, and the folder for the template and the queries.

    `factory`: the type instead of that of the options. `earlier`: a training to use again, and its template.
    """

    blocks: tuple[VectorBlock, ...]
    directory: str
    factory: str | None = None
    earlier: tuple[Training, FileRef] | None = None


@dataclass(frozen=True)
class TrainRecord:
    """The empty trained index with its fingerprint, and the block of texts whose neighbours recall is measured on.

    `trained` says whether the type learns anything (Flat does not); `queries.start` is 0: its rows are not at
    consecutive positions.
    """

    template: FileRef
    fingerprint: str
    factory: str
    trained: bool
    training_texts: int
    queries: VectorBlock


def train_index(task: TrainTask, options: IndexOptions, threads: int | None = None) -> TrainRecord:
    """Train on a sample chosen by hash and write `template.faiss` and the query block. An earlier training stays where it is.

    Memory: the sample, which grows with the number of lists, and one block's ids.
    Raises IndexTypeError when the corpus is too small for the configured type.
    """
    training, template = task.earlier or _train_new(task, options, threads)
    queries, ids = sampled(task.blocks, options.recall_queries, last=True)
    block = write_block(
        join(task.directory, "query-vectors.npy"),
        join(task.directory, "query-ids.npy"),
        0,
        ids,
        rows_of(task.blocks, queries),
    )
    lists = inverted_lists(training.factory)
    return TrainRecord(template, training.fingerprint, training.factory, lists > 0, training.sample, block)


def _train_new(task: TrainTask, options: IndexOptions, threads: int | None) -> tuple[Training, FileRef]:
    factory = resolve_type(task.factory or options.type, sum(block.rows for block in task.blocks))
    lists = inverted_lists(factory)
    rows, _ = sampled(task.blocks, max(options.train_points_per_list * lists, _CODEBOOK_TEXTS) if lists else 0)
    sample = rows_of(task.blocks, rows) if len(rows) else np.empty((0, task.blocks[0].dim), np.float32)
    with threadpool_limits(threads):
        template = trained_template(factory, sample)
    path = join(task.directory, "template.faiss")
    write_bytes(path, template)
    return Training(factory, fingerprint_of(template), len(rows), Encoded(), Spread(), Encoded(), Spread()), file_ref(path)


def trained_template(factory: str, sample: np.ndarray) -> bytes:
    """The bytes of the empty index of type `factory`, trained on `sample` float32 (n, dim), with inner product as metric.

    A function of the sample and its order, not of the number of threads: k-means is seeded, runs a fixed number of
    iterations, and sums each centroid in one thread. Everything else runs in one thread: FAISS fits rotations and builds
    HNSW graphs with results that depend on threads, and codebooks are too small to gain from them.

    Raises IndexTypeError when FAISS refuses (a dimension that does not divide, too few texts).
    """
    try:
        index = faiss.index_factory(sample.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            _train(index, sample)
    except RuntimeError as error:
        reason = str(error).rsplit("Error: ", 1)[-1].strip()
        size = f"{len(sample)} texts of {sample.shape[1]} dimensions"
        raise IndexTypeError(f"FAISS cannot train {factory!r} on {size}: {reason}") from error
    return index_bytes(index)


def _train(index: Any, vectors: np.ndarray) -> None:
    """Train an inverted file, with or without transforms in front, step by step as `index.train` would."""
    chained, product = isinstance(index, faiss.IndexPreTransform), isinstance(index, faiss.IndexIVFPQ)
    if chained:
        with threadpool_limits(1):
            for transform in (faiss.downcast_VectorTransform(index.chain.at(i)) for i in range(index.chain.size())):
                _train_transform(transform, vectors)
                vectors = transform.apply(vectors)
        _train(faiss.downcast_index(index.index), vectors)
        index.is_trained = True
        return
    index.cp.seed = _SEED
    clustering = faiss.Clustering(index.d, index.nlist, _quiet(index.cp))
    clustering.train(vectors, faiss.IndexFlatIP(index.d))
    with threadpool_limits(1):
        index.quantizer.add(faiss.vector_to_array(clustering.centroids).reshape(index.nlist, index.d))
        if product:
            index.pq.cp.seed = _SEED
            _quiet(index.pq.cp)
            index.do_polysemous_training = False  # most of the time, for a search mode that nobody here uses
        if isinstance(index, faiss.IndexIVFScalarQuantizer) and index.sq.qtype in _NOTHING_TO_LEARN:
            index.is_trained = True
        else:
            index.train(vectors)


def _train_transform(transform: Any, vectors: np.ndarray) -> None:
    """Train a transform such that inner products stay what they are, as far as dropped dimensions allow.

    FAISS's PCA subtracts the mean: distances stay, but an inner product with a query that was moved too is another one, and no
    vector of the corpus need be the nearest that was. The axes without a mean, those of the second moments, lose least of the
    products (Eckart and Young 1936): they are what the same PCA finds among the vectors and their opposites.
    """
    if isinstance(transform, faiss.PCAMatrix):
        # Above so many FAISS would take a sample, in which vectors have lost their opposites.
        some = vectors[: transform.max_points_per_d * transform.d_in // 2]
        transform.train(np.concatenate([some, -some]))
        faiss.copy_array_to_vector(np.zeros(transform.d_out, np.float32), transform.b)
    else:
        transform.train(vectors)


def _quiet(parameters: faiss.ClusteringParameters) -> faiss.ClusteringParameters:
    """Small corpora are allowed: no warning on stderr about fewer than 39 points for each centroid."""
    parameters.min_points_per_centroid = 1
    return parameters
