"""The libraries that a result depends on, as they are installed here."""

import functools
import importlib.metadata

# Worth knowing when two generations differ; what was made with others is not taken over.
_LIBRARIES = (
    "PyStemmer",
    "apache-beam",
    "bm25s",
    "corpusbeam",
    "faiss-cpu",
    "graspologic-native",
    "hdbscan",
    "numba",
    "numpy",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "sentence-transformers",
    "stopwordsiso",
    "torch",
    "transformers",
    "umap-learn",
)


@functools.cache
def installed_versions() -> dict[str, str]:
    """Version by name of the distribution."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}
