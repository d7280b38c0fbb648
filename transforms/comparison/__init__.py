"""Comparing two generations: documents, vectors, pairs, groups, topics, numbers and settings.

In: two open generations. Out: counts with a few examples of each kind of difference.
Promises: every file is checked against its manifest before it is read; tables are streamed in their published order, so that
memory does not grow with the corpus (but for 16 bytes per pair of each generation); documents and groups are compared by what
they are, never by where they are stored, so that other part counts or file orders are no difference.
"""

from transforms.comparison.compare import compare_generations

__all__ = ["compare_generations"]
