"""Pairs that people have judged, with a model's cosines: what calibration and evaluation have in common."""

import numpy as np

from pipelines.corpus_vectors import check_texts_are_kept
from pipelines.embed import damage_warnings
from pipelines.errors import warn
from transforms.corpus import InputError, content_key
from transforms.duplicates import LabelledPairs
from transforms.embedding import EmbeddingOptions, EncoderSpec
from transforms.generations import Generation
from transforms.neighbors import exact_pair_cosines, snap
from transforms.search import find_passages
from transforms.vectors import ShardIndex, describe_shards, stored_shards, vectors_of

# Content key and text of each; the text is None where the corpus does not keep it.
Texts = list[tuple[bytes, str | None]]


def reasons(pairs: LabelledPairs) -> str:
    """Why rows were left out, in brackets; nothing where none was."""
    return f" ({', '.join(f'{count} {reason}' for reason, count in pairs.left_out.items())})" if pairs.left_out else ""


def texts_of(pairs: LabelledPairs, root: Generation | None, path: str) -> tuple[LabelledPairs, Texts, Texts]:
    """The pairs whose texts are known, and these with their content keys.

    Raises InputError for pairs that name documents when there is no root, or documents of several passages without the number.
    """
    if not pairs.named:
        a, b = ([(content_key(text), text) for text in side] for side in (pairs.a, pairs.b))
        return pairs, a, b
    if root is None:
        raise InputError(f"labels {path!r} name documents, not texts: give the root of the corpus that has them with --root")
    rows = find_passages(root, {doc_id for side in (pairs.a, pairs.b) for doc_id, _ in side}, ["content_key", "text"])
    known = {passage: (row["content_key"], row["text"]) for passage, row in rows.items()}
    numbers: dict[str, list[int]] = {}
    for doc_id, passage_no in known:
        numbers.setdefault(doc_id, []).append(passage_no)

    def text_of(doc_id: str, passage_no: int | None) -> tuple[bytes, str | None] | None:
        there = numbers.get(doc_id, [])
        if passage_no is None and len(there) > 1:
            raise InputError(
                f"labels {path!r}: document {doc_id!r} has {len(there)} passages; say which ones are compared in columns "
                "passage_no_a and passage_no_b"
            )
        return known.get((doc_id, there[0] if passage_no is None and there else passage_no or 0))

    found = [(text_of(*a), text_of(*b)) for a, b in zip(pairs.a, pairs.b, strict=True)]
    complete = [(a, b) for a, b in found if a is not None and b is not None]
    pairs = pairs.only(np.array([None not in pair for pair in found], bool), "of documents that are not in the corpus")
    return pairs, [a for a, _ in complete], [b for _, b in complete]


def pair_cosines(
    a: Texts, b: Texts, root: Generation | None, spec: EncoderSpec, options: EmbeddingOptions
) -> tuple[np.ndarray, dict[str, int]]:
    """Cosines float32 of the pairs, as a run would publish them, and what they cost.

    Raises InputError when texts must be embedded and the generation keeps none.
    """
    texts = dict([*a, *b])
    if root is not None:
        check_texts_are_kept(root, spec, texts.values())
    keys = sorted(texts)
    stored = [] if root is None else stored_shards(root.root, spec.fingerprint)
    found = vectors_of(keys, [texts[key] for key in keys], ShardIndex(describe_shards(stored)), spec, options)
    warn(damage_warnings("" if root is None else root.root, found.damaged))
    row = {key: i for i, key in enumerate(keys)}
    rows, columns = (np.array([row[key] for key, _ in side]) for side in (a, b))
    vectors = snap(found.vectors)
    cost = {"texts": len(keys), "texts_embedded": found.embedded, "texts_truncated": int(found.truncated.sum())}
    return exact_pair_cosines(vectors, vectors, rows, columns), cost
