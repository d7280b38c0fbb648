import hashlib

import numpy as np
import pytest

from transforms.files import file_ref, filesystem_of, write_hashed


def test_the_reference_is_that_of_the_file(folder):
    pieces = [b"", b"small", bytes(1 << 17), np.arange(50_000), np.empty((0, 3))]

    def write(file):
        for piece in pieces:
            data = piece if isinstance(piece, bytes) else piece.data
            assert file.write(data) == len(piece) * (1 if isinstance(piece, bytes) else piece.itemsize)

    ref = write_hashed(f"{folder}/a/file", write, rows=7)
    expected = b"".join(piece if isinstance(piece, bytes) else piece.tobytes() for piece in pieces)
    fs, inner = filesystem_of(ref.path)
    assert fs.cat_file(inner) == expected
    assert ref == file_ref(ref.path, 7)
    assert ref.sha256 == hashlib.sha256(expected).hexdigest()


def test_what_fails_leaves_nothing(folder):
    def write(file):
        file.write(bytes(1 << 17))
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_hashed(f"{folder}/file", write)
    fs, inner = filesystem_of(folder)
    assert not fs.exists(inner) or fs.find(inner) == []
