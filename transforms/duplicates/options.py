"""Configuration of paraphrase mining."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from transforms.duplicates.keep import parse_rule


class DuplicatesOptions(BaseModel):
    """Which texts say the same, and which of them is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(
        0.75,
        description="Texts with at least this cosine are a pair. Best values differ between corpora and models (0.63 to 0.71 "
        "on three labelled sets with all-MiniLM-L6-v2): look at the pairs before you act on them.",
        ge=-1,
        le=1,
    )
    keep: tuple[str, ...] = Field(
        ("most_documents", "longest"),
        description="Which passage stands for a group, most important rule first. On the text: most_documents (that have it), "
        "longest, shortest (in characters). On a metadata column of the document, which corpus.metadata_columns must name: "
        "newest:COLUMN, oldest:COLUMN (timestamps, or dates such as 2024-05-31), column:COLUMN:desc, column:COLUMN:asc "
        "(largest or smallest value first; documents without a value last). first_id: the smallest document id, "
        "which also decides where all rules are equal.",
    )
    near_jaccard: float = Field(
        0.5,
        description="Pairs whose word 3-grams have at least this Jaccard similarity are near duplicates, the others "
        "paraphrases. Texts shorter than 3 words are compared by their words.",
        ge=0,
        le=1,
    )
    max_pairs_per_text: int = Field(
        2_000,
        description="Pairs that one text may have with texts of larger id; the best are kept. It bounds memory where "
        "thousands of texts are nearly equal: m of them have m(m-1)/2 pairs. The default is far above real text "
        "(63,666 package descriptions: at most 703 at 0.75). What it cuts is counted (texts_incomplete, "
        "pairs_dropped) and said of each text in texts.parquet.",
        ge=1,
    )

    @field_validator("keep")
    @classmethod
    def _known_rules(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        for rule in rules:
            parse_rule(rule)
        if repeated := [rule for rule in rules if rules.count(rule) > 1]:
            raise ValueError(f"{repeated[0]!r} is listed twice: list it once")
        return rules
