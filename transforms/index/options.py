"""Configuration of the index."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from transforms.files import holds_credentials
from transforms.index.choose import AUTO, check_factory


class IndexOptions(BaseModel):
    """Which FAISS index is built, and how well it must find."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(
        AUTO,
        description="auto chooses by the number of distinct texts; or a FAISS factory string of a family whose shards merge "
        "into the same bytes as one build: IDMap2,Flat; "
        "[PCARn,|RR,]IVFn[_HNSWm],Flat|SQ8|SQfp16|SQbf16|PQm|RaBitQ[n].",
    )
    train_points_per_list: int = Field(
        64, description="Texts, chosen by hash, that training sees for every inverted list, at most all of them.", ge=1
    )
    retrain: Literal["drift", "always"] = Field(
        "drift",
        description="drift: the published training is used again, and only new texts are encoded, until it fits no longer. "
        "always: train and encode everything in every run, so that a corpus has one index whatever was published before.",
    )
    recall_target: float = Field(
        0.99,
        description="Recall at 10 that nprobe, the number of lists a search visits, is chosen for: the smallest that reaches "
        "it is stored in the published file. Where codes are too coarse for it, the smallest that finds all but 0.001 of what "
        "all lists find, with a warning.",
        gt=0,
        le=1,
    )
    recall_gate: float = Field(
        0.99,
        description="Recall at 10 below which nothing is published. Above 10 million texts, where codes are 4 bits, lower "
        "it and recall_target to 0.95.",
        ge=0,
        le=1,
    )
    recall_queries: int = Field(
        1000, description="Texts, chosen by hash, whose true neighbours recall is measured against; at most all texts.", ge=1
    )
    recall_queries_file: str | None = Field(
        None,
        description="File of real queries (JSON Lines, Parquet, or a line each), whose recall is measured beside that of the "
        "corpus's own texts and must reach target and gate too. The column or key is corpus.text_column; they are embedded as "
        "queries are.",
        min_length=1,
    )
    rows_per_shard: int = Field(
        65536, description="Texts that one encoding task turns into one index shard, rounded up to whole blocks.", ge=1
    )

    @field_validator("recall_queries_file")
    @classmethod
    def _no_credentials(cls, value: str | None) -> str | None:
        if value is not None and holds_credentials(value):
            raise ValueError("the URL has credentials: give them through the environment")
        return value

    @field_validator("type")
    @classmethod
    def _known_type(cls, value: str) -> str:
        return value if value == AUTO else check_factory(value)
