"""Finding the texts that make a batch fail, so that their neighbours do not fail with them."""

from collections.abc import Callable, Sequence


def isolate(items: Sequence[int], compute: Callable[[Sequence[int]], None]) -> dict[int, Exception]:
    """Call `compute` on all `items`, and where it raises on halves of them: returns the items that fail alone, with the error.

    One bad item among n costs about 2·log2(n) calls more. Running out of memory with one item is nobody's fault but the
    machine's: it is raised.
    """
    if not len(items):
        return {}
    try:
        compute(items)
    except Exception as error:
        if len(items) > 1:
            middle = len(items) // 2
            return isolate(items[:middle], compute) | isolate(items[middle:], compute)
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            raise
        return {int(items[0]): error}
    return {}
