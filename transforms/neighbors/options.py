"""Configuration of the neighbour graph."""

from pydantic import BaseModel, ConfigDict, Field


class NeighborsOptions(BaseModel):
    """How many neighbours every text gets, how they are found, and how much memory a worker takes for it.

    Of an exact graph only `k` changes the lists; what begins with `exact_up_to` decides whether there is one and how good the
    lists of another one are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int = Field(
        32,
        description="Nearest others kept for every distinct text; a corpus of n texts has at most n - 1.",
        ge=1,
        le=1024,
    )
    margin: int = Field(
        96,
        description="Candidates beyond k that a text keeps in the low-precision screen, 8 bytes each. Where more are too near "
        "to be told apart, the text is compared with all others in exact arithmetic; the result is the same.",
        ge=1,
        le=4096,
    )
    rows_per_tile: int = Field(
        8192,
        description="Texts of one part of the graph, rounded up to whole vector blocks. Tasks are made of whole parts.",
        ge=1,
    )
    rows_per_chunk: int = Field(
        65536,
        description="Vectors that a task holds in memory at a time (4 bytes x dimension each, 100 MB at 384), rounded up to "
        "whole parts. A task compares two groups of half as many texts; larger groups leave fewer lists to merge.",
        ge=1,
    )
    exact_up_to: int = Field(
        2_000_000,
        description="Up to so many distinct texts the graph is exact: all are compared with all. Above, only texts in common "
        "buckets and neighbours' neighbours are compared, and recall is measured.",
        ge=0,
    )
    texts_per_bucket: int = Field(
        250,
        description="Texts for each bucket of an approximate graph, before they are put into several. Larger buckets find more "
        "and cost more.",
        ge=1,
    )
    buckets_per_text: int = Field(
        6,
        description="Buckets that each text of an approximate graph is put into: those of the nearest centroids. More find "
        "more; the cost of comparing grows with the square.",
        ge=1,
        le=64,
    )
    recall_rows: int = Field(
        2000,
        description="Texts, chosen by hash, whose lists in an approximate graph are compared with exact ones.",
        ge=1,
    )
    recall_gate: float = Field(
        0.98,
        description="Nothing is published when the measured recall of an approximate graph is below this. An exact graph has "
        "no such gate.",
        ge=0,
        le=1,
    )
