"""A published lexical index, opened once for many queries."""

from collections.abc import Mapping

import numpy as np

from transforms.files import read_json
from transforms.generations import Generation, GenerationError
from transforms.lexical.join import BORDERS, IDS, PARAMETERS, POSITIONS, SCORES, TERMS
from transforms.lexical.words import split_words
from transforms.vectors import load_array


class LexicalIndex:
    """BM25 scores of queries for all texts of a generation. `ids` int64 (n,), ascending, are those of the index of vectors."""

    def __init__(self, arrays: Mapping[str, np.ndarray], vocabulary: Mapping[str, int], language: str) -> None:
        """The index's arrays by the names of their files; they may be memory-mapped. `language` is that of its words."""
        self.ids = arrays[IDS]
        self._scores, self._positions, self._borders = arrays[SCORES], arrays[POSITIONS], arrays[BORDERS]
        self._vocabulary, self._language = vocabulary, language

    def scores(self, query: str) -> np.ndarray:
        """The score of every text, float32 (n,): 0 for a text with none of the query's words. A word that is there twice counts
        twice.
        """
        words = split_words([query], self._language)
        scores = np.zeros(len(self.ids), np.float32)
        # A word's texts are gone through once, however often it is there: bm25s does so every time.
        for code, count in zip(*np.unique(words.codes, return_counts=True), strict=True):
            term = self._vocabulary.get(words.terms[code])
            if term is not None:
                low, high = self._borders[term : term + 2]
                np.add.at(scores, self._positions[low:high], self._scores[low:high] * np.float32(count))
        return scores

    def search(self, query: str, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The ids int64 (m,) of at most `k` texts with a word of the query and their scores float32 (m,), best first.

        `allowed` bool (n,) leaves out all others. Ties by ascending id.
        """
        scores = self.scores(query)
        found = np.flatnonzero(scores > 0 if allowed is None else (scores > 0) & allowed)
        if len(found) > k:
            # All that tie with the k-th, of which the smallest ids stay.
            least = np.partition(scores[found], len(found) - k)[len(found) - k]
            found = found[scores[found] >= least]
        best = found[np.argsort(-scores[found], kind="stable")][:k]
        return np.asarray(self.ids[best]), scores[best]


def check_lexical(generation: Generation) -> None:
    """Raise GenerationError for a generation that was published without a lexical index."""
    if not generation.manifest.under("lexical"):
        raise GenerationError(
            f"generation {generation.id} has no lexical index: reindex with search.lexical: true, or search with --mode dense"
        )


def open_lexical(generation: Generation) -> LexicalIndex:
    """Open the lexical index of a generation; every file is checked first, local ones are memory-mapped.

    Raises GenerationError when it was published without one, CorruptFileError for a damaged file.
    """
    check_lexical(generation)
    names = (SCORES, POSITIONS, BORDERS, IDS)
    # The parameters are for bm25s, and checked all the same.
    paths = {name: generation.path(f"lexical/{name}") for name in (*names, TERMS, PARAMETERS)}
    arrays = {name: load_array(paths[name]) for name in names}
    language = generation.manifest.configuration["search"]["language"]
    return LexicalIndex(arrays, read_json(paths[TERMS]), language)
