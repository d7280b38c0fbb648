"""Configuration of lexical search."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

# Snowball's stemmers that PyStemmer has under these names and bm25s has stop words for; `none` neither stems nor drops a word.
LANGUAGES = (
    "none", "danish", "dutch", "english", "french", "german", "italian", "norwegian", "portuguese", "russian", "spanish",
    "swedish", "turkish",
)  # fmt: skip


class LexicalOptions(BaseModel):
    """Whether texts can be found by their words, and how words are weighed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lexical: bool = Field(
        False, description="Build a BM25 index of words beside the index of vectors, for search --mode lexical and hybrid."
    )
    language: Literal[LANGUAGES] = Field(  # type: ignore[valid-type]
        "english",
        description="Whose endings are cut off and whose function words are left out; none takes words as they are written.",
    )
    k1: float = Field(1.5, ge=0, le=10, description="How slowly a word that is repeated in a text stops adding to its score.")
    b: float = Field(0.75, ge=0, le=1, description="How far long texts are marked down: 0 not at all, 1 in full.")
