"""How many threads a worker process may use, and how the libraries in it are told."""

import os

import joblib

# Each library reads its own variable when it is loaded: OpenMP (torch, FAISS, Arrow), OpenBLAS (numpy, scipy), MKL, Accelerate,
# numba (UMAP), and rayon (tokenizers).
_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


def threads_of_each(workers: int) -> int:
    """Threads of each of so many workers: OMP_NUM_THREADS where the user has set it, else an equal share of the cores.

    Only cores that this process may use count: its affinity and the CPU quota of its control group limit them.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return max(1, joblib.cpu_count() // workers)


def thread_variables(threads: int) -> dict[str, str]:
    """Environment variables that limit the libraries of a new process to `threads`; those that the user has set stay."""
    return {name: str(threads) for name in _VARIABLES if name not in os.environ}
