"""Two ascending streams side by side."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")


def merge_sorted(a: Iterable[Item], b: Iterable[Item], key: Callable[[Item], Any]) -> Iterator[tuple[Item | None, Item | None]]:
    """Pairs of items with equal keys, and (item, None) or (None, item) for a key that one side lacks, in key order.

    Keys strictly ascend on each side.
    """
    left, right = iter(a), iter(b)
    x, y = next(left, None), next(right, None)
    while x is not None or y is not None:
        if y is None or (x is not None and key(x) < key(y)):
            yield x, None
            x = next(left, None)
        elif x is None or key(y) < key(x):
            yield None, y
            y = next(right, None)
        else:
            yield x, y
            x, y = next(left, None), next(right, None)
