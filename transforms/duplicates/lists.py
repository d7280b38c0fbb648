"""The cosines of a neighbour graph's lists, without the neighbours."""

from collections.abc import Iterable, Iterator

import numpy as np

from transforms.files import read_table


def listed_cosines(graph: Iterable[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids int64 (rows,) and cosines float32 (rows, k) of each part (path) of a graph, one in memory at a time."""
    for path in graph:
        table = read_table(path, ["id", "cosines"])
        if table.num_rows:
            yield table["id"].to_numpy(), table["cosines"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)


def unfinished_texts(graph: Iterable[str], threshold: float) -> np.ndarray:
    """Ids, ascending, of all texts of a graph whose list may lack some of their pairs: it ends at or above `threshold`."""
    texts, width, found = 0, 0, [np.empty(0, np.int64)]
    for ids, cosines in listed_cosines(graph):
        texts, width = texts + len(ids), cosines.shape[1]
        if width:
            found.append(ids[cosines[:, -1].astype(np.float64) >= threshold])
    # Lists of all others hold every pair that there is.
    return np.sort(np.concatenate(found)) if width < texts - 1 else np.empty(0, np.int64)
