"""How FAISS lays inverted lists out in a file: the only place of this project that knows it.

After the header, which FAISS itself reads and writes, a file of `IndexIVF` has its lists (`write_InvertedLists` in
faiss/impl/index_write.cpp): "ilar", the number of lists, bytes for each code, then either "full" and the size of every
list, or, when at most half of the lists have entries, "sprs" and pairs of list number and size; then, list by list, codes
and ids. `IDMap2,Flat` is one list in another frame: the number of float32, the codes, the number of ids, the ids. All
numbers are uint64, little-endian. `transforms.index.check` compares all this with what the installed FAISS writes.
"""

import logging
import os
import shutil
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

import faiss
import numpy as np

from transforms.files import FileRef, filesystem_of, is_local, write_hashed
from transforms.index.faiss_files import read_index, write_index

_log = logging.getLogger(__name__)

_LISTS, _FULL, _SPARSE = b"ilar", b"full", b"sprs"
# "ilar", number of lists, bytes for each code, kind, number of sizes.
_FRAME = struct.Struct("<4sQQ4sQ")
_COUNT = struct.Struct("<Q")
_ID = 8
# Bytes of a file that are copied at a time.
_PIECE = 8 << 20


class LayoutError(ValueError):
    """A file is not laid out as this module knows it."""


@dataclass(frozen=True)
class Lists:
    """Where the lists of an index file begin, and what they are like: the same for all files of one template.

    `header` bytes come first. `flat`: the index is `IDMap2,Flat`, all of whose codes are one list.
    """

    header: int
    count: int
    code_size: int
    flat: bool = False

    @property
    def entry(self) -> int:
        """Bytes of a code with its id."""
        return self.code_size + _ID


@dataclass(frozen=True)
class IndexFile:
    """An index file whose frame was read: `start` is where the first list is.

    `sizes` (lists,) are the entries of each list: uint32, int64 where one has more.
    """

    path: str
    lists: Lists
    sizes: np.ndarray
    start: int

    @property
    def entries(self) -> int:
        """Entries of all lists."""
        return int(self.sizes.sum())

    def offsets(self) -> np.ndarray:
        """Where each list begins, and where the last one ends: int64 (lists + 1,)."""
        ends = np.cumsum(self.sizes, dtype=np.int64) * self.lists.entry
        return self.start + np.concatenate([np.zeros(1, np.int64), ends])


def locate_lists(path: str) -> tuple[Lists, Any]:
    """Where the lists of any index file begin; and the index itself with its header, but with empty lists.

    FAISS parses the header, and the place where it asks for the lists is where they are: nothing is searched for in data that
    might contain the same four bytes. Of the lists themselves nothing is read. The index says `ntotal` and `nprobe` as the file
    does. Raises LayoutError when the file is of no type that this project builds.
    """
    fs, inner = filesystem_of(path)
    with fs.open(inner, "rb") as file:
        if file.read(4) == b"IxM2":
            return _locate_flat(path, file)
        file.seek(0)
        asked: list[int] = []

        def read(size: int) -> bytes:
            at = file.tell()
            data: bytes = file.read(size)
            if data == _LISTS:
                asked.append(at)
            return data

        try:
            # Without a reader for the lists that it skips, FAISS stops there with an error.
            faiss.read_index(faiss.PyCallbackIOReader(read), faiss.IO_FLAG_SKIP_IVF_DATA)  # type: ignore[attr-defined]
        except RuntimeError as error:
            if not asked:
                raise LayoutError(
                    f"{path} cannot be read as a FAISS index with inverted lists; run `corpusbeam verify`"
                ) from error
        if not asked:
            raise LayoutError(f"{path} is a FAISS index without inverted lists")
        # The last one: what comes before it belongs to the header, whatever its bytes.
        header, end = asked[-1], file.tell()
        file.seek(header)
        name, count, code_size, _, sizes = _unpack(path, _FRAME, file.read(_FRAME.size))
        if name != _LISTS or header + _FRAME.size + sizes * _COUNT.size != end:
            raise LayoutError(f"{path} has no inverted lists where FAISS looks for them")
        lists = Lists(header, count, code_size)
        file.seek(0)
        index = _read_header(file, lists)
    ivf = faiss.extract_index_ivf(index)
    if (ivf.nlist, ivf.code_size) != (count, code_size):
        raise LayoutError(f"{path} has {count} lists of {code_size} bytes, its header says {ivf.nlist} of {ivf.code_size}")
    return lists, index


def _locate_flat(path: str, file: BinaryIO) -> tuple[Lists, Any]:
    (dim,) = _unpack(path, struct.Struct("<i"), file.read(4))
    (entries,) = _unpack(path, _COUNT, file.read(8))
    index = faiss.IndexIDMap2(faiss.IndexFlat(dim, faiss.METRIC_INNER_PRODUCT))
    set_entries(index, entries)
    lists = Lists(len(faiss.serialize_index(index)) - len(_empty_frame(Lists(0, 1, 4 * dim, flat=True))), 1, 4 * dim, flat=True)
    file.seek(0)
    if file.read(lists.header) != faiss.serialize_index(index)[: lists.header].tobytes():
        raise LayoutError(f"{path} is not an IDMap2,Flat index of inner products")
    return lists, index


def _read_header(file: BinaryIO, lists: Lists) -> Any:
    """The index whose header the file begins with, with empty lists."""
    rest, ending = lists.header, _empty_frame(lists)

    def read(size: int) -> bytes:
        nonlocal rest, ending
        if rest:
            data = file.read(min(size, rest))
            rest -= len(data)
            return data
        data, ending = ending[:size], ending[size:]
        return data

    return faiss.read_index(faiss.PyCallbackIOReader(read))  # type: ignore[attr-defined]  # made by SWIG


def set_entries(index: Any, entries: int) -> None:
    """Let an index say that it has so many entries, also the one inside another."""
    while True:
        index.ntotal = entries
        if not hasattr(index, "index"):
            return
        index = faiss.downcast_index(index.index)


def open_lists(path: str, lists: Lists) -> IndexFile:
    """Read the frame of a file with the header of the same template.

    Raises LayoutError when what is there is no frame of such lists, or when the file does not end with its last list.
    """
    fs, inner = filesystem_of(path)
    fs.invalidate_cache(inner)
    size = fs.size(inner)
    if lists.flat:
        (floats,) = _unpack(path, _COUNT, read_range(path, lists.header, lists.header + _COUNT.size))
        sizes = np.array([floats * 4 // lists.code_size], np.int64)
        start, behind = lists.header + _COUNT.size, _COUNT.size
    else:
        found = _unpack(path, _FRAME, read_range(path, lists.header, lists.header + _FRAME.size))
        name, count, code_size, kind, numbers = found
        if (name, count, code_size) != (_LISTS, lists.count, lists.code_size) or kind not in (_FULL, _SPARSE):
            raise LayoutError(f"{path} has no {lists.count} lists of {lists.code_size} bytes where its template ends")
        begin = lists.header + _FRAME.size
        start, behind = begin + numbers * _COUNT.size, 0
        stored = np.frombuffer(read_range(path, begin, start), "<i8")
        if len(stored) != numbers or (kind == _FULL and numbers != count) or numbers % 2 > (kind == _FULL):
            raise LayoutError(f"{path} says the sizes of {numbers} lists and has {len(stored)}; run `corpusbeam verify`")
        sizes = stored.astype(np.int64)
        if kind == _SPARSE:
            sizes = np.zeros(count, np.int64)
            sizes[stored[0::2]] = stored[1::2]
    # As small as they can be: a merge has those of all files in memory.
    narrow = sizes.astype(np.uint32) if sizes.max(initial=0) < 2**32 and sizes.min(initial=0) >= 0 else sizes
    file = IndexFile(path, lists, narrow, start)
    if file.offsets()[-1] + behind != size:
        raise LayoutError(f"{path} has {size} bytes, its lists end at {file.offsets()[-1] + behind}; run `corpusbeam verify`")
    return file


def write_lists(file: BinaryIO, index: Any, lists: Lists, sizes: np.ndarray, write: Callable[[BinaryIO], None]) -> None:
    """Write what FAISS would: the header of `index`, whose lists are empty, with the number of entries; the frame; the lists.

    `write` appends the lists: for each list its codes, then its ids. With `flat` it must call `ids_frame` between the two.
    """
    set_entries(index, int(sizes.sum()))
    header = _WithoutEnd(file, _empty_frame(lists))
    writer = faiss.PyCallbackIOWriter(header.write)  # type: ignore[attr-defined]  # made by SWIG
    faiss.write_index(index, writer)
    del writer
    header.finish()
    file.write(_frame(lists, sizes))
    write(file)


def ids_frame(lists: Lists, entries: int) -> bytes:
    """What is between the codes and the ids of a list."""
    return _COUNT.pack(entries) if lists.flat else b""


def copy_with_nprobe(source: str, target: str, nprobe: int) -> FileRef:
    """Copy an index file, with another `nprobe` in its header; an index without lists has none, its `nprobe` must be 0.

    The bytes are those of reading the index, setting its nprobe and writing it; only a piece of them is in memory at a time,
    beside the header, unless the file is laid out in another way than is known here: then, with a warning, all of them are.
    Raises ValueError for an nprobe that the index cannot have, and for a file that FAISS cannot read.
    """
    try:
        return _copy_with_nprobe(source, target, nprobe)
    except LayoutError as error:
        _log.warning("nprobe is set in memory, the whole index at once: %s", error)
        index = read_index(source)
        if nprobe:
            faiss.extract_index_ivf(index).nprobe = nprobe
        return write_index(index, target)


def _copy_with_nprobe(source: str, target: str, nprobe: int) -> FileRef:
    lists, index = locate_lists(source)
    if nprobe < (0 if lists.flat else 1) or nprobe > (0 if lists.flat else lists.count):
        raise ValueError(f"nprobe {nprobe} is not possible for {source} with {0 if lists.flat else lists.count} lists")
    if not lists.flat:
        faiss.extract_index_ivf(index).nprobe = nprobe

    def write(file: BinaryIO) -> None:
        header = _WithoutEnd(file, _empty_frame(lists))
        writer = faiss.PyCallbackIOWriter(header.write)  # type: ignore[attr-defined]  # made by SWIG
        faiss.write_index(index, writer)
        del writer
        header.finish()
        fs, inner = filesystem_of(source)
        with fs.open(inner, "rb") as whole:
            whole.seek(lists.header)
            shutil.copyfileobj(whole, file, _PIECE)

    return write_hashed(target, write)


def read_range(path: str, start: int, end: int) -> bytes:
    """Bytes `start … end` of a file. Raises LayoutError when it is shorter."""
    return read_ranges(path, [start], [end])[0]


def read_ranges(path: str, starts: Iterable[int], ends: Iterable[int]) -> list[bytes]:
    """Several ranges of a file; from an object store at the same time. Raises LayoutError when it is shorter."""
    wanted = [(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]
    fs, inner = filesystem_of(path)
    if is_local(path):
        with open(inner, "rb", buffering=0) as file:
            found = [os.pread(file.fileno(), end - start, start) if end > start else b"" for start, end in wanted]
    else:
        # An empty range cannot be asked for.
        some = [(start, end) for start, end in wanted if end > start]
        columns = [[start for start, _ in some], [end for _, end in some]]
        read = iter(fs.cat_ranges([inner] * len(some), *columns, on_error="raise") if some else [])
        found = [next(read) if end > start else b"" for start, end in wanted]
    for (start, end), data in zip(wanted, found, strict=True):
        if len(data) != end - start:
            raise LayoutError(f"{path} ends at byte {start + len(data)}, not {end}: it was cut off; run `corpusbeam verify`")
    return found


def _frame(lists: Lists, sizes: np.ndarray) -> bytes:
    """What FAISS writes between the header and the first list."""
    if lists.flat:
        return _COUNT.pack(int(sizes[0]) * lists.code_size // 4)
    (filled,) = np.nonzero(sizes)
    full = len(filled) > lists.count // 2
    numbers = sizes if full else np.column_stack([filled, sizes[filled]]).ravel()
    frame = _FRAME.pack(_LISTS, lists.count, lists.code_size, _FULL if full else _SPARSE, len(numbers))
    return frame + numbers.astype("<u8").tobytes()


def _empty_frame(lists: Lists) -> bytes:
    """How the file of an index without entries ends."""
    return _frame(lists, np.zeros(lists.count, np.int64)) + ids_frame(lists, 0)


class _WithoutEnd:
    """Hands on all that is written but its end, which must be the expected one."""

    def __init__(self, file: BinaryIO, end: bytes) -> None:
        self._file, self._expected, self._held = file, end, b""

    def write(self, data: bytes) -> int:
        held = self._held + data
        keep = max(len(held) - len(self._expected), 0)
        self._file.write(held[:keep])
        self._held = held[keep:]
        return len(data)

    def finish(self) -> None:
        """Raise LayoutError when the end is another one."""
        if self._held != self._expected:
            raise LayoutError("the installed FAISS ends the file of an empty index in another way than this project knows")


def _unpack(path: str, frame: struct.Struct, data: bytes) -> tuple[Any, ...]:
    if len(data) != frame.size:
        raise LayoutError(f"{path} was cut off; run `corpusbeam verify`")
    return frame.unpack(data)
