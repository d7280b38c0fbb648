"""Vectors of texts that are at hand, in memory: from the store where it has them, else from the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transforms.embedding import EmbeddingOptions, EncoderSpec, ModelError, check_vectors, load_encoder
from transforms.files import CorruptFileError
from transforms.vectors.blocks import unit_vectors
from transforms.vectors.lookup import ShardIndex, find_vectors


@dataclass(frozen=True)
class TextVectors:
    """`vectors` float32 (n, dim), of unit length unless asked for otherwise; `truncated` bool (n,) says which of
    the texts are longer than the model's limit.

    `embedded` texts had no stored vector. `damaged` are paths of shards that were not believed.
    """

    vectors: np.ndarray
    truncated: np.ndarray
    embedded: int
    damaged: list[str]


def vectors_of(
    keys: Sequence[bytes],
    texts: Sequence[str | None],
    shards: ShardIndex,
    spec: EncoderSpec,
    options: EmbeddingOptions,
    *,
    unit: bool = True,
) -> TextVectors:
    """Unit vectors of `texts` with their content `keys` (n, ascending), embedded as documents; nothing is stored. Without
    `unit` they are as the index has them, which for a model that is compared by dot product is as the model gives them.

    The model is loaded only when a text has no stored vector; a text that is not at hand (None) must have one, or
    CorruptFileError is raised. Raises ModelError, naming the text, for one that the model fails on, VectorError for a bad
    vector.
    """
    stored = find_vectors(shards.between(keys[0], keys[-1]), keys)
    missing = np.flatnonzero(~stored.found).tolist()
    vectors, truncated = stored.vectors, stored.truncated
    if len(missing):
        new = [text for i in missing if (text := texts[i]) is not None]
        if len(new) < len(missing):
            raise CorruptFileError(
                f"{len(missing) - len(new)} texts, which the corpus does not keep, have no stored vector: "
                "run `corpusbeam verify`"
            )
        encoder = load_encoder(spec, options.device, options.threads)
        encoded = encoder.encode_documents(new, options.tokens_per_batch)
        for i, error in sorted(encoded.failed.items()):
            raise ModelError(f"model {spec.model!r} fails on {new[i][:80]!r}: {error}") from error
        check_vectors(encoded.vectors, new, spec.normalize)
        if vectors is None:
            vectors = np.empty((len(keys), encoder.dim), np.float32)
        vectors[missing], truncated[missing] = encoded.vectors, encoded.truncated
    assert vectors is not None
    chosen = unit_vectors(vectors) if unit and not spec.normalize else vectors
    return TextVectors(chosen, truncated, len(missing), stored.damaged)
