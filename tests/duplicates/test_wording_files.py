import numpy as np
import pytest

from tests.duplicates.helpers import make_corpus
from tests.neighbors.helpers import random_vectors
from transforms.duplicates import wordings_of
from transforms.duplicates.wording_files import WordingReader, read_characters, read_wordings, write_wordings

TEXTS = ["one two three four", "", "not 3", "one two three five", "a", "v2 of 31 May 2024"]


def same(a, b):
    for name in ("words", "grams"):
        one, other = getattr(a, name), getattr(b, name)
        assert np.array_equal(one.offsets - one.offsets[0], other.offsets - other.offsets[0])
        assert np.array_equal(one.values, other.values)
    for name in ("quantities", "negations", "characters"):
        assert np.array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("count", [0, 1, 6])
def test_wordings_come_back(folder, count):
    ids, wordings = np.arange(count) * 7, wordings_of(TEXTS[:count])
    ref = write_wordings(f"{folder}/part.arrow", ids, wordings)
    found, again = read_wordings(ref.path)
    assert ref.rows == count
    assert np.array_equal(found, ids)
    same(again, wordings)
    assert read_characters(ref.path).tolist() == [len(text) for text in TEXTS[:count]]


@pytest.mark.parametrize("rows_per_part", [1, 2, 6])
def test_texts_are_found_in_whatever_part_they_are(tmp_path, rows_per_part):
    owned = {text: [f"d{i}"] for i, text in enumerate(TEXTS)}
    corpus = make_corpus(tmp_path, owned, dict(zip(TEXTS, random_vectors(6), strict=True)), rows_per_part)
    reader = WordingReader(corpus.wordings(), np.array([block.ids()[0] for block in corpus.blocks]))
    for chosen in ([0, 1, 2, 3, 4, 5], [1, 4], [5], []):
        same(reader.of(corpus.ids[chosen]), wordings_of([corpus.texts[i] for i in chosen]))


def test_another_runs_texts_are_refused(tmp_path):
    ref = write_wordings(f"{tmp_path}/part.arrow", np.array([1, 3]), wordings_of(["a", "b"]))
    with pytest.raises(ValueError, match="different runs"):
        WordingReader([ref], np.array([1])).of(np.array([1, 2]))
