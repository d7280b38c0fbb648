"""Rates from a chain of generations that is made up, so that every number is known."""

import pytest

from pipelines.estimate import measured_rate
from transforms.embedding import EncoderSpec
from transforms.files import file_ref, remove, write_json
from transforms.generations import FORMAT, Manifest, manifest_path, open_generation, published_files, write_manifest

FILES = (("model.safetensors", "a" * 64),)
OTHER = (("model.safetensors", "b" * 64),)


def spec(precision: str = "fp32") -> EncoderSpec:
    return EncoderSpec("m", "/m", FILES, None, None, None, None, precision)


@pytest.fixture
def chain(tmp_path):
    """Generations from (embedded, reused, characters of all texts, seconds, precision, model's files), oldest first."""
    root = str(tmp_path)

    def write(*runs: tuple):
        parent = None
        for i, (embedded, reused, characters, seconds, precision, files) in enumerate(runs):
            generation = f"2026010{i + 1}T000000Z-00000000"
            passages = {} if characters is None else {"characters": characters}
            embed = {"texts_embedded": embedded, "texts_reused": reused, "seconds": seconds, "resumed": False}
            path = f"{root}/generations/{generation}/metrics.json"
            write_json(path, {"stages": {"passages": passages, "embed": embed}})
            manifest = Manifest(
                format=FORMAT,
                generation=generation,
                parent=parent,
                created="",
                encoder={"precision": precision, "files": dict(files)},
                corpus_digest="",
                configuration_digest="",
                configuration={},
                versions={},
                counts={},
                gates=[],
                files=published_files(root, [file_ref(path)]),
            ).with_digest()
            write_manifest(root, manifest)
            parent = generation
        return open_generation(root, parent)

    return write


def test_characters_tell_more_than_texts(chain):
    rate = measured_rate(chain((200, 0, 4000, 10.0, "fp32", FILES)), spec())
    assert (rate.texts, rate.characters, rate.same_model) == (20, 400, True)
    assert rate.seconds(1, 1200) == 3


def test_a_run_that_embedded_a_part_counts_its_share_of_the_characters(chain):
    rate = measured_rate(chain((100, 300, 4000, 10.0, "fp32", FILES)), spec())
    assert rate.characters == 100


def test_runs_that_did_not_count_characters_are_scaled_by_texts(chain):
    rate = measured_rate(chain((200, 0, None, 10.0, "fp32", FILES)), spec())
    assert rate.seconds(40, 1_000_000) == 2


def test_small_runs_and_other_precisions_are_passed_over(chain):
    last = chain(
        (500, 0, 5000, 10.0, "fp32", FILES),
        (500, 0, 5000, 1.0, "int8", FILES),
        (99, 500, 6000, 5.0, "fp32", FILES),
    )
    assert measured_rate(last, spec()).characters == 500
    assert measured_rate(last, spec("int8")).characters == 5000
    assert measured_rate(last, spec("bf16")) is None
    assert measured_rate(None, spec()) is None


def test_a_run_of_the_same_model_counts_before_a_later_one_of_another(chain):
    last = chain((500, 0, 5000, 10.0, "fp32", FILES), (500, 0, 5000, 1.0, "fp32", OTHER))
    assert (measured_rate(last, spec()).same_model, measured_rate(last, spec()).characters) == (True, 500)
    only = chain((500, 0, 5000, 1.0, "fp32", OTHER))
    assert measured_rate(only, spec()).same_model is False


def test_the_chain_ends_where_a_generation_was_removed(chain):
    last = chain((500, 0, 5000, 10.0, "fp32", FILES), (1, 500, 5000, 1.0, "fp32", FILES))
    remove(manifest_path(last.root, last.manifest.parent))
    assert measured_rate(last, spec()) is None
