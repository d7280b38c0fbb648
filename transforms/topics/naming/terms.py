"""Term counts per topic: sums, so that they can be counted part by part in any order and added up."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from transforms.topics.naming.languages import ENGLISH, are_stop_words, known_languages, language_of_texts
from transforms.topics.naming.words import is_term_word, joined, pieces

COUNTS_SCHEMA = pa.schema(
    [
        ("topic_id", pa.int32()),
        ("term", pa.string()),
        ("occurrences", pa.int64()),  # of the term in the topic's texts
        ("documents", pa.int64()),  # texts of the topic that contain the term
    ]
)
# Texts are split some at a time, of so many characters together: pieces and terms take 19 to 127 times as much as the text.
_CHARACTERS = 1 << 22


def count_terms(
    texts: Sequence[str], topic_of_text: np.ndarray, ngram_max: int, languages: Sequence[str] = (ENGLISH,)
) -> pa.Table:
    """Count the 1- to `ngram_max`-grams of each topic's texts (noise is topic -1): a table of COUNTS_SCHEMA.

    A term is a run of adjacent term words (`words.is_term_word`) that are no stop words of the text's language, which is one
    of `languages`; in a text whose language cannot be told, of none of them. A stop word, a number or punctuation between two
    words keeps them apart, so that "state of the art" is not the term "state art". One row per topic and term.
    """
    (counts,) = count_terms_of_each(texts, [topic_of_text], ngram_max, languages)
    return counts


def count_terms_of_each(
    texts: Sequence[str], topics_of_text: Sequence[np.ndarray], ngram_max: int, languages: Sequence[str] = (ENGLISH,)
) -> list[pa.Table]:
    """As `count_terms` for several labellings of the same texts, each int (texts,): texts are split once for all.

    Memory: some hundred bytes for each of four million characters, or of the longest text where it has more; and the counts.
    """
    counted: list[list[pa.Table]] = [[] for _ in topics_of_text]
    for some in _slices(texts):
        own = _count_some(texts[some], [topic_of_text[some] for topic_of_text in topics_of_text], ngram_max, languages)
        for tables, table in zip(counted, own, strict=True):
            tables.append(table)
            # Not each at once: a sum costs as much as it has rows.
            if sum(other.num_rows for other in tables[1:]) > tables[0].num_rows:
                tables[:] = [merge_counts(tables)]
    return [tables[0] if len(tables) == 1 else merge_counts(tables) for tables in counted]


def _count_some(
    texts: Sequence[str], topics_of_text: Sequence[np.ndarray], ngram_max: int, languages: Sequence[str]
) -> list[pa.Table]:
    words, codes, text_of = _split(texts)
    stops = are_stop_words(words, languages)
    language = language_of_texts(stops, _have_letters(words), codes, text_of, len(texts))
    # The last row, for texts without a language: -1 is its place.
    stops = np.vstack([stops, np.any(stops, axis=0, keepdims=True)])
    wanted = np.fromiter(map(is_term_word, words), bool, len(words))
    wanted_here = wanted[codes] & ~stops[language[text_of], codes]

    at = np.flatnonzero(wanted_here)
    gram, names = codes[at], words
    tables: list[list[pa.Table]] = [[] for _ in topics_of_text]
    for size in range(1, ngram_max + 1):
        if size > 1:
            # A term of `size` words is one of size - 1 whose next piece is a term word of the same text.
            after = at + size - 1
            inside = after < len(codes)
            at, gram, after = at[inside], gram[inside], after[inside]
            follows = wanted_here[after] & (text_of[after] == text_of[at])
            at, pair = at[follows], gram[follows] * len(words) + codes[after[follows]]
            found, gram = np.unique(pair, return_inverse=True)
            names = [joined(names[head], words[tail]) for head, tail in zip(*divmod(found, len(words)), strict=True)]
        for found_of_size, table in zip(tables, _sum_up(gram, names, text_of[at], topics_of_text), strict=True):
            found_of_size.append(table)
    return [pa.concat_tables(sizes).combine_chunks() for sizes in tables]


def count_languages(texts: Sequence[str]) -> np.ndarray:
    """How many of some texts are in each of `known_languages`: int64 (languages,)."""
    counts = np.zeros(len(known_languages()), np.int64)
    for some in _slices(texts):
        words, codes, text_of = _split(texts[some])
        stops = are_stop_words(words, known_languages())
        language = language_of_texts(stops, _have_letters(words), codes, text_of, len(texts[some]))
        counts += np.bincount(language[language >= 0], minlength=len(counts))
    return counts


def _slices(texts: Sequence[str]) -> Iterator[slice]:
    """Consecutive texts of at most `_CHARACTERS` together, one at least."""
    low, characters = 0, 0
    for place, text in enumerate(texts):
        if characters + len(text) > _CHARACTERS and place > low:
            yield slice(low, place)
            low, characters = place, 0
        characters += len(text)
    if len(texts):
        yield slice(low, len(texts))


def _split(texts: Sequence[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The different pieces of some texts; which one is at each place, int64 (pieces,), and in which text, int64 (pieces,)."""
    split = [pieces(text) for text in texts]
    lengths = np.fromiter(map(len, split), np.int64, len(split))
    column = pa.array([piece for text in split for piece in text], pa.string()).dictionary_encode()
    del split
    words = column.dictionary.to_pylist()
    codes = column.indices.to_numpy().astype(np.int64)
    return words, codes, np.repeat(np.arange(len(texts)), lengths)


def _have_letters(words: Sequence[str]) -> np.ndarray:
    return np.fromiter((any(map(str.isalpha, word)) for word in words), bool, len(words))


def merge_counts(tables: Iterable[pa.Table]) -> pa.Table:
    """Add up tables of counts: associative and commutative up to the order of rows."""
    everything = pa.concat_tables([COUNTS_SCHEMA.empty_table(), *tables])
    summed = everything.group_by(["topic_id", "term"], use_threads=False).aggregate(
        [("occurrences", "sum"), ("documents", "sum")]
    )
    return summed.rename_columns(COUNTS_SCHEMA.names).cast(COUNTS_SCHEMA)


def _sum_up(
    gram: np.ndarray, names: list[str], text_of: np.ndarray, topics_of_text: Sequence[np.ndarray]
) -> Iterator[pa.Table]:
    """Per labelling, occurrences and documents per (topic, gram) from one entry per place: gram code and text number."""
    width, terms = max(len(names), 1), pa.array(names, pa.string())
    in_text, occurrences = np.unique(text_of * width + gram, return_counts=True)
    text, gram = np.divmod(in_text, width)
    for topic_of_text in topics_of_text:
        # Topics start at -1.
        key, inverse = np.unique((topic_of_text[text].astype(np.int64) + 1) * width + gram, return_inverse=True)
        topic, gram_of_key = np.divmod(key, width)
        yield pa.table(
            [
                (topic - 1).astype(np.int32),
                terms.take(pa.array(gram_of_key)),
                np.bincount(inverse, occurrences, minlength=len(key)).astype(np.int64),
                np.bincount(inverse, minlength=len(key)).astype(np.int64),
            ],
            schema=COUNTS_SCHEMA,
        )
