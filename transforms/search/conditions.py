"""Conditions that are asked for again and again: what they leave stays in memory, as far as it may."""

import threading
from collections import OrderedDict
from concurrent.futures import Future

from transforms.generations import Generation
from transforms.search.allowed import Allowed, find_allowed
from transforms.search.where import parse_where

# Conditions whose passages stay in memory: a service asks with few different ones.
_KEPT, _KEPT_BYTES = 8, 512 << 20


class Conditions:
    """What conditions leave of a generation. Safe to share between threads.

    Each is computed by the first who asks; others who ask the same wait for it, and nobody else does. Those used last stay:
    eight, or fewer where they have more than 512 MB together.
    """

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._lock = threading.Lock()
        self._found: OrderedDict[str, Future[Allowed]] = OrderedDict()

    def fitting(self, where: str) -> Allowed:
        """The passages that fit. Raises WhereError for a condition that cannot be used."""
        with self._lock:
            found = self._found.get(where)
            first = found is None
            if found is None:
                found = self._found[where] = Future()
            self._found.move_to_end(where)
        if first:
            self._compute(where, found)
        return found.result()

    def _compute(self, where: str, found: "Future[Allowed]") -> None:
        try:
            found.set_result(find_allowed(self._generation, parse_where(where)))
        except BaseException as error:
            # The next one tries again: a file system may have been away.
            with self._lock:
                if self._found.get(where) is found:
                    del self._found[where]
            found.set_exception(error)
        with self._lock:
            while len(self._found) > _KEPT or (len(self._found) > 1 and self._bytes() > _KEPT_BYTES):
                self._found.popitem(last=False)

    def _bytes(self) -> int:
        return sum(found.result().nbytes for found in self._found.values() if found.done())
