"""`corpusbeam evaluate`: how good a model and a published generation are, by the user's own labels."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipelines.config import ConfigurationError
from pipelines.defaults import DEFAULT_ROOT
from pipelines.errors import warn
from pipelines.evaluate_costs import cost_lines, measure_costs
from pipelines.evaluated import Sampling, Section, figures_tables, section_lines
from pipelines.evaluation_folder import check_evaluation_folder, write_evaluation
from pipelines.rankers import System, model_system, published_system
from pipelines.search import published_embedding
from pipelines.text_sets import refuse_inside
from transforms.embedding import EmbeddingOptions
from transforms.evaluation import CONFIDENCE, Judgements, read_judgements
from transforms.files import is_same
from transforms.generations import Generation, open_generation

if TYPE_CHECKING:
    from transforms.rerank import Reranker


@dataclass(frozen=True)
class EvaluateCommand:
    """What was asked for on the command line.

    `models` are compared with the published model of `root`, or where there is no root with the first of them.
    """

    root: str | None = None
    generation: str | None = None
    qrels: str | None = None
    queries: str | None = None
    split: str = "test"
    pairs: str | None = None
    labels: str | None = None
    index: bool = False
    models: tuple[str, ...] = ()
    compare_root: str | None = None
    compare_generation: str | None = None
    rerank: str | None = None
    rerank_optional: bool = False
    output: str | None = None
    resamples: int = 2000
    seed: int = 0

    def run(self) -> tuple[dict[str, Any], list[str]]:
        """Measure what the options ask for, and write it to `output`: what was found, for JSON and as lines for a terminal.

        Raises InputError for labels that cannot be understood, ConfigurationError for options that do not fit together.
        """
        self._check()
        sampling = Sampling(self.resamples, self.seed)
        # What people wrote is read first: it fails soonest.
        judgements = None if self.qrels is None else read_judgements(self.qrels, self.queries, self.split)
        systems = self._systems
        sections = self._sections(judgements, systems, sampling)
        costs = measure_costs(systems) if len(systems) > 1 else []
        found: dict[str, Any] = {
            "systems": [_described(system) for system in systems],
            "confidence": CONFIDENCE,
            "resamples": self.resamples,
            "seed": self.seed,
            "sections": {section.task: section.as_json() for section in sections},
            "costs": costs,
            "files": [],
        }
        warn([finding for section in sections for finding in section.findings])
        if self.output is not None:
            tables = figures_tables(sections)
            for section in sections:
                tables |= section.tables
            figures = {name: value for name, value in found.items() if name != "files"}
            found["files"] = write_evaluation(self.output, figures, tables)
        return found, _lines(found, sections)

    def _check(self) -> None:
        if self.resamples < 100:
            raise ConfigurationError(f"--resamples={self.resamples} is too few for an interval: give at least 100")
        if self.queries is not None and self.qrels is None:
            raise ConfigurationError("--queries needs --qrels: which documents are relevant to them")
        if (self.rerank is not None or self.rerank_optional) and self.qrels is None:
            raise ConfigurationError("--rerank needs --qrels: it is measured by what is found for queries")
        if self.rerank_optional and self.rerank is None:
            raise ConfigurationError("--rerank-optional needs --rerank: which cross-encoder is optional")
        if not self._needs_root and (self.compare_root or self.compare_generation or self.generation):
            raise ConfigurationError("--generation, --compare-root and --compare-generation need --root")
        if self.models and (self.compare_root or self.compare_generation):
            raise ConfigurationError(
                "compare models (--model) or generations (--compare-…), not both: a difference would have two causes"
            )
        if self.output is not None:
            for root in (self.root or DEFAULT_ROOT, self.compare_root):
                if root is not None:
                    refuse_inside("--output", self.output, root)
            check_evaluation_folder(self.output, [path for path in (self.qrels, self.queries, self.pairs) if path is not None])

    @property
    def _needs_root(self) -> bool:
        """Pairs of texts can be measured with models alone, and nothing else."""
        return self.root is not None or not self.models or self.pairs is None or any((self.qrels, self.labels, self.index))

    @cached_property
    def _systems(self) -> list[System]:
        if not self._needs_root:
            return _different([model_system(None, EmbeddingOptions(model=model), model) for model in self.models])
        generation = open_generation(self.root or DEFAULT_ROOT, self.generation)
        if self.compare_root is not None or self.compare_generation is not None:
            other = self._other(generation)
            elsewhere = not is_same(other.root, generation.root)
            return [published_system(one, one.folder if elsewhere else one.id) for one in (generation, other)]
        model = str(generation.manifest.encoder.get("model"))
        first = published_system(generation, f"{model} (published)" if model in self.models else model)
        return _different([first, *(model_system(generation, _options(generation, name), name) for name in self.models)])

    def _other(self, generation: Generation) -> Generation:
        other = open_generation(self.compare_root or generation.root, self.compare_generation)
        if other.id == generation.id and is_same(other.root, generation.root):
            raise ConfigurationError(f"generation {other.id} would be compared with itself: name another one")
        return other

    def _reranker(self) -> "Reranker | None":
        from pipelines.rerank import find_reranker

        return None if self.rerank is None else find_reranker(self.rerank, optional=self.rerank_optional)

    def _sections(self, judgements: Judgements | None, systems: list[System], sampling: Sampling) -> list[Section]:
        # Each brings libraries of its own.
        sections = []
        if judgements is not None:
            from pipelines.evaluate_retrieval import evaluate_retrieval

            sections.append(evaluate_retrieval(judgements, systems, sampling, self._reranker()))
        if self.pairs is not None:
            from pipelines.evaluate_pairs import evaluate_pairs

            sections.append(evaluate_pairs(self.pairs, systems, sampling))
        if self.labels is not None:
            from pipelines.evaluate_topics import evaluate_topics

            sections.append(evaluate_topics(self.labels, systems, sampling))
        if self.index or not sections:
            from pipelines.evaluate_index import evaluate_index

            sections.append(evaluate_index(None if judgements is None else judgements.texts, systems))
        return sections


def _options(generation: Generation, model: str) -> EmbeddingOptions:
    """Settings for another model than the published one: of its own are prompts, metric, profile and length."""
    same = ("precision", "tokens_per_batch", "characters_per_batch")
    published = published_embedding(generation)
    precision = {} if published.precision == "int8" else {name: getattr(published, name) for name in same}
    return EmbeddingOptions(model=model, **precision)


def _different(systems: list[System]) -> list[System]:
    """The systems, none of which is another one. Raises ConfigurationError when two are."""
    for i, system in enumerate(systems):
        for other in systems[:i]:
            if system.spec.fingerprint == other.spec.fingerprint or system.name == other.name:
                raise ConfigurationError(f"model {system.name!r} would be compared with itself: it is {other.name!r}")
    return systems


def _described(system: System) -> dict[str, Any]:
    generation = system.generation
    return {
        "name": system.name,
        "model": system.spec.model,
        "fingerprint": system.spec.fingerprint,
        "root": None if generation is None else generation.root,
        "generation": None if generation is None else generation.id,
        "published": system.published,
    }


def _lines(found: dict[str, Any], sections: list[Section]) -> list[str]:
    lines = []
    for section in sections:
        lines += section_lines(section)
    lines += cost_lines(found["costs"])
    lines.append(
        f"Intervals and tests: {found['resamples']:,} resamples, seed {found['seed']}; p of a randomization test that swaps "
        "the results of both systems item by item."
    )
    return lines + [f"written: {path}" for path in found["files"]]
