"""Options of the topics room: the section `topics` of the configuration."""

from math import sqrt
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TopicsOptions(BaseModel):
    """How documents are laid out, clustered and described."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    n_neighbors: int = Field(
        15,
        ge=3,
        le=200,
        description="UMAP neighbourhood size, the document itself included; the neighbour graph must have at least one less",
    )
    n_components: int = Field(5, ge=2, le=50, description="Dimensions of the layout that HDBSCAN clusters")
    min_dist: float = Field(
        0.0, ge=0, lt=1, description="UMAP min_dist of the clustered layout; 0 lets dense groups collapse, which helps HDBSCAN"
    )
    map_min_dist: float = Field(0.1, ge=0, lt=1, description="UMAP min_dist of the 2-d map; above 0 points stay apart")
    n_epochs: int = Field(
        200,
        ge=11,  # from here on UMAP prunes edges by this number, below by its own default
        le=5000,
        description="UMAP optimisation epochs of each layout; 500 (UMAP's own choice below 10,000 rows) gave no better topics",
    )
    min_cluster_size: int | None = Field(
        None,
        ge=2,
        description="Smallest topic, in distinct texts; null chooses max(5, round(0.5 * sqrt(n)))",
    )
    min_samples: int = Field(5, ge=1, le=200, description="HDBSCAN min_samples: higher is more conservative, more noise")
    cluster_selection_method: Literal["eom", "leaf"] = Field(
        "eom", description="eom keeps the most persistent topics, leaf the finest ones"
    )
    n_terms: int = Field(10, ge=1, le=100, description="Terms per topic")
    ngram_max: int = Field(2, ge=1, le=5, description="Longest term in words")
    n_representatives: int = Field(3, ge=0, le=100, description="Representative documents per topic")
    seed: int = Field(42, ge=0, le=2**32 - 1, description="Seed of both layouts; the same corpus and seed give the same bytes")

    def cluster_size(self, n: int) -> int:
        """Smallest topic for `n` distinct texts: 45 for 8,000, 55 for 12,000, 124 for 61,000, unless configured.

        The number of topics that a person can read grows slower than the corpus, hence the square root. The factor is
        measured: V-measure of search_snippets / agnews (after assigning noise) is .45 / .34 at 0.2 * sqrt(n) with 175
        and 110 topics, .49 / .37 at 0.5 with 65 and 44, and at 1.0 eom falls to 9 coarse topics for some seeds.
        """
        return self.min_cluster_size or max(5, round(0.5 * sqrt(n)))
