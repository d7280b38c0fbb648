"""Shortlists as work files: what one task found for the rows of another."""

import io

import numpy as np

from transforms.files import filesystem_of, write_bytes
from transforms.neighbors.candidates import Shortlist


def save_lists(path: str, lists: Shortlist) -> None:
    """Write lists whole or not at all: 8 bytes for each candidate, whose positions are below 2³¹, and 12 for each row."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        counts=lists.counts.astype(np.int32),
        positions=lists.positions.astype(np.int32),
        above=lists.above,
        left_out=lists.left_out,
        error=lists.error,
        place=np.float64(lists.place),
    )
    write_bytes(path, buffer.getvalue())


def load_lists(path: str) -> Shortlist:
    """Lists that `save_lists` wrote."""
    fs, inner = filesystem_of(path)
    with np.load(io.BytesIO(fs.cat_file(inner)), allow_pickle=False) as file:
        counts, positions = file["counts"].astype(np.int64), file["positions"].astype(np.int64)
        return Shortlist(counts, positions, file["above"], file["left_out"], file["error"], float(file["place"]))
