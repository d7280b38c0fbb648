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
        8,
        description="Candidates beyond k that the float32 screen hands to exact rescoring. More cost a little for every text, "
        "fewer send more texts to the full exact search; the result is the same.",
        ge=1,
        le=1024,
    )
    rows_per_tile: int = Field(
        8192,
        description="Texts whose neighbours one task finds, rounded up to whole vector blocks. The unit of parallel work.",
        ge=1,
    )
    rows_per_chunk: int = Field(
        65536,
        description="Vectors that a task holds in memory at a time (4 bytes x dimension each, 100 MB at 384), rounded up to "
        "whole blocks.",
        ge=1,
    )
