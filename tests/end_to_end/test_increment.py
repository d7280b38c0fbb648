"""The index over many nights: grown from the published one, it is what encoding everything with the same training gives."""

import json
import random
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pytest

from pipelines import increment
from pipelines import index as index_stage
from pipelines.reindex import reindex
from tests.embedding.tiny import build_model
from tests.end_to_end.carried_on import assert_carried_on
from tests.end_to_end.test_differential import ONE_OF_EACH, History, results, run, table, vectors
from transforms.corpus import ids_of
from transforms.generations import Generation, open_generation
from transforms.index import drift, fingerprint_of, index_bytes, read_index


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("model"))


class Nights:
    """A corpus under one root whose index has lists."""

    def __init__(self, root: Path, model: str, documents: int = 40) -> None:
        self.root, self.model, self.dice, self.history = root, model, random.Random(1), History()
        self.history.apply("add", documents, self.dice)

    def config(self, root: Path, retrain: str, **settings: str):
        config = self.history.config(root, self.model)
        return config.model_copy(
            update={"index": config.index.model_copy(update={"type": "IVF4,SQ8", "retrain": retrain, **settings})}
        )

    def pass_by(self, *edits: tuple[str, int], retrain: str = "drift") -> Generation:
        """Edit the corpus and publish it."""
        for edit, count in edits:
            self.history.apply(edit, count, self.dice)
        run(self.config(self.root, retrain))
        return open_generation(str(self.root))

    def from_nothing(self, folder: Path, retrain: str = "drift") -> dict[str, str]:
        """What a run without a past publishes of the index."""
        assert run(self.config(folder, retrain)).published
        return index_files(open_generation(str(folder)))


def index_files(generation: Generation) -> dict[str, str]:
    return {path: sha256 for path, sha256 in results(generation).items() if path.startswith("index/")}


def stages(generation: Generation) -> dict:
    return json.loads(Path(generation.path("metrics.json")).read_text())["stages"]


def keys_of(generation: Generation) -> set[bytes]:
    return set(table(generation, "documents")["content_key"].to_pylist())


def trained(generation: Generation) -> str:
    return results(generation)["index/trained.faiss"]


def everything_encoded(generation: Generation) -> str:
    """By FAISS alone: the published vectors, in the order of their ids, added to the published training."""
    index = read_index(generation.path("index/trained.faiss"))
    keys = sorted(keys_of(generation))
    stored = vectors(generation, set(keys))
    matrix = np.stack([np.frombuffer(stored[key][0], np.float32) for key in keys])
    index.add_with_ids(matrix, ids_of(pa.array(keys, pa.binary(32))))
    faiss.extract_index_ivf(index).nprobe = faiss.extract_index_ivf(read_index(generation.path("index/index.faiss"))).nprobe
    return fingerprint_of(index_bytes(index))


@pytest.mark.slow
def test_an_index_that_grows_is_everything_encoded_with_its_training(tmp_path, model):
    nights = Nights(tmp_path / "root", model)
    first = before = nights.pass_by()
    assert stages(first)["index"]["texts_encoded"] == len(nights.history.texts)
    for edits in (ONE_OF_EACH[0] + ONE_OF_EACH[1], ONE_OF_EACH[2] + ONE_OF_EACH[4]):
        generation = nights.pass_by(*edits)
        assert results(generation)["index/index.faiss"] == everything_encoded(generation)
        assert trained(generation) == trained(first)
        counts = stages(generation)["index"]
        # Exactly the texts that the published index did not have are encoded.
        assert counts["texts_encoded"] == len(keys_of(generation) - keys_of(before))
        assert counts["texts_indexed"] == len(keys_of(generation))
        assert_carried_on(before, generation)
        before = generation
    assert 0 < counts["texts_since_training"] < counts["texts_at_training"] == len(keys_of(first))
    # Nothing is left of the past where the settings ask for that,
    always = nights.pass_by(retrain="always")
    assert index_files(always) == nights.from_nothing(tmp_path / "nothing", "always")
    assert trained(always) != trained(first)
    # nor once more than half of the texts are new.
    grown = nights.pass_by(("add", 30))
    assert trained(grown) != trained(always)
    assert index_files(grown) == nights.from_nothing(tmp_path / "grown")


@pytest.mark.long
def test_a_training_that_fits_no_longer_is_made_anew(tmp_path, model, monkeypatch):
    nights = Nights(tmp_path / "root", model)
    nights.pass_by()
    for number, patch in enumerate(
        [
            (drift, "_IMBALANCE", 0.0),
            # Found out only when recall has been measured.
            (drift, "_NPROBE", 0),
            (increment, "read_training", lambda path: None),
        ]
    ):
        nights.history.apply("edit", 1, nights.dice)
        with monkeypatch.context() as patched:
            patched.setattr(*patch)
            generation = nights.pass_by()
        assert index_files(generation) == nights.from_nothing(tmp_path / f"nothing{number}")
        # What is published is told under the plain names.
        assert stages(generation)["index"]["texts_since_training"] == 0
        assert ("index_outgrown" in stages(generation)) == (patch[1] == "_NPROBE")


@pytest.mark.long
@pytest.mark.parametrize("file", ["index.faiss", "training.json", "trained.faiss"])
def test_a_damaged_file_is_not_used_again(tmp_path, model, capsys, file):
    nights = Nights(tmp_path / "root", model)
    path = Path(nights.pass_by().path(f"index/{file}"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    generation = nights.pass_by(("edit", 2))
    assert file in capsys.readouterr().err
    assert index_files(generation) == nights.from_nothing(tmp_path / "nothing")


@pytest.mark.long
def test_another_type_and_other_settings_train_anew(tmp_path, model):
    nights = Nights(tmp_path / "root", model)
    nights.pass_by()
    for settings in ({"type": "IVF4,SQfp16"}, {"type": "IVF5,SQfp16"}, {"train_points_per_list": 1, "type": "IDMap2,Flat"}):
        assert reindex(nights.config(nights.root, "drift", **settings)).published
        generation = open_generation(str(nights.root))
        assert stages(generation)["index"]["texts_encoded"] == len(keys_of(generation))
        assert ("index/training.json" in index_files(generation)) == (settings["type"] != "IDMap2,Flat")


@pytest.mark.long
def test_a_raised_target_is_no_drift_and_what_it_needs_is_the_new_base(tmp_path, model):
    nights = Nights(tmp_path / "root", model)
    noted = []
    for target in (0.2, 0.2, 1.0, 1.0):
        nights.history.apply("edit", 1, nights.dice)
        assert reindex(nights.config(nights.root, "drift", recall_target=target, recall_gate=0.0)).published
        generation = open_generation(str(nights.root))
        training = json.loads(Path(generation.path("index/training.json")).read_text())
        noted.append((training["nprobe"], training["recall_target"], training["queries"]))
        assert "index_outgrown" not in stages(generation)
        assert training["added"]["texts"] == len(noted) - 1
    assert noted[:3] == [(None, None, None), (1, 0.2, None), (None, None, None)]
    assert noted[3][0] > 2
    assert noted[3][1:] == (1.0, None)


@pytest.mark.long
def test_a_run_after_one_that_trained_anew_takes_both_over(tmp_path, model, monkeypatch):
    nights = Nights(tmp_path / "root", model)
    nights.pass_by()
    nights.history.apply("edit", 1, nights.dice)
    config = nights.config(nights.root, "drift")
    monkeypatch.setattr(drift, "_NPROBE", 0)
    dry = reindex(config, dry_run=True)
    assert "index_outgrown" in dry.metrics["stages"]
    found = reindex(config)
    assert found.published
    resumed = {name: stage["resumed"] for name, stage in found.metrics["stages"].items()}
    assert resumed["index"]
    assert resumed["recall"]
    assert "index_outgrown" not in resumed
    assert index_files(open_generation(str(nights.root))) == nights.from_nothing(tmp_path / "nothing")


@pytest.mark.long
def test_a_run_that_died_while_it_trained_anew_keeps_its_first_attempt(tmp_path, model, monkeypatch):
    nights = Nights(tmp_path / "root", model)
    nights.pass_by()
    nights.history.apply("edit", 1, nights.dice)
    config = nights.config(nights.root, "drift")
    monkeypatch.setattr(drift, "_NPROBE", 0)
    with monkeypatch.context() as patched:
        # The second training is done, its shards are not merged.
        patched.setattr(index_stage, "_merged", dies_the_second_time(index_stage._merged))
        with pytest.raises(RuntimeError, match="died"):
            reindex(config)
    stages = reindex(config).metrics["stages"]
    assert stages["index_outgrown"]["resumed"]
    assert stages["recall_outgrown"]["resumed"]
    assert not stages["index"]["resumed"]


def dies_the_second_time(function):
    calls = []

    def call(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise RuntimeError("died")
        return function(*arguments)

    return call
