"""`corpusbeam similarity`: how near are a few texts, by a model."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.errors import warn
from transforms.embedding import EmbeddingOptions, check_vectors, encoder_spec, load_encoder, warnings_of
from transforms.search import QueryError, pairwise_similarity, rank_alike

MEASURES = ("cosine", "dot", "euclidean")


def similarity(texts: Sequence[str], model: str | None) -> dict[str, Any]:
    """Embed the texts as documents and compare every pair.

    `metric` is what the model's vectors are compared by; `rank_alike` says whether the three measures put the pairs into one
    order, which they must for vectors of length 1. `matrices` have a row and a column for each text.

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
    found = pairwise_similarity(vectors)
    matrices = {name: _own(vectors, name) for name in MEASURES}
    for pair in found:
        for name in MEASURES:
            matrices[name][pair.a, pair.b] = matrices[name][pair.b, pair.a] = getattr(pair, name)
    return {
        "model": spec.model,
        "fingerprint": spec.fingerprint,
        "metric": spec.metric,
        "rank_alike": rank_alike(found),
        "texts": list(texts),
        "pairs": [
            {"a": texts[pair.a], "b": texts[pair.b], **{name: getattr(pair, name) for name in MEASURES}} for pair in found
        ],
        "matrices": {name: matrix.tolist() for name, matrix in matrices.items()},
    }


def similarity_lines(found: dict[str, Any]) -> list[str]:
    """The pairs as lines for a terminal."""
    lines = ["  ".join(f"{_marked(name, found):>10}" for name in MEASURES) + "  texts"]
    for pair in found["pairs"]:
        lines.append("  ".join(f"{pair[name]:10.3f}" for name in MEASURES) + f"  {pair['a']!r} – {pair['b']!r}")
    return [*lines, _note(found)]


def matrix_lines(found: dict[str, Any]) -> list[str]:
    """A matrix for each measure as lines for a terminal; texts have numbers."""
    lines = [f"{number:>3}  {text!r}" for number, text in enumerate(found["texts"], 1)]
    for name in MEASURES:
        rows = found["matrices"][name]
        lines += ["", f"{_marked(name, found)}", "     " + "".join(f"{number:>9}" for number in range(1, len(rows) + 1))]
        lines += [f"{number:>3}  " + "".join(f"{value:9.3f}" for value in row) for number, row in enumerate(rows, 1)]
    return [*lines, "", _note(found)]


def _own(vectors: np.ndarray, name: str) -> np.ndarray:
    """A matrix (n, n) with what each text has with itself."""
    squares = (vectors.astype(np.float64) ** 2).sum(axis=1)
    return np.diag({"cosine": np.ones(len(vectors)), "dot": squares, "euclidean": np.zeros(len(vectors))}[name])


def _marked(name: str, found: dict[str, Any]) -> str:
    return f"{name} *" if name == found["metric"] else name


def _note(found: dict[str, Any]) -> str:
    alike = (
        "All three put these pairs into one order."
        if found["rank_alike"]
        else "The three do not put these pairs into one order: the vectors have different lengths."
    )
    return f"* is what {found['model']} is compared by. {alike}"
