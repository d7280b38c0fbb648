"""`corpusbeam topics`: which of its uses is meant, and with which settings."""

from dataclasses import dataclass
from typing import Any

from pipelines.assign import assign_lines, assign_topics
from pipelines.text_sets import config_for, refuse_inside
from transforms.generations import open_generation
from transforms.search import matching_spec


@dataclass(frozen=True)
class TopicsCommand:
    """The options of the verb as they were given; None and empty is what was not."""

    root: str
    assign: tuple[str, ...] = ()
    floor: float | None = None
    output: str | None = None
    settings: tuple[str, ...] = ()
    model: str | None = None

    def run(self) -> tuple[dict[str, Any], list[str]]:
        """What is asked for, as JSON values and as lines for a terminal.

        Raises ConfigurationError for options that do not go together, and for an output inside the root.
        """
        refuse_inside("--output", self.output, self.root)
        generation = open_generation(self.root)
        config = config_for(generation, self.assign, self.settings, {}, self.model)
        found = assign_topics(config, generation, matching_spec(generation, config.embedding), self.floor, self.output)
        return found, assign_lines(found)
