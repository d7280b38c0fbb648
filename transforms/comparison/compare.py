"""Two generations compared in everything that they publish."""

from typing import Any

from transforms.comparison.documents import compare_documents
from transforms.comparison.duplicates import compare_groups, compare_pairs
from transforms.comparison.settings import compare_numbers, compare_settings
from transforms.comparison.topics import compare_topics
from transforms.comparison.vectors import compare_vectors
from transforms.generations import Generation


def compare_generations(a: Generation, b: Generation, limit: int) -> dict[str, Any]:
    """What changed from `a` to `b`, JSON-able, with at most `limit` examples of each kind.

    Raises CorruptFileError when a file that is read is not what was published.
    """
    return {
        "a": a.id,
        "b": b.id,
        "documents": compare_documents(a, b, limit),
        "vectors": compare_vectors(a, b),
        "pairs": compare_pairs(a, b, limit),
        "groups": compare_groups(a, b, limit),
        "topics": compare_topics(a, b),
        **compare_numbers(a.manifest, b.manifest),
        "settings": compare_settings(a.manifest, b.manifest),
    }
