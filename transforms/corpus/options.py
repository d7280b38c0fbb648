"""The `corpus` section of the configuration."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

PYTHON_DOCS = "python-docs"

# Columns of the published documents, which a metadata column would replace, and `state`, which a later stage adds.
RESERVED_COLUMNS = frozenset({"doc_id", "passage_no", "content_key", "text", "state"})


class CorpusOptions(BaseModel):
    """Where the corpus is, what its columns are called, and what to do about rows that cannot be used."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    input: list[str] = Field(
        default=[PYTHON_DOCS],
        min_length=1,
        description="Files, globs, folders (read recursively) or fsspec URLs of any of them; 'python-docs' reads the "
        "docstrings of the Python packages installed on this machine.",
    )
    format: Literal["auto", "parquet", "jsonl", "text"] = Field(
        default="auto",
        description="Format of the input files. 'auto' goes by the name: .parquet .pq | .jsonl .ndjson .json | .txt .md "
        ".text .rst; JSON Lines and text may be compressed (.gz .bz2 .xz .zst).",
    )
    id_column: str = Field(
        default="id", min_length=1, description="Column or JSON key of the document id: a string or an integer."
    )
    text_column: str = Field(default="text", min_length=1, description="Column or JSON key of the text.")
    metadata_columns: list[str] = Field(
        default=[],
        description="Columns or JSON keys that are kept with each document, as int64, double, bool, string or timestamp; "
        "nested values become JSON. python-docs always has 'package' and 'kind'.",
    )
    text_unit: Literal["file", "line"] = Field(
        default="file",
        description="What one document of a text file is: the whole file (its id is the path relative to the input's fixed "
        "part) or each line that is not blank (id 'path:line').",
    )
    sample: int | None = Field(
        default=None,
        ge=1,
        description="Keep only this many documents, chosen by the hash of their id, so that the same corpus always gives the "
        "same sample and a growing corpus changes little of it.",
    )
    keep_text: bool = Field(default=True, description="Publish the texts with the documents; reports and reranking need them.")
    # Real exports have a fraction of a percent of bad rows. One in twenty means that something else is wrong (another
    # column, another encoding, a broken export), and publishing the rest would look like a mass deletion to readers.
    max_quarantine_fraction: float = Field(
        default=0.05, ge=0, le=1, description="Largest fraction of rows in quarantine with which a run still publishes."
    )
    # A full snapshot that lost a tenth of its documents overnight is more often a broken export than a decision.
    max_deleted_fraction: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Largest fraction of the published documents that may be missing from the input; a run with more needs "
        "--allow-deletes.",
    )
    unreadable_files: Literal["fail", "quarantine"] = Field(
        default="fail",
        description="What a file that cannot be read does: stop the run (a file that is missing for a night must not look "
        "like the deletion of its documents), or go to quarantine while the rest is published.",
    )
    # With MiniLM's 384 floats a part is a 6 MB vector block: large enough for one matrix product, small enough that
    # several fit in a worker.
    rows_per_part: int = Field(
        default=4096,
        ge=1,
        description="Largest average number of documents in an output part; the number of parts is a power of two, at most "
        "1,024: of more than 1,024 times so many documents parts are larger.",
    )

    passage_tokens: int | None = Field(
        default=None,
        # Below, a passage says too little to be found by what it means.
        ge=16,
        description="Split documents into passages of at most this many tokens of the embedding model's tokenizer, special "
        "tokens and prompt not counted, between sentences where that is near. null: a document is one passage, of which the "
        "model reads as much as it can.",
    )
    passage_overlap: int = Field(
        default=40,
        ge=0,
        description="Tokens that a passage repeats of the one before it, or as few as half of them to begin with a sentence, "
        "so that what lies across a border is whole in one of both. Less than passage_tokens, without which it has no effect.",
    )

    @field_validator("metadata_columns")
    @classmethod
    def _usable_names(cls, names: list[str]) -> list[str]:
        if taken := sorted(RESERVED_COLUMNS.intersection(names)):
            raise ValueError(
                f"metadata column {taken[0]!r} has the name of a published column "
                f"({', '.join(sorted(RESERVED_COLUMNS))}): rename it in the input or leave it out"
            )
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"metadata column {repeated[0]!r} is listed twice: list it once")
        return names

    @model_validator(mode="after")
    def _different_columns(self) -> "CorpusOptions":
        if self.id_column == self.text_column:
            raise ValueError(f"id_column and text_column are both {self.id_column!r}: name two different columns")
        return self

    @model_validator(mode="after")
    def _overlap_below_window(self) -> "CorpusOptions":
        if self.passage_tokens is not None and self.passage_overlap >= self.passage_tokens:
            raise ValueError(
                f"passage_overlap {self.passage_overlap} is not below passage_tokens {self.passage_tokens}: a fifth is usual"
            )
        return self
