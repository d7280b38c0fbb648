"""`corpusbeam similarity`: how near are a few texts, by a model."""

from collections.abc import Sequence
from typing import Any

from pipelines.errors import warn
from transforms.embedding import EmbeddingOptions, check_vectors, encoder_spec, load_encoder, warnings_of
from transforms.search import QueryError, pairwise_similarity


def similarity(texts: Sequence[str], model: str | None) -> dict[str, Any]:
    """Embed the texts as documents and compare every pair.

    Raises QueryError for fewer than two texts or a blank one.
    """
    if len(texts) < 2:
        raise QueryError(f"similarity needs at least two texts, got {len(texts)}")
    for text in texts:
        if not text.strip():
            raise QueryError(f"a text must not be blank, got {text!r}")
    options = EmbeddingOptions() if model is None else EmbeddingOptions(model=model)
    spec = encoder_spec(options)
    warn(warnings_of(spec, ["similarity"]))
    vectors = load_encoder(spec).encode_documents(texts, options.tokens_per_batch).vectors
    check_vectors(vectors, texts, spec.normalize)
    pairs = [
        {"a": texts[pair.a], "b": texts[pair.b], "cosine": pair.cosine, "dot": pair.dot, "euclidean": pair.euclidean}
        for pair in pairwise_similarity(vectors)
    ]
    return {"model": spec.model, "fingerprint": spec.fingerprint, "pairs": pairs}


def similarity_lines(found: dict[str, Any]) -> list[str]:
    """The same as lines for a terminal."""
    lines = ["cosine     dot  euclidean  texts"]
    for pair in found["pairs"]:
        lines.append(f"{pair['cosine']:6.3f}  {pair['dot']:6.3f}  {pair['euclidean']:9.3f}  {pair['a']!r} – {pair['b']!r}")
    return lines
