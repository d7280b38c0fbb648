"""Whether the installed FAISS lays its files out as `layout.py` says: a release may change what was only looked up there."""

import functools
import logging
import os
import tempfile

import faiss
import numpy as np

from transforms.files import write_bytes
from transforms.index.choose import FLAT
from transforms.index.faiss_files import index_bytes, index_from_bytes
from transforms.index.merge import Source, merge_files

_log = logging.getLogger(__name__)

_TEXTS, _DIM = 60, 8
# Most lists filled, few lists filled, no lists; with and without a transform in front.
_TYPES = ("IVF4,SQ8", "PCA4,IVF64,Flat", FLAT)


@functools.cache
def knows_layout() -> bool:
    """Whether tiny indexes, merged by our writer, have the bytes that FAISS writes for the same entries.

    Computed once in a process, in some milliseconds.
    """
    try:
        return all(_agrees(factory) for factory in _TYPES)
    except Exception as error:
        # What parsing an unknown layout raises may be anything. FAISS's own way of merging is right in any case.
        _log.info("the layout of FAISS's files could not be checked: %s", error)
        return False


def _agrees(factory: str) -> bool:
    vectors = np.random.default_rng(0).normal(size=(_TEXTS + 8, _DIM)).astype(np.float32)
    trained = faiss.index_factory(_DIM, factory, faiss.METRIC_INNER_PRODUCT)
    if isinstance(trained, faiss.IndexPreTransform):
        ivf = faiss.extract_index_ivf(trained)
        ivf.cp.min_points_per_centroid = 1
    elif isinstance(trained, faiss.IndexIVF):
        trained.cp.min_points_per_centroid = 1
    trained.train(vectors)
    template = index_bytes(trained)
    ids = np.arange(_TEXTS, dtype=np.int64) * 7
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: os.path.join(folder, name) for name in ("template", "one", "two", "merged")}
        write_bytes(paths["template"], template)
        # The first has a text that will be left out.
        for name, rows in (("one", range(0, _TEXTS, 2)), ("two", range(1, _TEXTS, 2))):
            index = index_from_bytes(template)
            index.add_with_ids(vectors[list(rows)], ids[list(rows)])
            write_bytes(paths[name], index_bytes(index))
        gone = ids[4:5]
        merge_files(paths["template"], [Source(paths["one"], gone), Source(paths["two"])], paths["merged"], piece=256)
        index = index_from_bytes(template)
        kept = ids != gone[0]
        index.add_with_ids(vectors[:_TEXTS][kept], ids[kept])
        with open(paths["merged"], "rb") as file:
            return file.read() == index_bytes(index)
