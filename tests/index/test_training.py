import json
from pathlib import Path

import faiss
import numpy as np
import pytest

from transforms.files import CorruptFileError, file_ref, write_json
from transforms.index import Encoded, Spread, Training, read_training, spread_of, write_training
from transforms.index.training import distance_steps


def test_spread_is_that_of_faiss():
    sizes = np.array([500, 3, 0, 80, 17, 0, 0, 120])
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(1), 1, 8)
    for number, size in enumerate(sizes.tolist()):
        ids, codes = np.zeros(size, np.int64), np.zeros((size, 4), np.uint8)
        if size:
            index.invlists.add_entries(number, size, faiss.swig_ptr(ids), faiss.swig_ptr(codes))
    spread = spread_of(sizes)
    assert spread.imbalance == pytest.approx(index.invlists.imbalance_factor())
    # An equal share is 90.
    assert spread.large_lists == 1 / 8
    assert spread_of(np.full(9, 2**40)) == Spread(1.0, 0.0)
    assert spread_of(np.zeros(4, np.int64)) == Spread(1.0, 0.0)


def test_sums_do_not_depend_on_shards():
    distances = np.random.default_rng(0).random(1000).astype(np.float32)
    whole = Encoded(1000, distance_steps(distances), 10, 5000)
    halves = [Encoded(len(part), distance_steps(part), 5, 2500) for part in (distances[::2], distances[1::2])]
    assert halves[0] + halves[1] == halves[1] + halves[0] == whole
    assert whole.mean_distance == pytest.approx(distances.mean(), abs=1e-7)
    assert whole.clipped_share == 0.002
    assert (Encoded().mean_distance, Encoded().clipped_share) == (0, 0)


def test_what_was_written_is_read(folder):
    training = Training(
        "IVF64,SQ8",
        "f" * 64,
        4096,
        Encoded(5, 4, 3, 2),
        Spread(1.1, 0.1),
        Encoded(1, 2, 3, 4),
        Spread(1.3, 0.0),
        7,
        0.99,
        "abc",
    )
    file = write_training(f"{folder}/training.json", training)
    assert file == file_ref(f"{folder}/training.json")
    assert read_training(file.path) == training


def test_a_file_of_before_the_target_was_noted_is_read(tmp_path):
    training = Training("IVF64,SQ8", "f" * 64, 4096, Encoded(), Spread(), Encoded(), Spread(), 7)
    values = json.loads(Path(write_training(f"{tmp_path}/training.json", training).path).read_text())
    del values["recall_target"], values["queries"]
    write_json(f"{tmp_path}/training.json", values)
    assert read_training(f"{tmp_path}/training.json") == training


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"format": 1}', '{"format": 1, "factory": 3}'])
def test_what_was_not_written_is_refused(tmp_path, text):
    (tmp_path / "training.json").write_text(text)
    with pytest.raises(CorruptFileError, match=r"training\.json says nothing of a training"):
        read_training(f"{tmp_path}/training.json")


def test_another_format_is_not_read(tmp_path):
    training = Training("IVF64,SQ8", "f" * 64, 4096, Encoded(), Spread(), Encoded(), Spread())
    path = write_training(f"{tmp_path}/training.json", training).path
    values = json.loads((tmp_path / "training.json").read_text())
    write_json(path, {**values, "format": 2, "more": 1})
    assert read_training(path) is None
