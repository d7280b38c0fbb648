"""How many lists a search must visit: read from where the true neighbours are, then measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import pyarrow as pa

from transforms.files import describe
from transforms.index.recall import TIE, RecallMeter
from transforms.index.truth import Truth, batches_of

# Lists whose order is asked for at first, and how many times more when that was not enough.
_FIRST, _MORE = 64, 4
# Places of lists that are in memory at a time, for as many queries as they suffice: 64 MB.
_PLACES = 2**24
# What codes may cost, as a share of what the target allows to miss, for the first guess. Search says what they do cost.
_CODES_COST = 0.2
# A first guess that is too low is raised at most this many times at once: a search of all lists costs as much as all others.
_STEP = 4
# When codes cannot reach the target: what a search may find less than one of all lists, for visiting far fewer.
_WITHIN = 0.001

_K = 10


@dataclass(frozen=True)
class Curve:
    """Of each query set, for p = 0, 1, 2, … visited lists: `coarse`, the share of the 10 nearest that are in them.

    No search with p lists finds more, and codes without error find as much. `texts`: how many texts the search looks at, the
    mean of all queries. float64 (p,).
    """

    coarse: dict[str, np.ndarray]
    texts: np.ndarray

    def lowest(self) -> np.ndarray:
        """The lowest share of all sets, float64 (p,)."""
        return np.min(list(self.coarse.values()), axis=0)

    def table(self, nprobe: int) -> pa.Table:
        """The curve at powers of two, at its end, and at the `nprobe` that is stored."""
        last = len(self.texts) - 1
        rows = sorted({min(max(nprobe, 1), last), last, *(2**i for i in range(max(last, 1).bit_length()) if 2**i <= last)})
        columns = [
            [name for name in self.coarse for _ in rows],
            [p for _ in self.coarse for p in rows],
            [float(curve[p]) for curve in self.coarse.values() for p in rows],
            [float(self.texts[p]) for _ in self.coarse for p in rows],
            [p == nprobe for _ in self.coarse for p in rows],
        ]
        schema = curve_schema()
        return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def curve_schema() -> pa.Schema:
    """Columns of `index/nprobe.parquet`."""
    schema = pa.schema(
        [
            ("query_set", pa.string()),
            ("nprobe", pa.int32()),
            ("coarse_recall_at_10", pa.float64()),
            ("texts_searched", pa.float64()),
            ("stored", pa.bool_()),
        ]
    )
    return describe(
        schema,
        {
            "query_set": "corpus: texts of the corpus, chosen by hash; file: index.recall_queries_file.",
            "nprobe": "Inverted lists that a search visits.",
            "coarse_recall_at_10": "Mean share of the 10 nearest other texts that are in these lists: what recall@10 would be "
            "if codes were exact.",
            "texts_searched": "Texts in these lists, mean of all queries: what a search costs.",
            "stored": "Whether this nprobe is stored in index.faiss.",
        },
    )


@dataclass(frozen=True)
class Chosen:
    """The smallest number of visited lists, what the index answers with it, and the curve; 0 and None without lists."""

    nprobe: int
    found: Truth
    curve: Curve | None


def smallest_nprobe(index: faiss.Index, meter: RecallMeter, target: float) -> Chosen:
    """Set the smallest number of visited lists whose measured recall at 10 reaches `target` for every query set.

    No search with fewer lists than the curve needs can reach it. One search with a few more answers for every number in
    between: its results from the first p lists, in order, are the results of a search of p lists. Queries of which it has too
    few results are searched for again, with p. When not even all lists reach the target (codes too coarse), it is the smallest
    whose recall is within 0.001 of that of all lists: more would cost as much as exact search and find nothing.

    Where the coarse quantizer is a graph, which need not visit the same lists first when it is asked for fewer, each number is
    searched with. It has a curve, too, but no proof: of the numbers below the answer the next one is measured, so that the
    answer is a smallest one, if not the smallest should recall fall with more lists; the same where lengths decide what ties.
    """
    ivf = inverted_file(index)
    if ivf is None:
        return Chosen(0, meter.search(index), None)
    lists = _Lists(index, ivf, meter.queries)
    neighbours = _Neighbours(meter, lists)
    searches = _Searches(index, ivf, meter, lists)
    low, top, slack = 1, 0, (1 - target) * _CODES_COST
    while True:
        neighbours.extend(min(target + slack, 1.0))
        coarse = neighbours.curve.lowest()
        low = max(low, _first(coarse, target))
        wanted = _first(coarse, min(target + slack, 1.0))
        # Twice as many at least: codes may be too coarse for any number, and that must show soon.
        top = min(max(wanted, low, 2 * top), max(_STEP * low, _FIRST), ivf.nlist)
        recall = searches.recall(top)
        numbers = (p for p in searches.may_reach(low, top, target) if searches.recall(p) >= target)
        nprobe = next(numbers, top if recall >= target else None)
        if nprobe is not None or top == ivf.nlist:
            break
        # The curve need not be as long yet as what was searched.
        neighbours.extend_to(top)
        slack = max(1.5 * (float(neighbours.curve.lowest()[top]) - recall), slack)
        low = top + 1
    if nprobe is None:
        target = searches.recall(ivf.nlist) - _WITHIN
        neighbours.extend(target)
        narrower = searches.may_reach(_first(neighbours.curve.lowest(), target), ivf.nlist, target)
        nprobe = next((p for p in narrower if searches.recall(p) >= target), ivf.nlist)
    if not (lists.flat and meter.unit):
        while nprobe > 1 and searches.recall(nprobe - 1) >= target:
            nprobe -= 1
    ivf.nprobe = nprobe
    neighbours.extend_to(nprobe)
    return Chosen(nprobe, searches.found(nprobe), neighbours.curve)


def _first(curve: np.ndarray, value: float) -> int:
    """The first place, at least 1, where the curve reaches a value, or its end."""
    # What was summed in another order is no less.
    reached = np.flatnonzero(curve >= value - 1e-12)
    return max(int(reached[0]), 1) if len(reached) else len(curve) - 1


class _Searches:
    """What the index answers with some numbers of visited lists."""

    def __init__(self, index: faiss.Index, ivf: faiss.IndexIVF, meter: RecallMeter, lists: "_Lists") -> None:
        self._index, self._ivf, self._meter, self._lists = index, ivf, meter, lists
        self._found: dict[int, tuple[Truth, float]] = {}
        # The search of most lists: how many, its results, and the rank of each one's list for its query.
        self._deep: tuple[int, Truth, np.ndarray] | None = None

    def recall(self, nprobe: int) -> float:
        """The lowest recall at 10 of all sets."""
        self.found(nprobe)
        return self._found[nprobe][1]

    def found(self, nprobe: int) -> Truth:
        """The results of all queries, as deep as the truth."""
        if nprobe not in self._found:
            found = self._of_deep(nprobe) or self._search(nprobe)
            self._found[nprobe] = found, self._meter.recall(found)
        return self._found[nprobe][0]

    def _search(self, nprobe: int) -> Truth:
        self._ivf.nprobe = nprobe
        # Twice as deep, so that what is left for fewer lists is deep enough.
        deep = self._meter.search(self._index, 2 * self._meter.depth)
        if self._deep is None or nprobe > self._deep[0]:
            self._deep = nprobe, deep, self._lists.ranks(self._lists.of(deep.ids), nprobe)
        return Truth(deep.ids[:, : self._meter.depth], deep.scores[:, : self._meter.depth])

    def _of_deep(self, nprobe: int) -> Truth | None:
        """What a search of fewer lists than the widest one gives; None where that cannot be told."""
        if self._deep is None or not self._lists.flat or nprobe >= self._deep[0]:
            return None
        _, deep, ranks = self._deep
        visited, depth = ranks < nprobe, self._meter.depth
        found = Truth(np.empty((len(visited), depth), np.int64), np.empty((len(visited), depth), np.float32))
        for some in batches_of(len(visited)):
            order = np.argsort(~visited[some], axis=1, kind="stable")[:, :depth]
            there = np.take_along_axis(visited[some], order, 1)
            found.ids[some] = np.where(there, np.take_along_axis(deep.ids[some], order, 1), -1)
            found.scores[some] = np.where(there, np.take_along_axis(deep.scores[some], order, 1), np.float32(-np.inf))
        # An empty place at the end: these were all texts in the lists.
        few = np.flatnonzero((visited.sum(axis=1) < depth) & (deep.ids[:, -1] >= 0))
        if len(few):
            self._ivf.nprobe = nprobe
            again = self._meter.search(self._index, rows=few)
            found.ids[few], found.scores[few] = again.ids, again.scores
        return found

    def may_reach(self, low: int, top: int, target: float) -> Iterator[int]:
        """Numbers of lists from `low` to below `top` whose recall may reach the target, by the widest search, that of `top`."""
        assert self._deep is not None
        _, deep, ranks = self._deep
        good = self._meter.good(deep, _K, deep.ids.shape[1])
        for nprobe in range(low, top):
            visited = ranks < nprobe
            # No deeper than 200.
            place = visited.cumsum(axis=1, dtype=np.int16)
            counts = np.zeros((len(good), _K), np.int64)
            for name, rows in self._meter.sets.items():
                if rank := self._meter.rank(name, _K):
                    hits = (visited[rows] & good[rows] & (place[rows] <= rank)).sum(axis=1)
                    # Fewer results than places: more would come from beyond what was found, and might be good.
                    counts[rows, rank - 1] = hits + np.maximum(rank - place[rows, -1], 0)
            if self._meter.lowest(counts, _K) >= target:
                yield nprobe


class _Lists:
    """The inverted lists of an index, as its searches visit them."""

    def __init__(self, index: faiss.Index, ivf: faiss.IndexIVF, queries: np.ndarray) -> None:
        self.count = ivf.nlist
        self._quantizer = faiss.downcast_index(ivf.quantizer)
        lists: Any = ivf.invlists
        self._lists = lists
        self.sizes = np.array([lists.list_size(i) for i in range(self.count)])
        self._queries = _transformed(index, queries)
        self._batch = max(_PLACES // self.count, 1)
        # The order of lists as far as it was asked for, while it is that of all queries.
        self._known = np.empty((len(queries), 0), np.int32)

    @property
    def flat(self) -> bool:
        """Whether the first p lists are the same however many are asked for."""
        return isinstance(self._quantizer, faiss.IndexFlat)

    def order(self, low: int, high: int, depth: int) -> np.ndarray:
        """The lists that queries `low` to `high` visit first: integers (high - low, depth), -1 where there are fewer."""
        if not self.flat or len(self._queries) > self._batch:
            return self._quantizer.search(self._queries[low:high], depth)[1]
        if self._known.shape[1] < depth:
            self._known = self._quantizer.search(self._queries, depth)[1].astype(np.int32)
        return self._known[low:high, :depth]

    def of(self, ids: np.ndarray) -> np.ndarray:
        """The list of each text: int64 of the shape of `ids`, -1 for an absent one."""
        wanted, place = np.unique(ids, return_inverse=True)
        found = np.full(len(wanted), -1)
        for number in np.flatnonzero(self.sizes):
            size = int(self.sizes[number])
            own = faiss.rev_swig_ptr(self._lists.get_ids(int(number)), size)
            at = np.minimum(np.searchsorted(wanted, own), len(wanted) - 1)
            found[at[wanted[at] == own]] = number
        return found[place.reshape(ids.shape)]

    def ranks(self, lists: np.ndarray, depth: int) -> np.ndarray:
        """The place, from 0, of lists (queries, n) among the first `depth` that the query visits; `depth` for later ones."""
        ranks = np.full(lists.shape, depth, np.int32)
        for low in range(0, len(lists), self._batch):
            order = self.order(low, low + self._batch, depth)
            # One column more, which takes what belongs to no list.
            place = np.full((len(order), self.count + 1), depth, np.int32)
            np.put_along_axis(place, np.where(order < 0, self.count, order), np.arange(order.shape[1], dtype=np.int32)[None], 1)
            place[:, -1] = depth
            some = lists[low : low + self._batch]
            ranks[low : low + self._batch] = np.take_along_axis(place, np.where(some < 0, self.count, some), 1)
        return ranks

    def texts(self, depth: int) -> np.ndarray:
        """Texts in the first 0, 1, … `depth` lists, the mean of all queries: float64 (depth + 1,)."""
        sizes, total = np.append(self.sizes, 0), np.zeros(depth)
        for low in range(0, len(self._queries), self._batch):
            total += sizes[self.order(low, low + self._batch, depth)].sum(axis=0)
        return np.append(0, np.cumsum(total)) / max(len(self._queries), 1)


class _Neighbours:
    """The lists of the true neighbours, and the curve as far as it was asked for."""

    def __init__(self, meter: RecallMeter, lists: _Lists) -> None:
        self._meter, self._lists, self._depth = meter, lists, 0
        good = meter.good(meter.truth, _K, meter.truth.ids.shape[1])
        self._of = np.where(good, lists.of(meter.truth.ids), -1)
        # All places tie with the tenth: there may be more, anywhere.
        scores = meter.truth.scores
        self._endless = good.all(axis=1) & (scores[:, -1] > -np.inf) & (scores[:, -1] >= scores[:, _K - 1] - TIE)
        self.curve = Curve({}, np.zeros(1))

    def extend(self, value: float) -> None:
        """Make the curve long enough to reach a value."""
        self.extend_to(min(_FIRST, self._lists.count))
        while self._depth < self._lists.count and self.curve.lowest()[-1] < value - 1e-12:
            self.extend_to(min(_MORE * self._depth, self._lists.count))

    def extend_to(self, depth: int) -> None:
        """Make the curve at least so long."""
        if depth <= self._depth:
            return
        self._depth = depth
        ranks = np.sort(np.where(self._of < 0, depth, self._lists.ranks(self._of, depth)), axis=1)
        ranks[self._endless] = 0
        coarse = {}
        for name, rows in self._meter.sets.items():
            k, queries = self._meter.rank(name, _K), rows.stop - rows.start
            if not k or not queries:
                coarse[name] = np.ones(depth + 1)
                continue
            found = np.bincount(ranks[rows, :k].ravel(), minlength=depth + 1)[:depth]
            coarse[name] = np.append(0, np.cumsum(found)) / (k * queries)
        self.curve = Curve(coarse, self._lists.texts(depth))


def _transformed(index: faiss.Index, queries: np.ndarray) -> np.ndarray:
    """The queries as the inverted file inside an index gets them."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        chain: Any = index.chain
        for i in range(chain.size()):
            queries = faiss.downcast_VectorTransform(chain.at(i)).apply(queries)
    return queries


def inverted_file(index: faiss.Index) -> faiss.IndexIVF | None:
    """The inverted file inside an index, or None when it has no lists."""
    try:
        return faiss.extract_index_ivf(index)
    except RuntimeError:
        return None
