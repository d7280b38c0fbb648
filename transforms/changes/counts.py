"""The six things that can have become of a document."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

STATES = ("added", "changed", "metadata_only", "unchanged", "deleted", "quarantined")


@dataclass(frozen=True)
class Changes:
    """How many documents are in each state.

    `added`, `changed` (a passage's text, or their number), `metadata_only` (same texts, another published metadata value) and
    `unchanged` are documents of the corpus now. `deleted` were published and are not in the input any more; `quarantined` were
    published and are in the input, but in a row that cannot be used.
    """

    added: int = 0
    changed: int = 0
    metadata_only: int = 0
    unchanged: int = 0
    deleted: int = 0
    quarantined: int = 0

    @property
    def published(self) -> int:
        """Documents of the published generation."""
        return self.changed + self.metadata_only + self.unchanged + self.deleted + self.quarantined

    @property
    def current(self) -> int:
        """Documents of the corpus as it is now."""
        return self.added + self.changed + self.metadata_only + self.unchanged

    @property
    def deleted_share(self) -> float:
        """Deleted documents as a fraction of the published ones; 0 where nothing was published."""
        return self.deleted / self.published if self.published else 0.0

    def as_dict(self) -> dict[str, int]:
        """The counts by state, in the order of STATES."""
        return asdict(self)


def total(parts: Iterable[Changes]) -> Changes:
    """The sum over parts."""
    counts = dict.fromkeys(STATES, 0)
    for part in parts:
        for state, count in part.as_dict().items():
            counts[state] += count
    return Changes(**counts)
