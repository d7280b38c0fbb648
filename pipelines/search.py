"""`corpusbeam search`: answers from the published generation."""

import shutil
from dataclasses import asdict
from typing import Any

from transforms.embedding import NO_PROFILE, EmbeddingOptions
from transforms.generations import Generation, open_generation
from transforms.reports import clean, fit, passage_label
from transforms.search import Searcher


def search(root: str, query: str, k: int, model: str | None = None) -> list[dict[str, Any]]:
    """The best `k` documents of the published generation for one query, best first, each with its best passage."""
    hits = open_searcher(open_generation(root), model).search([query], k)[0]
    return [asdict(hit) for hit in hits]


def open_searcher(generation: Generation, model: str | None = None) -> Searcher:
    """A searcher with the encoder that the generation's configuration names, or with `model` in its place."""
    return Searcher(generation, published_embedding(generation, model))


def published_embedding(generation: Generation, model: str | None = None) -> EmbeddingOptions:
    """The settings of a generation's encoder, with `model` in place of its model, for texts of later."""
    built = generation.manifest.encoder
    # What was found for the index holds for its queries, whatever the model's folder is called here.
    found = {"precision": built["precision"], "metric": built["metric"], "profile": built.get("profile") or NO_PROFILE}
    settings = {**generation.manifest.configuration["embedding"], **found}
    if model is not None:
        settings = {**settings, "model": model, "revision": None}
    # Where the model runs is this machine's affair, not the publisher's.
    return EmbeddingOptions(**{**settings, "device": None, "threads": None})


def hit_lines(hits: list[dict[str, Any]]) -> list[str]:
    """Hits as lines for a terminal, each document's text cut to the width."""
    width = shutil.get_terminal_size((100, 24)).columns
    lines = ["Scores are inner products, not cosines: the model is compared by dot product."] if _by_dot(hits) else []
    for hit in hits:
        lines.append(f"{hit['rank']:>3}  {hit['score']:.3f}  {clean(passage_label(hit['doc_id'], hit['passage_no']))}")
        if hit["text"]:
            lines.append(" " * 12 + fit(hit["text"], width - 12))
    return lines or ["no answer"]


def _by_dot(hits: list[dict[str, Any]]) -> bool:
    return any(hit["metric"] == "dot" for hit in hits)
