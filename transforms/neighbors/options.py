"""Configuration of the neighbour graph."""

from pydantic import BaseModel, ConfigDict, Field


class NeighborsOptions(BaseModel):
    """How many neighbours every text gets, and how much memory a worker takes for it. Only `k` changes the lists."""

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
