"""What a report shows, and how much of it."""

from pydantic import BaseModel, ConfigDict, Field


class ReportOptions(BaseModel):
    """Section `report` of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    map_points: int = Field(
        60_000,
        ge=0,
        le=200_000,
        description="Most points drawn on the topic map; a larger corpus is sampled by hash, and the report says so.",
    )
    hover_characters: int = Field(
        120,
        ge=0,
        le=1_000,
        description="Characters of text kept for each point of the map (tooltip and search): about this many bytes a point.",
    )
    map_columns: tuple[str, ...] | None = Field(
        None,
        description="Metadata columns that the map can be coloured by, a byte or two a point each; null: the first eight.",
    )
    duplicate_groups: int = Field(12, ge=0, le=1_000, description="Duplicate groups shown with their texts.")
    group_members: int = Field(4, ge=1, le=100, description="Different texts shown beside the kept one of each group.")
    example_characters: int = Field(
        400, ge=20, le=10_000, description="Characters of text shown for an example document or a member of a group."
    )
