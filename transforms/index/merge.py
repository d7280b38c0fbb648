"""Merging index files of one template, list by list, in memory that does not grow with the index.

The merged file has the ids of every list in ascending order: one set of texts has one file, however it was cut into shards,
and whether it was encoded at once or grew from an earlier index. See `layout.py` for the bytes.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

import faiss
import numpy as np

from transforms.files import FileRef, write_hashed
from transforms.index.faiss_files import read_index, write_index
from transforms.index.ids import is_in
from transforms.index.layout import (
    IndexFile,
    Lists,
    ids_frame,
    locate_lists,
    open_lists,
    read_range,
    read_ranges,
    set_entries,
    write_lists,
)
from transforms.index.shards import ShardError

# Bytes of lists that are read at a time, from all files together, and written; meanwhile the next are read. A longer list is
# merged in pieces.
PIECE = 16 << 20


@dataclass(frozen=True)
class Source:
    """An index file to merge, and ids, int64 ascending, all of which it holds and none of which is taken over."""

    path: str
    without: np.ndarray | None = None


@dataclass(frozen=True)
class Merged:
    """The merged file, and the number of entries of each of its lists, int64 (lists,); one list when it is Flat."""

    file: FileRef
    sizes: np.ndarray

    @property
    def entries(self) -> int:
        """Entries of all lists."""
        return int(self.sizes.sum())


def merge_files(template: str, sources: Sequence[Source], target: str, piece: int = PIECE) -> Merged:
    """Merge index files that were all encoded with the template at `template`, which is not checked here, into `target`.

    The bytes are those of adding all texts to the template at once, in ascending order of ids, and `faiss.write_index`. In
    memory are the template, 4 bytes for each list of each file, and some times `piece` bytes. Raises ShardError when an id is
    in a list twice, when ids to leave out are absent, or when the ids of a list that is longer than `piece` do not ascend;
    LayoutError when a file is not laid out like the template.
    """
    lists, index = locate_lists(template)
    merging = _Merging(lists, [open_lists(source.path, lists) for source in sources], sources, piece)
    file = write_hashed(target, lambda out: write_lists(out, index, lists, merging.sizes, merging.write), durable=False)
    return Merged(file, merging.sizes)


def merge_in_memory(template: str, sources: Sequence[Source], target: str) -> Merged:
    """The same by FAISS's own reading and writing, whatever the layout of its files is: everything is in memory at once."""
    index = read_index(template)
    read = [read_index(source.path) for source in sources]
    # To FAISS, Flat has no lists.
    flat = isinstance(index, faiss.IndexIDMap2)
    count = 1 if flat else faiss.extract_index_ivf(index).nlist
    sizes = np.zeros(count, np.int64)
    for number in range(count):
        entries = [_entries(other, number) for other in read]
        kept = [~is_in(ids, source.without) for (ids, _), source in zip(entries, sources, strict=True)]
        ids = np.concatenate([ids[keep] for (ids, _), keep in zip(entries, kept, strict=True)])
        codes = np.concatenate([codes[keep] for (_, codes), keep in zip(entries, kept, strict=True)])
        order = _order(ids, number)
        ids, codes = ids[order], np.ascontiguousarray(codes[order])
        sizes[number] = len(ids)
        if flat:
            index.add_with_ids(codes.view(np.float32), ids)
        elif len(ids):
            inverted: Any = faiss.extract_index_ivf(index).invlists
            inverted.add_entries(number, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(codes))
    set_entries(index, int(sizes.sum()))
    left_out = sum(0 if source.without is None else len(source.without) for source in sources)
    if sum(other.ntotal for other in read) - left_out != sizes.sum():
        raise ShardError(_ABSENT)
    return Merged(write_index(index, target, durable=False), sizes)


_ABSENT = "texts that are to be left out are not in the published index: index everything anew with --set index.retrain=always"


def _entries(index: faiss.Index, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids int64 (entries,) and codes uint8 (entries, code size) of one list."""
    if isinstance(index, faiss.IndexIDMap2):
        vectors: Any = faiss.downcast_index(index.index)
        codes = faiss.vector_to_array(vectors.codes)
        return faiss.vector_to_array(index.id_map), codes.reshape(index.ntotal, 4 * index.d)
    inverted: Any = faiss.extract_index_ivf(index).invlists
    size = inverted.list_size(number)
    if not size:
        return np.empty(0, np.int64), np.empty((0, inverted.code_size), np.uint8)
    codes = faiss.rev_swig_ptr(inverted.get_codes(number), size * inverted.code_size)
    return faiss.rev_swig_ptr(inverted.get_ids(number), size).copy(), codes.reshape(size, -1).copy()


@dataclass(frozen=True)
class _Range:
    """The lists `first … last`, and from which byte to which each file has them."""

    first: int
    last: int
    where: list[tuple[int, int]]


class _Merging:
    """One merge: what is read of each file for a range of lists, and what is written for it."""

    def __init__(self, lists: Lists, files: Sequence[IndexFile], sources: Sequence[Source], piece: int) -> None:
        self._lists, self._files, self._piece = lists, files, piece
        self._without = [source.without for source in sources]
        self.sizes: np.ndarray = np.zeros(lists.count, np.int64)
        for file, without in zip(files, self._without, strict=True):
            self.sizes += _kept_sizes(file, without, piece)

    def write(self, out: BinaryIO) -> None:
        """Write all lists."""
        total: np.ndarray = np.zeros(self._lists.count, np.int64)
        for file in self._files:
            total += file.sizes
        total *= self._lists.entry

        def read(part: _Range) -> list[bytes]:
            if self._is_long(part, total):
                return []
            return [read_range(file.path, *where) for file, where in zip(self._files, part.where, strict=True)]

        with ThreadPoolExecutor(1) as ahead:
            parts = self._parts(total)
            part = next(parts, None)
            reading = None if part is None else ahead.submit(read, part)
            while part is not None and reading is not None:
                data, following = reading.result(), next(parts, None)
                reading = None if following is None else ahead.submit(read, following)
                if self._is_long(part, total):
                    self._write_long(out, part.first, [start for start, _ in part.where])
                else:
                    out.write(self._merged(part.first, part.last, data).data)
                part = following

    def _is_long(self, part: "_Range", total: np.ndarray) -> bool:
        return self._lists.flat or bool(total[part.first] > self._piece)

    def _parts(self, total: np.ndarray) -> Iterator["_Range"]:
        """Ranges of lists that are merged at a time, and where each file has them."""
        ends = [file.start for file in self._files]
        for first, last in _ranges(total, self._piece):
            starts = ends
            sizes = [int(file.sizes[first:last].sum(dtype=np.int64)) for file in self._files]
            ends = [start + size * self._lists.entry for start, size in zip(starts, sizes, strict=True)]
            yield _Range(first, last, list(zip(starts, ends, strict=True)))

    def _merged(self, first: int, last: int, data: Sequence[bytes]) -> np.ndarray:
        """The bytes of the lists `first … last`, from those of each file."""
        width, places = self._lists.code_size, [0] * len(data)
        merged = np.empty(int(self.sizes[first:last].sum()) * self._lists.entry, np.uint8)
        end = 0
        for number in range(first, last):
            codes: list[np.ndarray] = []
            ids: list[np.ndarray] = []
            for i, (file, without) in enumerate(zip(self._files, self._without, strict=True)):
                if not (size := int(file.sizes[number])):
                    continue
                begin, middle = places[i], places[i] + size * width
                places[i] = middle + size * 8
                codes.append(np.frombuffer(data[i], np.uint8, size * width, begin).reshape(size, width))
                ids.append(np.frombuffer(data[i], np.int64, size, middle))
                if without is not None and (out := is_in(ids[-1], without)).any():
                    codes[-1], ids[-1] = codes[-1][~out], ids[-1][~out]
            size = int(self.sizes[number])
            begin, middle, end = end, end + size * width, end + size * self._lists.entry
            if not size:
                continue
            all_ids = np.concatenate(ids)
            target = merged[begin:middle].reshape(size, width)
            if np.all(all_ids[1:] > all_ids[:-1]):
                np.concatenate(codes, out=target)
            else:
                order = _order(all_ids, number)
                all_ids = all_ids[order]
                np.take(np.concatenate(codes), order, axis=0, out=target)
            merged[middle:end] = all_ids.view(np.uint8)
        return merged

    def _write_long(self, out: BinaryIO, number: int, starts: Sequence[int]) -> None:
        """Write one list in pieces: all codes, then, reading the ids a second time, all ids."""
        runs = [
            _Run(file, number, start, without)
            for file, start, without in zip(self._files, starts, self._without, strict=True)
            if file.sizes[number]
        ]
        rows = max(self._piece // (self._lists.entry * max(len(runs), 1)), 1)
        for taken in _windows(runs, rows):
            keep = [~is_in(part.ids, part.run.without) for part in taken]
            codes = [part.run.codes(part.first, part.last)[kept] for part, kept in zip(taken, keep, strict=True)]
            ids = np.concatenate([part.ids[kept] for part, kept in zip(taken, keep, strict=True)])
            out.write(np.concatenate(codes)[_order(ids, number)].data)
        out.write(ids_frame(self._lists, int(self.sizes[number])))
        last = -1
        for taken in _windows(runs, rows):
            ids = np.sort(np.concatenate([part.ids[~is_in(part.ids, part.run.without)] for part in taken]))
            if len(ids) and ids[0] <= last:
                raise ShardError(_twice(int(ids[0]), number))
            last = int(ids[-1]) if len(ids) else last
            out.write(ids.data)


class _Run:
    """One list of one file, its ids ascending, read in pieces."""

    def __init__(self, file: IndexFile, number: int, start: int, without: np.ndarray | None) -> None:
        self._path, self._number, self.without = file.path, number, without
        self.size, self._width = int(file.sizes[number]), file.lists.code_size
        self._codes, self._ids = start, start + self.size * self._width + len(ids_frame(file.lists, 0))

    def ids(self, first: int, last: int) -> np.ndarray:
        """Ids of the entries `first … last`, int64. Raises ShardError when they do not ascend."""
        ids = np.frombuffer(read_range(self._path, self._ids + 8 * first, self._ids + 8 * last), np.int64)
        if np.any(ids[1:] <= ids[:-1]):
            raise ShardError(f"the ids of list {self._number} in {self._path} do not ascend: encode it again")
        return ids

    def codes(self, first: int, last: int) -> np.ndarray:
        """Codes of the entries `first … last`, uint8 (entries, code size)."""
        data = read_range(self._path, self._codes + first * self._width, self._codes + last * self._width)
        return np.frombuffer(data, np.uint8).reshape(last - first, self._width)


@dataclass(frozen=True)
class _Part:
    """The entries `first … last` of a run, with their ids."""

    run: _Run
    first: int
    last: int
    ids: np.ndarray


def _windows(runs: Sequence[_Run], rows: int) -> Iterator[list[_Part]]:
    """Parts of the runs, at most `rows` of each at a time: no id in one window is larger than any id in the next."""
    at, held = [0] * len(runs), [np.empty(0, np.int64) for _ in runs]
    while True:
        for i, run in enumerate(runs):
            if not len(held[i]) and at[i] < run.size:
                held[i] = run.ids(at[i], min(at[i] + rows, run.size))
        # What a run has not shown yet may come right after the last id that it has shown.
        bounds = [ids[-1] for run, start, ids in zip(runs, at, held, strict=True) if start + len(ids) < run.size]
        taken = []
        for i, run in enumerate(runs):
            count = int(np.searchsorted(held[i], min(bounds), side="right")) if bounds else len(held[i])
            if count:
                taken.append(_Part(run, at[i], at[i] + count, held[i][:count]))
                at[i], held[i] = at[i] + count, held[i][count:]
        if not taken:
            return
        yield taken


def _kept_sizes(file: IndexFile, without: np.ndarray | None, piece: int) -> np.ndarray:
    """Entries of each list that are taken over, int64 (lists,), reading at most about `piece` bytes of ids at a time.

    Raises ShardError when an id to leave out is not there.
    """
    if without is None or not len(without):
        return file.sizes
    sizes, starts, width = file.sizes.astype(np.int64), file.offsets()[:-1], file.lists.code_size
    for first, last in _ranges(8 * sizes, piece):
        if file.lists.flat or 8 * sizes[first] > piece:
            for (part,) in _windows([_Run(file, first, int(starts[first]), without)], max(piece // 8, 1)):
                sizes[first] -= np.count_nonzero(is_in(part.ids, without))
        else:
            some = sizes[first:last]
            begin = starts[first:last] + some * width
            data = read_ranges(file.path, begin, begin + 8 * some)
            gone = is_in(np.frombuffer(b"".join(data), np.int64), without)
            some -= np.bincount(np.repeat(np.arange(len(some)), some)[gone], minlength=len(some))
    if file.entries - sizes.sum() != len(without):
        raise ShardError(_ABSENT)
    return sizes


def _ranges(sizes: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Consecutive ranges of lists of at most `most` bytes together, or one list that is larger."""
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    first = 0
    while first < len(sizes):
        last = max(int(np.searchsorted(ends, ends[first] + most, side="right")) - 1, first + 1)
        yield first, last
        first = last


def _order(ids: np.ndarray, number: int) -> np.ndarray:
    """The order in which ids ascend. Raises ShardError for an id that comes twice."""
    order = np.argsort(ids, kind="stable")
    ascending = ids[order]
    if len(twice := np.flatnonzero(ascending[1:] == ascending[:-1])):
        raise ShardError(_twice(int(ascending[twice[0]]), number))
    return order


def _twice(text: int, number: int) -> str:
    return f"text {text} comes more than once in list {number}: a shard was encoded or named twice"
