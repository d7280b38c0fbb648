import functools
import io

import faiss
import numpy as np
import pytest

from tests.index.helpers import clustered_vectors
from transforms.files import file_ref, filesystem_of, write_bytes
from transforms.index import LayoutError, copy_with_nprobe, index_bytes, index_from_bytes, trained_template
from transforms.index.layout import locate_lists, open_lists, write_lists

TYPES = ["IVF16,Flat", "IVF1,SQbf16", "IVF300,SQ8", "IVF16,PQ4", "IVF16,RaBitQ4", "PCAR16,IVF16_HNSW8,SQ8", "RR,IVF16,Flat"]
VECTORS = clustered_vectors(600)


@functools.cache
def template(factory: str) -> bytes:
    return trained_template(factory, VECTORS)


def filled(factory: str, entries: int) -> faiss.Index:
    index = index_from_bytes(template(factory))
    if entries:
        index.add_with_ids(VECTORS[:entries], np.arange(entries) * 3)
    return index


def lists_of(index: faiss.Index) -> np.ndarray:
    lists = faiss.extract_index_ivf(index).invlists
    return np.array([lists.list_size(number) for number in range(lists.nlist)])


@pytest.mark.parametrize("entries", [0, 3, 600])
@pytest.mark.parametrize("factory", [*TYPES, "IDMap2,Flat"])
def test_lists_are_where_faiss_has_them(folder, factory, entries):
    index = filled(factory, entries)
    data, path = index_bytes(index), f"{folder}/index.faiss"
    write_bytes(path, data)
    lists, header = locate_lists(path)
    file = open_lists(path, lists)
    assert header.ntotal == file.entries == entries
    if lists.flat and entries:
        assert np.frombuffer(data[-8 * entries :], np.int64).tolist() == list(range(0, 3 * entries, 3))
    if not lists.flat:
        assert file.sizes.tolist() == lists_of(index).tolist()
        number = int(np.argmax(file.sizes))
        size = int(file.sizes[number])
        begin = int(file.offsets()[number]) + size * lists.code_size
        ids = data[begin : begin + 8 * size]
        ivf = faiss.extract_index_ivf(index)
        if size:
            assert np.frombuffer(ids, np.int64).tolist() == faiss.rev_swig_ptr(ivf.invlists.get_ids(number), size).tolist()
    # Header and frame written again, from the header that was read, are those of the file.
    again = io.BytesIO()
    write_lists(again, header, lists, file.sizes, lambda _: None)
    assert again.getvalue() == data[: file.start]
    assert len(data) - file.start == entries * lists.entry + (8 if lists.flat else 0)


@pytest.mark.parametrize("entries", [0, 3, 600])
@pytest.mark.parametrize("factory", TYPES)
def test_a_copy_with_another_nprobe_is_what_faiss_would_write(folder, factory, entries):
    index = filled(factory, entries)
    write_bytes(f"{folder}/index.faiss", index_bytes(index))
    ivf = faiss.extract_index_ivf(index)
    ivf.nprobe = (ivf.nlist + 1) // 2
    copy = copy_with_nprobe(f"{folder}/index.faiss", f"{folder}/copy.faiss", ivf.nprobe)
    fs, inner = filesystem_of(copy.path)
    assert fs.cat_file(inner) == index_bytes(index)
    assert copy == file_ref(copy.path)


def test_an_index_without_lists_has_no_nprobe(tmp_path):
    write_bytes(f"{tmp_path}/a", index_bytes(filled("IDMap2,Flat", 20)))
    assert copy_with_nprobe(f"{tmp_path}/a", f"{tmp_path}/b", 0).sha256 == file_ref(f"{tmp_path}/a").sha256
    with pytest.raises(ValueError, match="nprobe 1 is not possible"):
        copy_with_nprobe(f"{tmp_path}/a", f"{tmp_path}/b", 1)
    write_bytes(f"{tmp_path}/c", index_bytes(filled("IVF16,SQ8", 20)))
    for nprobe in (0, 17):
        with pytest.raises(ValueError, match=f"nprobe {nprobe} is not possible for .* with 16 lists"):
            copy_with_nprobe(f"{tmp_path}/c", f"{tmp_path}/d", nprobe)


def test_the_four_bytes_inside_data_mislead_nobody(tmp_path):
    vectors = VECTORS.copy()
    vectors.view("S4")[::7] = b"ilar"
    index = faiss.index_factory(32, "IVF16,Flat", faiss.METRIC_INNER_PRODUCT)
    # As centroids, and as entries.
    index.quantizer.add(vectors[:16])
    index.is_trained = True
    index.add(vectors)
    data = index_bytes(index)
    assert data.count(b"ilar") > 100
    write_bytes(f"{tmp_path}/a", data)
    lists, _ = locate_lists(f"{tmp_path}/a")
    assert open_lists(f"{tmp_path}/a", lists).sizes.tolist() == lists_of(index).tolist()


@pytest.mark.parametrize("factory", ["IVF16,SQ8", "IDMap2,Flat"])
def test_a_file_that_is_damaged_is_refused(tmp_path, factory):
    path, data = f"{tmp_path}/index.faiss", index_bytes(filled(factory, 100))
    write_bytes(path, data)
    lists, _ = locate_lists(path)
    for wrong in (data[:-1], data + b"x"):
        write_bytes(path, wrong)
        with pytest.raises(LayoutError, match=r"index\.faiss has \d+ bytes, its lists end at"):
            open_lists(path, lists)
    for length in (20, lists.header - 1, lists.header + 3):
        write_bytes(path, data[:length])
        with pytest.raises(LayoutError, match=r"index\.faiss"):
            open_lists(path, lists)
        if length < lists.header:
            with pytest.raises(LayoutError, match=r"index\.faiss"):
                locate_lists(path)


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "SQ8", "IDMap2,SQ8"])
def test_other_types_are_refused(tmp_path, factory):
    index = faiss.index_factory(32, factory)
    index.train(VECTORS)
    write_bytes(f"{tmp_path}/a", index_bytes(index))
    with pytest.raises(LayoutError):
        locate_lists(f"{tmp_path}/a")


def test_a_file_of_other_lists_is_refused(tmp_path):
    write_bytes(f"{tmp_path}/a", index_bytes(filled("IVF16,SQ8", 50)))
    write_bytes(f"{tmp_path}/b", index_bytes(filled("IVF16,SQfp16", 50)))
    lists, _ = locate_lists(f"{tmp_path}/a")
    with pytest.raises(LayoutError, match="has no 16 lists of 32 bytes where its template ends"):
        open_lists(f"{tmp_path}/b", lists)
