"""How a generation is published."""

from pydantic import BaseModel, ConfigDict, Field


class PublishOptions(BaseModel):
    """Settings of the lease that keeps one writer on a root, and of roots without conditional writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lease_seconds: float = Field(
        60.0,
        description="A run says every third of this time that it is alive. One that was silent for so long may be taken over "
        "by another; on the same machine, one whose process has died at once. Clocks of machines that share a root must agree "
        "within a small part of it.",
        ge=3,
        le=86_400,
    )
    unconditional_writes: bool = Field(
        False,
        description="Publish to a file system that cannot write on a condition (neither local nor S3). What is lost: of two "
        "runs at one moment both can publish, and the result of one is gone without an error. Only for a root that a "
        "scheduler outside keeps to one run.",
    )
