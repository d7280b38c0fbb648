import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sentence_transformers import SentenceTransformer

from transforms.embedding import EmbeddingOptions, Encoder, VectorError, encoder_spec, load_encoder
from transforms.files import file_ref, read_progress
from transforms.vectors import (
    SHARDS_PER_PART,
    PartFiller,
    count_missing,
    fill,
    fill_part,
    fill_parts,
    stored_shards,
    write_shard,
)

TEXTS = [f"{'abcdefghij'[i % 10] * (1 + i % 37)} text number {chr(97 + i % 26)} {'xyz' * (i // 7)}" for i in range(60)]


@pytest.fixture
def no_model(monkeypatch):
    """Any use of the model fails."""

    def fail(*_):
        raise AssertionError("the model was loaded")

    def forbid():
        monkeypatch.setattr(fill, "load_encoder", fail)

    return forbid


def fail_on_poison(spec, monkeypatch, message: str) -> None:
    """Let the model fail on every batch with a text that has the word."""
    own = load_encoder(spec, "cpu")
    monkeypatch.setattr(own, "_packed", None)
    real = own._model.encode_document

    def encode_document(texts, **arguments):
        if any("poison" in text for text in texts):
            raise RuntimeError(message)
        return real(texts, **arguments)

    monkeypatch.setattr(own._model, "encode_document", encode_document)


def texts_of(task) -> list[str]:
    return pq.read_table(task.passages.path)["text"].to_pylist()


def test_a_block_holds_the_librarys_vectors_of_its_texts_in_order(make_task, tiny_spec, tiny_options):
    task = make_task(TEXTS, part=3, start=100)
    record = fill_part(task, tiny_spec, tiny_options, None)
    library = SentenceTransformer(tiny_options.model, device="cpu")
    expected = library.encode_document(texts_of(task), normalize_embeddings=True)
    np.testing.assert_allclose(record.block.vectors(), expected, atol=1e-6)
    passages = pq.read_table(task.passages.path)
    np.testing.assert_array_equal(record.block.ids(), passages["id"].to_numpy())
    assert (record.block.start, record.block.rows, record.block.dim) == (100, 60, 16)
    assert record.part == 3
    assert record.block_files == (file_ref(record.block.path, 60), file_ref(record.block.ids_path, 60))
    assert (record.texts_embedded, record.texts_reused) == (60, 0)
    lengths = [len(library.tokenizer("passage: " + text, truncation=False)["input_ids"]) for text in texts_of(task)]
    assert record.tokens == sum(min(length, 32) for length in lengths)
    assert record.texts_truncated == sum(length > 32 for length in lengths) > 0
    assert record.padded_tokens >= record.tokens
    assert read_progress(task.progress) == 60


def test_new_vectors_are_stored_under_their_keys(make_task, tiny_spec, tiny_options):
    task = make_task(TEXTS)
    record = fill_part(task, tiny_spec, tiny_options, None)
    (shard,) = record.shards
    table = pq.read_table(shard.path)
    assert shard == file_ref(shard.path, 60)
    assert Path(shard.path).parent == Path(task.store)
    assert table["content_key"].to_pylist() == pq.read_table(task.passages.path)["content_key"].to_pylist()
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), record.block.vectors())


def test_a_second_run_takes_all_from_the_store_without_the_model(make_task, tiny_spec, tiny_options, no_model):
    first = fill_part(make_task(TEXTS), tiny_spec, tiny_options, None)
    no_model()
    task = make_task(TEXTS, shards=tuple(ref.path for ref in first.shards), run="second")
    second = fill_part(task, tiny_spec, tiny_options, None)
    assert (second.texts_embedded, second.texts_reused) == (0, 60)
    assert (second.tokens, second.padded_tokens, second.fidelity) == (0, 0, None)
    # What was cut off is still cut off, whoever embedded it.
    assert second.texts_truncated == first.texts_truncated > 0
    assert second.documents_truncated == first.documents_truncated > 0
    assert second.shards == first.shards
    assert [ref.sha256 for ref in second.block_files] == [ref.sha256 for ref in first.block_files]
    assert read_progress(task.progress) == 60


def test_only_missing_texts_are_embedded(make_task, tiny_spec, tiny_options, monkeypatch):
    first = fill_part(make_task(TEXTS[:25]), tiny_spec, tiny_options, None)
    other = fill_part(make_task(TEXTS[20:40], run="other"), tiny_spec, tiny_options, None)
    unused = fill_part(make_task(["nobody asks for this"], run="unused"), tiny_spec, tiny_options, None)
    asked = []
    real = Encoder.encode_documents
    monkeypatch.setattr(Encoder, "encode_documents", lambda self, texts, *rest: asked.extend(texts) or real(self, texts, *rest))
    shards = tuple(sorted(ref.path for record in (first, other, unused) for ref in record.shards))
    record = fill_part(make_task(TEXTS, shards=shards, run="second"), tiny_spec, tiny_options, None)
    assert sorted(asked) == sorted(TEXTS[40:])
    assert (record.texts_embedded, record.texts_reused) == (20, 40)
    # The record names the shards that hold this part's vectors: the ones used and the new one, not the unused.
    used = {ref.path for ref in (*first.shards, *other.shards)}
    paths = {ref.path for ref in record.shards}
    assert used < paths
    assert len(paths) == 3
    assert unused.shards[0].path not in paths
    assert all(ref == file_ref(ref.path, pq.read_metadata(ref.path).num_rows) for ref in record.shards)
    whole = fill_part(make_task(TEXTS, run="whole"), tiny_spec, tiny_options, None)
    np.testing.assert_allclose(record.block.vectors(), whole.block.vectors(), atol=1e-6)


def test_what_is_stored_is_believed_and_not_computed_again(make_task, tiny_spec, tiny_options, no_model):
    task = make_task(["abc"])
    keys = pq.read_table(task.passages.path)["content_key"].to_pylist()
    vector = np.eye(1, 16, 5, dtype=np.float32)
    shard = write_shard(task.store, keys, vector, np.array([False]))
    no_model()
    record = fill_part(make_task(["abc"], shards=(shard.path,), run="second"), tiny_spec, tiny_options, None)
    np.testing.assert_array_equal(record.block.vectors(), vector)


def test_doing_it_twice_writes_the_same_files(make_task, tiny_spec, tiny_options, tmp_path):
    first = fill_part(make_task(TEXTS), tiny_spec, tiny_options, None)
    again = fill_part(make_task(TEXTS), tiny_spec, tiny_options, None)
    assert first == again
    assert len(list((tmp_path / "store").iterdir())) == 1
    assert len(list((tmp_path / "run" / "blocks").iterdir())) == 2


def test_a_dot_model_has_its_own_vectors_stored_and_unit_ones_beside_them(make_task, tiny_options, no_model, tmp_path):
    options = tiny_options.model_copy(update={"metric": "dot"})
    spec = encoder_spec(options)
    record = fill_part(make_task(TEXTS), spec, options, None)
    library = SentenceTransformer(options.model, device="cpu")
    expected = library.encode_document(texts_of(make_task(TEXTS)))
    np.testing.assert_allclose(record.block.vectors(), expected, atol=1e-5)
    units = record.unit_block.vectors()
    exact = record.block.vectors().astype(np.float64)
    np.testing.assert_array_equal(units, (exact / np.linalg.norm(exact, axis=1, keepdims=True)).astype(np.float32))
    np.testing.assert_array_equal(record.unit_block.ids(), record.block.ids())
    paths = [record.block.path, record.block.ids_path, record.unit_block.path]
    assert record.block_files == tuple(file_ref(path, 60) for path in paths)
    (shard,) = record.shards
    stored = pq.read_table(shard.path)
    np.testing.assert_array_equal(np.array(stored["vector"].to_pylist(), np.float32), record.block.vectors())
    assert b"inner products" in stored.schema.field("vector").metadata[b"description"]
    no_model()
    again = fill_part(make_task(TEXTS, shards=(shard.path,), run="second"), spec, options, None)
    assert [ref.sha256 for ref in again.block_files] == [ref.sha256 for ref in record.block_files]


def test_a_cosine_model_has_one_file_of_vectors(make_task, tiny_spec, tiny_options):
    record = fill_part(make_task(TEXTS), tiny_spec, tiny_options, None)
    assert record.unit_block == record.block
    assert len(record.block_files) == 2
    description = pq.read_schema(record.shards[0].path).field("vector").metadata[b"description"]
    assert description == b"the text's vector, unit length, from the encoder whose fingerprint is the folder's name"


def test_a_part_without_texts(make_task, tiny_spec, tiny_options):
    record = fill_part(make_task([]), tiny_spec, tiny_options, None)
    assert (record.block.rows, record.block.dim, record.shards) == (0, 16, ())
    assert record.block.vectors().shape == (0, 16)


def test_a_text_that_the_model_fails_on_is_named_and_its_neighbours_are_stored(make_task, tiny_spec, tiny_options, monkeypatch):
    fail_on_poison(tiny_spec, monkeypatch, "two\nlines")
    record = fill_part(make_task([*TEXTS, "poison", "more poison"]), tiny_spec, tiny_options, None)
    assert {(text.doc_id, text.error) for text in record.failed} == {
        ("doc of poison", "two lines"),
        ("doc of more poison", "two lines"),
    }
    assert {text.content_key for text in record.failed} == {
        hashlib.sha256(text.encode()).hexdigest() for text in ("poison", "more poison")
    }
    assert (record.texts_embedded, record.block.rows) == (60, 60)
    good = fill_part(make_task(TEXTS, run="good"), tiny_spec, tiny_options, None)
    # The model runs through the library here, whose last bits may depend on the texts beside one.
    np.testing.assert_allclose(record.block.vectors(), good.block.vectors(), atol=1e-6)
    np.testing.assert_array_equal(record.block.ids(), good.block.ids())
    assert [ref.rows for ref in record.shards] == [ref.rows for ref in good.shards]


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_bad_vector_stops_with_its_document_and_stores_nothing(
    make_task, tiny_spec, tiny_options, monkeypatch, tmp_path, value
):
    own = load_encoder(tiny_spec, "cpu")
    monkeypatch.setattr(own, "_packed", None)
    real = own._model.encode_document

    def encode_document(texts, **arguments):
        vectors = real(texts, **arguments)
        vectors[[text == "the bad one" for text in texts]] = value
        return vectors

    monkeypatch.setattr(own._model, "encode_document", encode_document)
    with pytest.raises(VectorError, match=r"'doc of the bad one' \(1 of 61 texts\)"):
        fill_part(make_task([*TEXTS, "the bad one"]), tiny_spec, tiny_options, None)
    assert stored_shards(str(tmp_path), "") == []
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "run" / "blocks").exists()


# --- batches, stored one by one -------------------------------------------------------------------------------------------


def shards_under(tmp_path: Path) -> list[str]:
    return sorted(str(path) for path in (tmp_path / "store").glob("*.parquet"))


def small_batches(options: EmbeddingOptions, characters: int) -> EmbeddingOptions:
    return options.model_copy(update={"characters_per_batch": characters})


@pytest.mark.parametrize("characters", [1, 200, 700])
def test_vectors_are_the_same_bytes_whatever_the_batch(make_task, tiny_spec, tiny_options, characters):
    whole = fill_part(make_task(TEXTS, run="whole"), tiny_spec, tiny_options, None)
    task = make_task(TEXTS, run="cut")
    cut = fill_part(task, tiny_spec, small_batches(tiny_options, characters), None)
    assert [ref.sha256 for ref in cut.block_files] == [ref.sha256 for ref in whole.block_files]
    for name in ("texts_embedded", "texts_reused", "texts_truncated", "documents_truncated", "tokens", "failed", "fidelity"):
        assert getattr(cut, name) == getattr(whole, name), name
    assert read_progress(task.progress) == 60


def test_batches_are_shards_in_key_order(make_task, tiny_spec, tiny_options):
    task = make_task(TEXTS)
    record = fill_part(task, tiny_spec, small_batches(tiny_options, 500), None)
    assert 2 < len(record.shards) <= SHARDS_PER_PART
    keys = [pq.read_table(ref.path)["content_key"].to_pylist() for ref in record.shards]
    assert [key for shard in keys for key in shard] == pq.read_table(task.passages.path)["content_key"].to_pylist()
    costs = dict(
        zip((key for shard in keys for key in shard), (min(len(text), 4 * 32) for text in texts_of(task)), strict=True)
    )
    for shard in keys[:-1]:
        assert sum(costs[key] for key in shard) >= 500 > sum(costs[key] for key in shard[:-1])


def test_what_was_stored_before_an_error_is_not_embedded_again(make_task, tiny_spec, tiny_options, monkeypatch, tmp_path):
    options = small_batches(tiny_options, 500)
    undisturbed = fill_part(make_task(TEXTS, run="undisturbed"), tiny_spec, options, None)
    expected = shards_under(tmp_path)
    for path in expected:
        Path(path).unlink()
    asked: list[str] = []
    real = Encoder.encode_documents

    def encode_documents(self, texts, *rest):
        if len(asked) > 25:
            raise OSError("disk full")
        asked.extend(texts)
        return real(self, texts, *rest)

    with monkeypatch.context() as broken:
        broken.setattr(Encoder, "encode_documents", encode_documents)
        with pytest.raises(OSError, match="disk full"):
            fill_part(make_task(TEXTS), tiny_spec, options, None)
    assert 25 < len(asked) < 60
    stored = shards_under(tmp_path)
    again = fill_part(make_task(TEXTS, shards=tuple(stored), run="again"), tiny_spec, options, None)
    assert (again.texts_embedded, again.texts_reused) == (60 - len(asked), len(asked))
    assert shards_under(tmp_path) == expected
    assert sorted(again.shards) == sorted(undisturbed.shards)
    assert [ref.sha256 for ref in again.block_files] == [ref.sha256 for ref in undisturbed.block_files]


def test_failed_texts_of_every_batch_are_named(make_task, tiny_spec, tiny_options, monkeypatch):
    fail_on_poison(tiny_spec, monkeypatch, "no")
    poison = {f"poison {name}" for name in "abcdefgh"}
    task = make_task([*TEXTS, *poison])
    # Batches of one text: some have nothing but a text that fails.
    record = fill_part(task, tiny_spec, small_batches(tiny_options, 1), None)
    assert {text.content_key for text in record.failed} == {hashlib.sha256(text.encode()).hexdigest() for text in poison}
    assert [text.doc_id for text in record.failed] == [f"doc of {text}" for text in texts_of(task) if text in poison]
    assert (record.texts_embedded, record.block.rows) == (60, 60)
    assert read_progress(task.progress) == 68


# --- several parts together -----------------------------------------------------------------------------------------------

# No text is in two parts.
PARTS = [TEXTS[:20], TEXTS[20:40], TEXTS[40:]]


def calls_of(monkeypatch) -> list[list[str]]:
    """The texts of every call of the encoder from now on."""
    calls: list[list[str]] = []
    real = Encoder.encode_documents
    monkeypatch.setattr(
        Encoder, "encode_documents", lambda self, texts, *rest: calls.append(list(texts)) or real(self, texts, *rest)
    )
    return calls


def test_missing_texts_of_several_parts_are_embedded_together_and_stored_as_of_each(
    make_task, tiny_spec, tiny_options, monkeypatch, tmp_path
):
    known = [
        fill_part(make_task(texts[:17], part=i, run="known"), tiny_spec, tiny_options, None) for i, texts in enumerate(PARTS)
    ]
    shards = tuple(ref.path for record in known for ref in record.shards)
    alone = [
        fill_part(make_task(texts, shards=shards, part=i, start=20 * i, run="alone"), tiny_spec, tiny_options, None)
        for i, texts in enumerate(PARTS)
    ]
    written = shards_under(tmp_path)
    for path in set(written) - set(shards):
        Path(path).unlink()
    calls = calls_of(monkeypatch)
    tasks = [make_task(texts, shards=shards, part=i, start=20 * i, run="together") for i, texts in enumerate(PARTS)]
    together = list(fill_parts(tasks, tiny_spec, tiny_options, None))
    assert [sorted(call) for call in calls] == [sorted(text for texts in PARTS for text in texts[17:])]
    assert shards_under(tmp_path) == written
    for one, other in zip(together, alone, strict=True):
        assert [ref.sha256 for ref in one.block_files] == [ref.sha256 for ref in other.block_files]
        for name in ("part", "shards", "texts_embedded", "texts_reused", "texts_truncated", "documents_truncated", "fidelity"):
            assert getattr(one, name) == getattr(other, name), name
    assert sum(record.tokens for record in together) == sum(record.tokens for record in alone)
    assert read_progress(tasks[0].progress) == 60


@pytest.mark.parametrize("characters", [1, 300, 900, 10**9])
def test_not_more_than_one_batch_is_embedded_and_not_stored(make_task, tiny_spec, tiny_options, monkeypatch, characters):
    calls = calls_of(monkeypatch)
    options = small_batches(tiny_options, characters)
    records = list(fill_parts([make_task(texts, part=i) for i, texts in enumerate(PARTS)], tiny_spec, options, None))
    assert sorted(text for call in calls for text in call) == sorted(TEXTS)
    for call in calls:
        costs = [min(len(text), 4 * 32) for text in call]
        # A batch ends with the text that makes it large enough.
        assert sum(costs) <= characters or sum(costs[:-1]) < characters
    assert sum(record.block.rows for record in records) == 60


def test_a_part_that_lacks_nothing_does_not_wait(make_task, tiny_spec, tiny_options):
    known = fill_part(make_task(PARTS[0], run="known"), tiny_spec, tiny_options, None)
    filler = PartFiller(tiny_spec, tiny_options, None)
    lacking = make_task(PARTS[1], part=1)
    complete = make_task(PARTS[0], shards=tuple(ref.path for ref in known.shards), part=0, run="again")
    assert list(filler.add(lacking)) == []
    assert [record.part for record in filler.add(complete)] == [0]
    assert [record.part for record in filler.finish()] == [1]
    assert list(filler.finish()) == []


def test_parts_that_wait_are_not_kept_in_memory_without_end(make_task, tiny_spec, tiny_options, monkeypatch):
    # A part has 20 vectors of 16 dimensions, 1,280 bytes, and its texts.
    monkeypatch.setattr(fill, "_WAITING_BYTES", 3000)
    filler = PartFiller(tiny_spec, tiny_options, None)
    found = [[record.part for record in filler.add(make_task(texts, part=i))] for i, texts in enumerate(PARTS)]
    assert found == [[], [0, 1], []]
    assert [record.part for record in filler.finish()] == [2]


def test_a_failed_text_is_named_by_its_own_part(make_task, tiny_spec, tiny_options, monkeypatch):
    fail_on_poison(tiny_spec, monkeypatch, "no")
    texts = [PARTS[0], [*PARTS[1], "poison"], PARTS[2]]
    records = list(fill_parts([make_task(own, part=i) for i, own in enumerate(texts)], tiny_spec, tiny_options, None))
    assert [[text.doc_id for text in record.failed] for record in records] == [[], ["doc of poison"], []]
    assert [(record.texts_embedded, record.block.rows) for record in records] == [(20, 20)] * 3


# --- few shards for a part ------------------------------------------------------------------------------------------------


def test_many_shards_of_a_part_become_one(make_task, tiny_spec, tiny_options, tmp_path, no_model):
    whole = fill_part(make_task(TEXTS, run="whole"), tiny_spec, tiny_options, None)
    (one,) = shards_under(tmp_path)
    Path(one).unlink()
    for night in range(SHARDS_PER_PART + 1):
        texts = TEXTS[: 20 + night]
        shards = tuple(shards_under(tmp_path))
        record = fill_part(make_task(texts, shards=shards, run=f"night {night}"), tiny_spec, tiny_options, None)
        assert len(record.shards) == (night + 1 if night < SHARDS_PER_PART else 1)
        assert record.texts_embedded == (1 if night else 20)
    # Older generations keep what they name.
    assert len(shards_under(tmp_path)) == SHARDS_PER_PART + 2
    (merged,) = record.shards
    assert merged == file_ref(merged.path, len(texts))
    table = pq.read_table(merged.path)
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), record.block.vectors())
    stored = {key: row for path in shards for key, row in rows_of(path).items()}
    assert len(stored) == len(texts) - 1
    assert {key: row for key, row in rows_of(merged.path).items() if key in stored} == stored
    keys = pq.read_table(make_task(TEXTS).passages.path)["content_key"].to_pylist()
    own = dict(zip(keys, whole.block.vectors(), strict=True))
    for key, vector in zip(table["content_key"].to_pylist(), record.block.vectors(), strict=True):
        assert vector.tobytes() == own[key].tobytes()

    # The next run needs only that one.
    no_model()
    task = make_task(texts, shards=tuple(shards_under(tmp_path)), run="after")
    after = fill_part(task, tiny_spec, tiny_options, None)
    assert after.shards == record.shards
    assert len(shards_under(tmp_path)) == SHARDS_PER_PART + 2
    assert [ref.sha256 for ref in after.block_files] == [ref.sha256 for ref in record.block_files]
    assert after.texts_truncated == record.texts_truncated


def rows_of(path: str) -> dict[bytes, tuple[bytes, bool]]:
    table = pq.read_table(path)
    vectors = np.array(table["vector"].to_pylist(), np.float32)
    return {
        key: (vector.tobytes(), truncated)
        for key, vector, truncated in zip(
            table["content_key"].to_pylist(), vectors, table["truncated"].to_pylist(), strict=True
        )
    }


# --- damaged shards -------------------------------------------------------------------------------------------------------


def test_texts_of_a_damaged_shard_are_embedded_again(make_task, tiny_spec, tiny_options, tmp_path):
    options = small_batches(tiny_options, 500)
    first = fill_part(make_task(TEXTS), tiny_spec, options, None)
    bad = first.shards[1]
    sound = Path(bad.path).read_bytes()
    Path(bad.path).write_bytes(sound[:300] + bytes([sound[300] ^ 1]) + sound[301:])
    task = make_task(TEXTS, shards=tuple(shards_under(tmp_path)), run="second")
    assert count_missing(task).texts == bad.rows
    assert count_missing(task).damaged == (bad.path,)
    second = fill_part(task, tiny_spec, tiny_options, None)
    assert second.damaged == (bad.path,)
    assert (second.texts_embedded, second.texts_reused) == (bad.rows, 60 - bad.rows)
    assert [ref.sha256 for ref in second.block_files] == [ref.sha256 for ref in first.block_files]
    # The same texts give the same file, so that it is whole again for all who name it.
    assert Path(bad.path).read_bytes() == sound
    assert sorted(second.shards) == sorted(first.shards)


def test_the_default_model(make_task, minilm_spec, minilm):
    task = make_task(["The parcel is late.", "My parcel has not arrived.", "Bananas are yellow."])
    record = fill_part(task, minilm_spec, EmbeddingOptions(), None)
    expected = minilm._model.encode(texts_of(task), normalize_embeddings=True)
    vectors = record.block.vectors()
    assert (vectors * expected).sum(1).min() >= 0.999999
    by_text = dict(zip(texts_of(task), vectors, strict=True))
    late, missing, bananas = (
        by_text["The parcel is late."],
        by_text["My parcel has not arrived."],
        by_text["Bananas are yellow."],
    )
    assert late @ missing > 0.6 > 0.3 > late @ bananas
