"""Lexical search: BM25 over the words of every distinct text, in the files that the bm25s package reads.

In: passages. Out: `lexical/` with an index that `bm25s.BM25.load` opens, and the id of each of its rows. Promises: the same
corpus and options give the same bytes; every term of every text is in it; no file is a pickle.
"""

from transforms.lexical.count import CountRecord, CountTask, count_words
from transforms.lexical.join import JoinRecord, JoinTask, join_scores
from transforms.lexical.options import LANGUAGES, LexicalOptions
from transforms.lexical.reader import LexicalIndex, check_lexical, open_lexical
from transforms.lexical.score import ScoreRecord, ScoreTask, score_words
from transforms.lexical.steps import RunStep, Step, build_lexical
from transforms.lexical.words import Words, split_words

__all__ = [
    "LANGUAGES",
    "CountRecord",
    "CountTask",
    "JoinRecord",
    "JoinTask",
    "LexicalIndex",
    "LexicalOptions",
    "RunStep",
    "ScoreRecord",
    "ScoreTask",
    "Step",
    "Words",
    "build_lexical",
    "check_lexical",
    "count_words",
    "join_scores",
    "open_lexical",
    "score_words",
    "split_words",
]
