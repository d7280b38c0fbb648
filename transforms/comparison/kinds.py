"""Counts of kinds of difference, with the first few examples of each."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Kinds:
    """How many things are of each kind; of `shown` kinds the first `limit` are kept by name."""

    names: tuple[str, ...]
    shown: tuple[str, ...]
    limit: int
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start all kinds at zero, so that each is reported."""
        self.counts = dict.fromkeys(self.names, 0)
        self.examples = {name: [] for name in self.shown}

    def add(self, kind: str, example: Any, count: int = 1) -> None:
        """Count `count` things of a kind."""
        self.counts[kind] += count
        if kind in self.examples and len(self.examples[kind]) < self.limit:
            self.examples[kind].append(example)

    def as_dict(self) -> dict[str, Any]:
        """Counts by kind, and `examples`."""
        return {**self.counts, "examples": self.examples}
