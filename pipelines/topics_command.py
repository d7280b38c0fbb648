"""`corpusbeam topics`: which of its uses is meant, and with which settings."""

from dataclasses import dataclass
from typing import Any

from pipelines.assign import assign_lines, assign_topics
from pipelines.atlas import atlas_lines, write_atlas
from pipelines.config import ConfigurationError
from pipelines.text_sets import config_for, refuse_inside
from transforms.generations import open_generation
from transforms.search import matching_spec


@dataclass(frozen=True)
class TopicsCommand:
    """The options of the verb as they were given; None and empty is what was not."""

    root: str
    assign: tuple[str, ...] = ()
    atlas: str | None = None
    floor: float | None = None
    output: str | None = None
    settings: tuple[str, ...] = ()
    model: str | None = None

    def run(self) -> tuple[dict[str, Any], list[str]]:
        """What is asked for, as JSON values and as lines for a terminal.

        Raises ConfigurationError for options that do not go together, and for an output inside the root.
        """
        if bool(self.assign) == (self.atlas is not None):
            raise ConfigurationError(
                "topics needs --assign FILES for new documents, or --atlas FILE to write the map: give one"
            )
        if self.atlas is not None:
            return self._map_written(self.atlas)
        refuse_inside("--output", self.output, self.root)
        for setting in self.settings:
            # Other layers than the published ones would be read in their place.
            if setting.partition("=")[0].split(".")[0].strip() == "topics":
                raise ConfigurationError(f"--set {setting!r}: --assign gives the topics that are published, leave it out")
        generation = open_generation(self.root)
        config = config_for(generation, self.assign, self.settings, {}, self.model)
        found = assign_topics(config, generation, matching_spec(generation, config.embedding), self.floor, self.output)
        return found, assign_lines(found)

    def _map_written(self, path: str) -> tuple[dict[str, Any], list[str]]:
        for name in ("floor", "output", "settings", "model"):
            if getattr(self, name) not in (None, ()):
                raise ConfigurationError(f"--{'set' if name == 'settings' else name} means nothing for --atlas: leave it out")
        if not path.endswith(".parquet"):
            raise ConfigurationError(f"--atlas {path!r}: Embedding Atlas knows a Parquet file by its ending, .parquet")
        refuse_inside("--atlas", path, self.root)
        found = write_atlas(open_generation(self.root), path)
        return found, atlas_lines(found)
