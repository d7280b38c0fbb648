import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from transforms.corpus import content_key
from transforms.files import CorruptFileError
from transforms.vectors import ShardIndex, describe_shards, texts, vectors_of, write_shard

TEXTS = sorted((f"{'abcdefg'[i % 7]} text {'xyz' * (i % 30)} {chr(97 + i)}" for i in range(20)), key=content_key)
KEYS = [content_key(text) for text in TEXTS]
NO_SHARDS = ShardIndex([])


def test_vectors_are_the_librarys_at_unit_length(tiny_spec, tiny_options):
    found = vectors_of(KEYS, TEXTS, NO_SHARDS, tiny_spec, tiny_options)
    library = SentenceTransformer(tiny_options.model, device="cpu")
    np.testing.assert_allclose(found.vectors, library.encode_document(TEXTS, normalize_embeddings=True), atol=1e-6)
    assert found.embedded == 20
    assert 0 < found.truncated.sum() < 20


def test_stored_vectors_are_taken_and_only_others_embedded(tiny_spec, tiny_options, tmp_path, monkeypatch):
    whole = vectors_of(KEYS, TEXTS, NO_SHARDS, tiny_spec, tiny_options)
    turned = np.ascontiguousarray(whole.vectors[::2, ::-1])
    shard = write_shard(str(tmp_path), KEYS[::2], turned, np.zeros(10, bool))
    index = ShardIndex(describe_shards([shard.path]))
    some = vectors_of(KEYS, TEXTS, index, tiny_spec, tiny_options)
    np.testing.assert_array_equal(some.vectors[::2], turned)
    np.testing.assert_array_equal(some.vectors[1::2], whole.vectors[1::2])
    assert some.embedded == 10

    monkeypatch.setattr(texts, "load_encoder", lambda *_: pytest.fail("the model was loaded"))
    known = vectors_of(KEYS[::2], [None] * 10, index, tiny_spec, tiny_options)
    np.testing.assert_array_equal(known.vectors, turned)
    with pytest.raises(CorruptFileError, match="1 texts, which the corpus does not keep"):
        vectors_of(KEYS[:2], [None, None], index, tiny_spec, tiny_options)
