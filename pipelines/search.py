"""`corpusbeam search`, and searching from Python: answers from the published generation."""

import importlib.metadata
import math
import shutil
import threading
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from transforms.embedding import NO_PROFILE, EmbeddingOptions
from transforms.generations import Generation, open_generation, read_current
from transforms.search import CANDIDATES, GenerationSearcher, Hit, Mode

if TYPE_CHECKING:
    from transforms.generations import Manifest


class Searcher:
    """Searches what is published under a root, for as long as a process lives. Safe to share between threads.

        searcher = Searcher("/data/index")
        hits = searcher.search(["password forgotten"], k=5, where="section = 'net'")[0]
        searcher.reload()

    CURRENT is read once, and by `reload`. A call is answered from one generation, whatever is published or reloaded meanwhile.
    """

    def __init__(self, root: str, model: str | None = None) -> None:
        """Open the published generation and load its model, index and ids.

        `model` is in place of the model that the generation names: the same one elsewhere. Raises GenerationError when nothing
        is published, EncoderMismatchError for another model, CorruptFileError for a file that is not what was published.
        """
        self._root, self._model = root, model
        self._reloading = threading.Lock()
        self._current = self._open()

    @property
    def generation(self) -> str:
        """Id of the generation that answers now."""
        return self._current.generation.id

    @property
    def manifest(self) -> "Manifest":
        """Its manifest."""
        return self._current.generation.manifest

    def search(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        where: str | None = None,
        group_duplicates: bool = False,
        mode: Mode = "dense",
        weight: float | None = None,
    ) -> list[list[Hit]]:
        """The best `k` documents for each query: see `GenerationSearcher.search`."""
        return self.pinned().search(queries, k, where=where, group_duplicates=group_duplicates, mode=mode, weight=weight)

    def pinned(self) -> GenerationSearcher:
        """The searcher of the generation that answers now; it stays with that one. For several calls that belong together."""
        return self._current

    def reload(self) -> bool:
        """Go over to the generation that CURRENT names now, if it is another one; says whether it was.

        The old one answers until the new one is open, and stays where that cannot be opened: then it raises as the constructor.
        """
        with self._reloading:
            if read_current(self._root) == self.generation:
                return False
            self._current = self._open()
            return True

    def _open(self) -> GenerationSearcher:
        searcher = open_searcher(open_generation(self._root), self._model)
        searcher.load()
        return searcher


def search(
    root: str,
    query: str,
    k: int,
    model: str | None = None,
    where: str | None = None,
    *,
    group_duplicates: bool = False,
    mode: Mode = "dense",
    weight: float | None = None,
    rerank: str | None = None,
    rerank_optional: bool = False,
) -> dict[str, Any]:
    """The best `k` documents of the published generation for one query, best first, each with its best passage.

    With `rerank`, a cross-encoder, they are the best of 100 in its order: see `rerank_hits`. `warnings` say what a person must
    know of the answer. Raises as `GenerationSearcher.search` and `find_reranker` do.
    """
    searcher = open_searcher(open_generation(root), model)
    asked: dict[str, Any] = {"where": where, "group_duplicates": group_duplicates, "mode": mode, "weight": weight}
    if rerank is None:
        hits = [hit_facts(hit) for hit in searcher.search([query], k, **asked)[0]]
    else:
        from pipelines.rerank import find_reranker, rerank_hits

        # A k below 1 is refused by the search.
        candidates = searcher.search([query], max(k, CANDIDATES) if k > 0 else k, **asked)[0]
        reranker = find_reranker(rerank, optional=rerank_optional)
        hits = rerank_hits(query, [hit_facts(hit) for hit in candidates], k, reranker)
    warnings = word_warnings(searcher.generation, mode)
    if mode != "lexical" and searcher.truncated([query])[0]:
        warnings.append(
            f"the query is longer than the {searcher.max_tokens} tokens that the model takes: its rest is not searched for"
        )
    return {
        "query": query,
        "generation": searcher.generation.id,
        "hits": hits,
        "warnings": warnings,
    }


def word_warnings(generation: Generation, mode: Mode) -> list[str]:
    """What a person must know where words are searched that may have been cut otherwise than they are here."""
    built, here = generation.manifest.versions.get("PyStemmer"), importlib.metadata.version("PyStemmer")
    if mode == "dense" or built in (None, here):
        return []
    return [
        f"the words of generation {generation.id} were cut by PyStemmer {built}, those of a query are by {here}: where they "
        "differ a word is not found; install the same version, or reindex"
    ]


def open_searcher(generation: Generation, model: str | None = None) -> GenerationSearcher:
    """A searcher with the encoder that the generation's configuration names, or with `model` in its place."""
    return GenerationSearcher(generation, published_embedding(generation, model))


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


def hit_facts(hit: Hit) -> dict[str, Any]:
    """A hit as JSON values: times as ISO 8601, numbers that JSON has not (NaN, infinity) as None."""
    metadata = {name: _as_json(value) for name, value in hit.metadata.items()}
    return {**asdict(hit), "metadata": metadata, "duplicates": list(hit.duplicates)}


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def hit_lines(hits: list[dict[str, Any]]) -> list[str]:
    """Hits as lines for a terminal, each document's text cut to the width."""
    # The room of reports knows terminals, and its import costs a search that wants JSON too much.
    from transforms.reports.documents import passage_label
    from transforms.reports.text import clean, fit

    width = shutil.get_terminal_size((100, 24)).columns
    lines = [_SCORES[kind] for kind in {hit["metric"] for hit in hits} if kind in _SCORES]
    if any(hit.get("reranked") for hit in hits):
        lines.append("Scores are logits of the cross-encoder; the search's own are behind them.")
    for hit in hits:
        score = f"{hit['score']:.3f}"
        if hit.get("reranked"):
            score = f"{hit['rerank_logit']:7.3f} ({hit['search_rank']:>3}  {score})"
        lines.append(f"{hit['rank']:>3}  {score}  {clean(passage_label(hit['doc_id'], hit['passage_no']))}")
        if hit["text"]:
            lines.append(" " * 12 + fit(hit["text"], width - 12))
        if about := _about(hit):
            lines.append(" " * 12 + fit(about, width - 12))
        if others := hit["duplicates"]:
            lines.append(" " * 12 + fit(f"and {len(others):,} that say the same: {', '.join(others)}", width - 12))
    return lines or ["no answer"]


def _about(hit: dict[str, Any]) -> str:
    """Metadata and topic in one line."""
    said = [f"{name} {value}" for name, value in hit["metadata"].items() if value is not None]
    topic = hit["topic"]
    if topic is not None and topic["title"]:
        said.append(f"{'topic' if topic['topic_id'] >= 0 else 'near topic'} {topic['title']}")
    elif hit["theme"] is not None and hit["theme"]["title"]:
        said.append(f"theme {hit['theme']['title']}")
    return " · ".join(said)


# What scores are that are no cosines.
_SCORES = {
    "dot": "Scores are inner products, not cosines: the model is compared by dot product.",
    "bm25": "Scores are BM25: of one query they compare, of two they do not.",
    "rrf": "Scores are sums of 1 / (60 + rank) over the ranks by vectors and by words.",
    "weighted": "Scores are weighted sums of two shares: of the cosine from -1 to 1, and of the best BM25 score.",
}
