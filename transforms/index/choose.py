"""The type of index: chosen by size, or the user's, if its shards can be merged safely."""

import math
import re

AUTO = "auto"
# The type without lists, which is exact and learns nothing.
FLAT = "IDMap2,Flat"

# FAISS merges more than this, and silently wrong: HNSW cannot merge at all, Panorama lists and FastScan blocks are
# packed across vectors, and Refine stores grow apart from their base. tests/index has one conformance test for each
# family here.
_ALLOWED = re.compile(
    r"IDMap2,Flat|(?:(?:PCAR\d+|RR),)?IVF(?P<lists>\d+)(?:_HNSW\d+)?"
    r",(?:Flat|SQ8|SQfp16|SQbf16|PQ\d+(?:x8)?|RaBitQ[2-9]?)"
)


class IndexTypeError(ValueError):
    """A factory string that this project does not build, or not for this corpus."""


def choose_type(texts: int) -> str:
    """The factory string for a number of distinct texts.

    Flat is exact and fast enough for 100,000 texts. Above it inverted lists: 4·√n of them below a million (the FAISS
    guidelines give 4 to 16·√n), in codes whose error is far below the distance between texts: 16 bits to a million, 8
    to ten. Beyond, 4 bits after a random rotation, and an HNSW graph to find the lists.
    """
    if texts <= 100_000:
        return FLAT
    if texts <= 1_000_000:
        return f"IVF{2 ** round(math.log2(4 * math.sqrt(texts)))},SQfp16"
    if texts <= 10_000_000:
        return "IVF16384,SQ8"
    return "RR,IVF65536_HNSW32,RaBitQ4"


def check_factory(factory: str) -> str:
    """The factory string, when it is allowed. Raises IndexTypeError saying what is."""
    if not _ALLOWED.fullmatch(factory):
        raise IndexTypeError(
            f"index type {factory!r} is not supported: FAISS cannot merge its shards, or does so wrongly. Use auto, "
            "IDMap2,Flat, or [PCARn,|RR,]IVFn[_HNSWm], followed by Flat, SQ8, SQfp16, SQbf16, PQm or RaBitQ[2-9]"
        )
    return factory


def resolve_type(configured: str, texts: int) -> str:
    """The factory string that is built. Raises IndexTypeError when the corpus has fewer texts than lists."""
    factory = choose_type(texts) if configured == AUTO else check_factory(configured)
    lists = inverted_lists(factory)
    if lists > texts:
        raise IndexTypeError(f"index type {factory!r} needs at least {lists} distinct texts, the corpus has {texts}; use auto")
    return factory


def inverted_lists(factory: str) -> int:
    """The number of inverted lists of an allowed factory string; 0 for Flat."""
    match = _ALLOWED.fullmatch(factory)
    return int(match["lists"] or 0) if match else 0
