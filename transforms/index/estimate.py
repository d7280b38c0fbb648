"""What an index will need, said before anything is built."""

from dataclasses import dataclass
from typing import Any

import faiss

from transforms.index.choose import inverted_lists
from transforms.index.ids import ROWS as SORTED_ROWS
from transforms.index.options import IndexOptions

_FLOAT, _INT32, _INT64 = 4, 4, 8
# Rounds of k-means for the lists (FAISS's default for inverted files) and for codebooks, and codes of one codebook.
_ROUNDS, _CODEBOOK_ROUNDS, _CODES = 10, 25, 256
# Distances that a search in an HNSW graph computes to find one list, times M; measured at M = 32 with efSearch = 16: about 600.
_VISITED = 20

# Rates of one core of the machine that benchmarks/index.py was run on (Xeon with AVX-512): multiply-adds a second of matrix
# products, and bytes a second for each time that a file is read or written.
_PRODUCTS, _BYTES = 40e9, 400e6
# Memory of a row of ids.parquet while it is sorted, of a text while the sample is chosen by hash, of an id in a hash table.
_SORTED, _CHOSEN, _HASHED = 400, 32, 56


@dataclass(frozen=True)
class IndexEstimate:
    """Bytes of `index.faiss`; peak bytes of memory that a worker of the index stages needs, beside what it has loaded before
    and memory-mapped files, which the system takes back when it must; bytes that a search needs when it loads the whole file;
    and multiply-adds and copied bytes of building, training included.
    """

    factory: str
    file_bytes: int
    stage_bytes: int
    search_bytes: int
    products: float
    copied_bytes: float

    def seconds(self, cores: int) -> float:
        """Seconds on so many cores at the rates above: what to expect, not what was measured."""
        return self.products / (_PRODUCTS * cores) + self.copied_bytes / _BYTES


def estimate_index(factory: str, texts: int, documents: int, dim: int, options: IndexOptions) -> IndexEstimate:
    """What an index of an allowed type needs for `texts` vectors of `dim` dimensions and `documents` rows of ids.

    The size of the file is that of the lists and of what the type learns; what FAISS adds for names and sizes of parts is below
    a kilobyte. Raises RuntimeError when FAISS refuses the type for this dimension.
    """
    lists = inverted_lists(factory)
    queries = 2 * min(options.recall_queries, texts) * texts * dim  # exact answers, and the index's own
    ids_table, chosen = _SORTED * min(documents, SORTED_ROWS), _CHOSEN * texts
    if not lists:
        vectors = texts * (dim * _FLOAT + _INT64)
        shard = min(options.rows_per_shard, texts) * (dim * _FLOAT + _INT64)
        search = vectors + texts * _HASHED
        return IndexEstimate(factory, vectors, max(chosen, shard, ids_table), search, queries, 6 * vectors)
    index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    # As the class that it is: the function answers with the base class.
    ivf: Any = faiss.downcast_index(faiss.extract_index_ivf(index))
    learnt = lists * ivf.d * _FLOAT + _of_transform(index, dim) + _of_quantizer(ivf, lists) + _of_codes(ivf)
    entry = ivf.code_size + _INT64
    file = learnt + lists * _INT64 + texts * entry
    sample = min(options.train_points_per_list * lists, texts)
    shard = min(options.rows_per_shard, texts) * entry + learnt
    # Where a transform comes first, the sample is there twice.
    copies = 1 if ivf.d == dim and not isinstance(index, faiss.IndexPreTransform) else 2
    graph = isinstance(faiss.downcast_index(ivf.quantizer), faiss.IndexHNSW)
    compared = _VISITED * _links(ivf) if graph else lists
    products = _ROUNDS * sample * lists * ivf.d + texts * compared * ivf.d + queries
    if isinstance(ivf, faiss.IndexIVFPQ):
        products += (_CODEBOOK_ROUNDS * min(sample, _CODES * 256) + texts) * _CODES * ivf.d
    return IndexEstimate(
        factory,
        file,
        max(chosen, copies * sample * dim * _FLOAT + learnt, shard, ids_table),
        file,
        products,
        6 * texts * entry,
    )


def _of_transform(index: faiss.Index, dim: int) -> int:
    """Bytes of the matrix in front: of PCA also what it subtracts, its mean and its eigenvalues with the whole of the axes."""
    if not isinstance(index, faiss.IndexPreTransform):
        return 0
    chain: Any = index.chain
    total = 0
    for i in range(chain.size()):
        transform = faiss.downcast_VectorTransform(chain.at(i))
        total += transform.d_in * transform.d_out * _FLOAT
        if isinstance(transform, faiss.PCAMatrix):
            total += (transform.d_out + 2 * dim + dim * dim) * _FLOAT
    return total


def _of_quantizer(ivf: faiss.IndexIVF, lists: int) -> int:
    """Bytes of the graph by which lists are found: links and their offsets, and the level of each."""
    if not isinstance(faiss.downcast_index(ivf.quantizer), faiss.IndexHNSW):
        return 0
    links = _links(ivf)
    # Twice as many links at the lowest level; a list is at each further level with a chance of 1/M.
    return int(lists * (2 * links + links / (links - 1)) * _INT32 + lists * (_INT64 + _INT32))


def _links(ivf: faiss.IndexIVF) -> int:
    """M of the graph: links of a list at all but the lowest level."""
    graph: Any = faiss.downcast_index(ivf.quantizer)
    return int(graph.hnsw.nb_neighbors(1))


def _of_codes(ivf: faiss.IndexIVF) -> int:
    """Bytes of codebooks or ranges."""
    if isinstance(ivf, faiss.IndexIVFPQ):
        return _CODES * ivf.d * _FLOAT
    if isinstance(ivf, faiss.IndexIVFScalarQuantizer) and ivf.sq.qtype == faiss.ScalarQuantizer.QT_8bit:
        return 2 * ivf.d * _FLOAT
    return ivf.d * _FLOAT if "RaBitQ" in type(ivf).__name__ else 0
