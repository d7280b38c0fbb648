"""Loops that numpy has no call for, compiled by numba: one pass over data in cache, while which other threads go on.

numba comes with UMAP. It is imported, and a loop compiled, at the loop's first call: that takes some seconds once on a machine,
as the code is kept in numba's file cache, and some tenths of a second after that.
"""

import functools
from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """The function, which is compiled for the types of its arguments when it is first called with them.

    Sums are in any order, so that several terms are added at once: use it where that changes nothing.
    """

    @functools.cache
    def made() -> Any:
        import numba

        njit = functools.partial(numba.njit, function, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
        try:
            return njit(cache=True)
        except RuntimeError:  # numba may write neither beside this file nor into the user's cache
            return njit()

    @functools.wraps(function)
    def call(*arguments: Any) -> None:
        made()(*arguments)

    return call
