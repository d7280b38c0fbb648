"""`corpusbeam duplicates`: which of its uses is meant, and with which settings."""

from dataclasses import dataclass
from typing import Any

from pipelines.against import against_files, against_lines, against_published
from pipelines.calibrate import calibrate, calibration_lines
from pipelines.config import Config, ConfigurationError, load_config
from pipelines.defaults import DEFAULT_ROOT
from pipelines.excerpt import Excerpt
from pipelines.raised import published_duplicates, published_lines
from pipelines.search import published_embedding
from pipelines.text_sets import config_for, refuse_inside
from transforms.embedding import EmbeddingOptions
from transforms.generations import Generation, open_generation
from transforms.search import matching_spec

DEFAULT_PROMISE = 0.9


@dataclass(frozen=True)
class DuplicatesCommand:
    """The options of the verb as they were given; None and empty is what was not."""

    root: str | None = None
    threshold: float | None = None
    max_pairs: int | None = None
    output: str | None = None
    against: tuple[str, ...] = ()
    input: tuple[str, ...] = ()
    config: str | None = None
    settings: tuple[str, ...] = ()
    model: str | None = None
    calibrate: str | None = None
    precision: float | None = None

    def run(self) -> tuple[dict[str, Any], list[str]]:
        """What is asked for, as JSON values and as lines for a terminal.

        Raises ConfigurationError for options that do not go together, and for an output inside the root.
        """
        refuse_inside("--output", self.output, self.root or DEFAULT_ROOT)
        if self.calibrate is not None:
            self._refuse("--calibrate", "threshold", "max_pairs", "against", "input", "config", "settings")
            found = self._calibrated(self.calibrate)
            return found, calibration_lines(found)
        self._refuse("pairs without --calibrate", "precision")
        if self.against:
            found = self._compared()
            return found, against_lines(found)
        self._refuse("the published pairs (it is for --against)", "input", "config", "settings", "model")
        found = published_duplicates(self._open(), self.threshold, Excerpt(self.max_pairs, self.output))
        return found, published_lines(found)

    def _refuse(self, use: str, *names: str) -> None:
        for name in names:
            if getattr(self, name) not in (None, ()):
                option = {"settings": "set"}.get(name, name).replace("_", "-")
                raise ConfigurationError(f"--{option} means nothing for {use}: leave it out")

    def _open(self) -> Generation:
        return open_generation(self.root or DEFAULT_ROOT)

    def _calibrated(self, labels: str) -> dict[str, Any]:
        promise = DEFAULT_PROMISE if self.precision is None else self.precision
        # Labelled texts need a model only: the default root counts where none is named.
        if self.root is None and self.model is not None:
            return calibrate(labels, None, EmbeddingOptions(model=self.model), promise, self.output)
        generation = self._open()
        return calibrate(labels, generation, published_embedding(generation, self.model), promise, self.output)

    def _compared(self) -> dict[str, Any]:
        excerpt = Excerpt(self.max_pairs, self.output)
        if self.input:
            self._refuse("files against files (--input)", "root")
            return against_files(self._config_of_files(), self.against, excerpt)
        self._refuse("a published generation, whose settings count (--set changes one)", "config")
        generation = self._open()
        config = self._config_of(generation)
        return against_published(config, generation, matching_spec(generation, config.embedding), excerpt)

    def _config_of_files(self) -> Config:
        overrides = {"corpus.input": list(self.input), **self._threshold()}
        if self.model is not None:
            overrides["embedding.model"] = self.model
        return load_config(self.config, self.settings, overrides)

    def _config_of(self, generation: Generation) -> Config:
        return config_for(generation, self.against, self.settings, self._threshold(), self.model)

    def _threshold(self) -> dict[str, Any]:
        return {} if self.threshold is None else {"duplicates.threshold": self.threshold}
