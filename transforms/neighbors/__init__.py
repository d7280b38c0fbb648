"""The neighbour graph: for every distinct text its K nearest others with their cosines.

Up to `exact_up_to` texts the lists are exact. Of a larger corpus they are approximate, and only in who is listed: cosines are
exact ones, and the share of true neighbours in the lists is measured.

In: the run's vector blocks and, if there is one, the graph of an earlier corpus, from which lists are taken over where it is
certain that they are still right (an approximate graph is made anew every time). Out: `neighbors/part-NNNNN.parquet`, sorted
by id, and a record of each part.
Promises: an exact list is the brute-force answer; every list is ordered by (cosine descending, id ascending), never has the
text itself, and depends on the vectors only, not on stripes, tiles, blocks, workers or threads (an exact one neither on the
processor nor BLAS), because every published cosine is computed in arithmetic that does not round (see `cosine.py`), and low
precision only rules out, by a proven bound, who cannot be in an exact list (see `screen.py`); memory
is one chunk of vectors and its candidates whatever the size of the corpus, but for some 200 bytes a text where the graph is
approximate.
"""

from transforms.neighbors.approximate.certificate import Certificate
from transforms.neighbors.approximate.graph import ApproximateGraph, Step, approximate_graph
from transforms.neighbors.changes import ChangesRecord, ChangesTask, find_changes
from transforms.neighbors.cosine import exact_cosines, exact_pair_cosines, screening_error, snap
from transforms.neighbors.exact import Nearest, nearest_others
from transforms.neighbors.graph import (
    NeighborsRecord,
    NeighborsTask,
    build_part,
    build_parts,
    cut_tiles,
    plan_tiles,
)
from transforms.neighbors.options import NeighborsOptions
from transforms.neighbors.stream import snapped_chunks
from transforms.neighbors.stripes import StripeTask, build_graph, plan_stripes
from transforms.neighbors.tables import neighbors_schema, read_neighbors
from transforms.neighbors.update import ParentGraph

__all__ = [
    "ApproximateGraph",
    "Certificate",
    "ChangesRecord",
    "ChangesTask",
    "Nearest",
    "NeighborsOptions",
    "NeighborsRecord",
    "NeighborsTask",
    "ParentGraph",
    "Step",
    "StripeTask",
    "approximate_graph",
    "build_graph",
    "build_part",
    "build_parts",
    "cut_tiles",
    "exact_cosines",
    "exact_pair_cosines",
    "find_changes",
    "nearest_others",
    "neighbors_schema",
    "plan_stripes",
    "plan_tiles",
    "read_neighbors",
    "screening_error",
    "snap",
    "snapped_chunks",
]
