"""Shortlists as work files: what one task found for the rows of another."""

import io

import numpy as np

from transforms.files import filesystem_of, write_bytes
from transforms.neighbors.candidates import Shortlist


def save_lists(path: str, lists: Shortlist) -> None:
    """Write lists whole or not at all: 8 bytes for each candidate, whose positions are below 2³¹, and 12 for each row."""
    listed = lists.positions >= 0
    buffer = io.BytesIO()
    np.savez(
        buffer,
        counts=listed.sum(axis=1).astype(np.int32),
        positions=lists.positions[listed].astype(np.int32),
        above=lists.above[listed],
        left_out=lists.left_out,
        error=lists.error,
        place=np.float64(lists.place),
    )
    write_bytes(path, buffer.getvalue())


def load_lists(path: str) -> Shortlist:
    """Lists that `save_lists` wrote, as wide as the longest."""
    fs, inner = filesystem_of(path)
    with np.load(io.BytesIO(fs.cat_file(inner)), allow_pickle=False) as file:
        counts, positions, above = file["counts"], file["positions"], file["above"]
        listed = np.arange(counts.max(initial=0)) < counts[:, None]
        lists = Shortlist(
            np.full(listed.shape, -1, np.int64),
            np.full(listed.shape, -np.inf, np.float32),
            file["left_out"],
            file["error"],
            float(file["place"]),
        )
    # Listed places come first in each line, hence in the order of the file.
    lists.positions[listed], lists.above[listed] = positions, above
    return lists
