"""Options of the topics room: the section `topics` of the configuration."""

from math import sqrt
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from transforms.files import holds_credentials
from transforms.topics.naming.languages import known_languages
from transforms.topics.values import Counted


class TopicsOptions(BaseModel):
    """How documents are laid out, clustered and described."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    method: Literal["themes+hdbscan", "hdbscan", "kmeans"] = Field(
        "themes+hdbscan",
        description="themes+hdbscan finds themes in the neighbour graph and topics inside each; hdbscan finds topics in the "
        "whole corpus, kmeans a given number of them without noise, both without themes",
    )
    resolutions: tuple[float, ...] = Field(
        (0.5, 1.0, 2.0),
        min_length=1,
        max_length=8,
        description="Resolution of each layer of themes, ascending: higher gives more and smaller themes",
    )
    resolution: float = Field(1.0, description="The layer of themes that topics are found in; one of topics.resolutions")
    recluster: Literal["drift", "always"] = Field(
        "drift",
        description="drift keeps themes, and the topics of a theme, from the published generation until a fifth of their texts "
        "came or left since they were found; always finds all anew in every run. Methods without themes do so in any case",
    )
    reduce: Literal["umap", "none"] = Field(
        "umap",
        description="What HDBSCAN clusters: umap is a layout of a few dimensions, none the exact cosines, with far more noise",
    )
    landmarks: int = Field(
        200_000,
        ge=1000,
        description="Of a theme, or with method hdbscan a corpus, of more texts so many chosen by hash are clustered, the rest "
        "follow by vote",
    )
    k: int | None = Field(None, ge=2, description="method kmeans: number of topics; null chooses round(sqrt(n / 2))")
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
        description="Smallest topic, in distinct texts; null chooses max(5, round(0.5 * sqrt(n))) for n texts of a theme",
    )
    min_samples: int = Field(5, ge=1, le=200, description="HDBSCAN min_samples: higher is more conservative, more noise")
    cluster_selection_method: Literal["eom", "leaf"] = Field(
        "eom", description="eom keeps the most persistent topics, leaf the finest ones"
    )
    n_terms: int = Field(10, ge=1, le=100, description="Terms per topic")
    ngram_max: int = Field(3, ge=1, le=5, description="Longest term in words")
    languages: Literal["auto"] | tuple[str, ...] = Field(
        "auto",
        description="Languages whose stop words are left out of terms, as ISO 639-1 codes, each in texts of that language; "
        "auto finds those of at least one in a hundred texts",
    )
    diversity: float = Field(
        0.1,
        ge=0,
        le=1,
        description="How much terms of a topic must differ from each other in their words: 0 goes by weight alone",
    )
    n_representatives: int = Field(3, ge=0, le=100, description="Representative documents per topic, near its centre")
    n_boundary: int = Field(2, ge=0, le=100, description="Boundary documents per topic: members nearest to another topic")
    tables: tuple[str, ...] = Field(
        (),
        description="Metadata columns whose values are counted in each topic and theme (topics/tables.parquet); "
        "corpus.metadata_columns must name them",
    )
    date_column: str | None = Field(
        None,
        description="Metadata column of dates: documents of each topic and theme are counted by month, in UTC. Timestamps, or "
        "strings such as 2024-05-31 or 2024-05-31T12:00:00+02:00",
    )
    table_values: int = Field(
        10_000, ge=1, description="Most different values of a column in topics.tables; one with more is refused"
    )
    labels: str | None = Field(
        None,
        description="Parquet, CSV or JSON Lines file with the columns uid (a topic_uid or theme_uid) and label, which takes "
        "the place of the title; terms stay",
        min_length=1,
    )
    seed: int = Field(
        42, ge=0, le=2**32 - 1, description="Seed of themes, layouts and k-means; the same corpus and seed give the same bytes"
    )

    @field_validator("languages")
    @classmethod
    def _known_languages(cls, languages: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if languages == "auto":
            return languages
        if unknown := [code for code in languages if code not in known_languages()]:
            raise ValueError(f"{unknown[0]!r} has no list of stop words: there are {' '.join(known_languages())}, and auto")
        if repeated := [code for code in languages if languages.count(code) > 1]:
            raise ValueError(f"{repeated[0]!r} is listed twice: list it once")
        # Their order decides nothing.
        return tuple(sorted(languages))

    @field_validator("labels")
    @classmethod
    def _no_credentials(cls, value: str | None) -> str | None:
        if value is not None and holds_credentials(value):
            raise ValueError("the URL has credentials: give them through the environment")
        return value

    @field_validator("tables")
    @classmethod
    def _each_table_once(cls, tables: tuple[str, ...]) -> tuple[str, ...]:
        if repeated := [name for name in tables if tables.count(name) > 1]:
            raise ValueError(f"{repeated[0]!r} is listed twice: list it once")
        return tables

    @model_validator(mode="after")
    def _layers_are_in_order(self) -> "TopicsOptions":
        if any(not 0 < layer <= 100 for layer in self.resolutions):
            raise ValueError(f"topics.resolutions must be above 0 and at most 100, got {list(self.resolutions)}")
        if sorted(set(self.resolutions)) != list(self.resolutions):
            raise ValueError(f"topics.resolutions must ascend, each once, got {list(self.resolutions)}")
        if self.resolution not in self.resolutions:
            raise ValueError(
                f"topics.resolution={self.resolution} is not in topics.resolutions={list(self.resolutions)}: add it"
            )
        return self

    @property
    def counted(self) -> tuple[Counted, ...]:
        """What of the documents' metadata is counted in each topic and theme."""
        months = () if self.date_column is None else (Counted(self.date_column, "month"),)
        return (*(Counted(name, "value") for name in self.tables), *months)

    @property
    def layers(self) -> tuple[float, ...]:
        """The resolutions of the layers of themes, none where the method has no themes."""
        return self.resolutions if self.method == "themes+hdbscan" else ()

    @property
    def layer(self) -> int:
        """Place in `resolutions` of the layer that topics are found in."""
        return self.resolutions.index(self.resolution)

    def cluster_size(self, n: int) -> int:
        """Smallest topic for `n` distinct texts: 45 for 8,000, 55 for 12,000, 124 for 61,000, unless configured.

        The number of topics that a person can read grows slower than the corpus, hence the square root. The factor is
        measured: V-measure of search_snippets / agnews (after assigning noise) is .45 / .34 at 0.2 * sqrt(n) with 175
        and 110 topics, .49 / .37 at 0.5 with 65 and 44, and at 1.0 eom falls to 9 coarse topics for some seeds.
        """
        return self.min_cluster_size or max(5, round(0.5 * sqrt(n)))
