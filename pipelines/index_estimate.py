"""What the index of a run will need: by the type that it will have, and by what earlier runs under the same root took."""

from dataclasses import dataclass
from typing import Any

from pipelines.config import Config
from pipelines.estimate import ancestors
from pipelines.threads import threads_of_each
from transforms.files import CorruptFileError, read_json
from transforms.generations import Generation, GenerationError
from transforms.index import (
    FLAT,
    IndexEstimate,
    IndexTypeError,
    estimate_index,
    read_training,
    resolve_type,
    same_kind,
    type_beside,
)

# A run that indexed fewer texts says more about starting jobs than about indexing.
_TEXTS_ENOUGH = 10_000


@dataclass(frozen=True)
class IndexPlan:
    """The estimate of a whole build, its seconds, and the generation that they come from (None: from stated rates)."""

    estimate: IndexEstimate
    seconds: float
    measured_by: str | None

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "type": self.estimate.factory,
            "file_bytes": self.estimate.file_bytes,
            "stage_bytes": self.estimate.stage_bytes,
            "search_bytes": self.estimate.search_bytes,
            "seconds": round(self.seconds, 1),
            "seconds_of": self.measured_by,
        }


def plan_index(config: Config, published: Generation | None, texts: int, documents: int, dim: int) -> IndexPlan:
    """What building the index of `texts` vectors of `dim` dimensions and `documents` rows of ids will need.

    Raises IndexTypeError when the configured type cannot be built for this corpus.
    """
    factory = _type(config, published, texts)
    try:
        estimate = estimate_index(factory, texts, documents, dim, config.index)
    except RuntimeError as error:
        raise IndexTypeError(f"FAISS cannot build {factory!r} for {dim} dimensions; choose another index.type") from error
    seconds = estimate.seconds(threads_of_each(1))
    for generation in ancestors(published):
        if (took := _took(generation)) is not None and same_kind(took[0], factory):
            then = estimate_index(*took[:4], config.index).seconds(1)
            return IndexPlan(estimate, took[4] * estimate.seconds(1) / then, generation.id)
    return IndexPlan(estimate, seconds, None)


def _type(config: Config, published: Generation | None, texts: int) -> str:
    """The type as the index stage will choose it."""
    options = config.index
    if options.type == "auto" and options.retrain == "drift" and published is not None:
        then = published.manifest.configuration.get("index", {})
        if then.get("type") == "auto" and (factory := _built(published)) is not None:
            return type_beside(factory, texts)
    return resolve_type(options.type, texts)


def _built(generation: Generation) -> str | None:
    """The type of a generation's index; None when it does not say."""
    names = {file.path.rsplit("/", 1)[-1] for file in generation.manifest.under("index")}
    if "trained.faiss" not in names:
        return FLAT
    if "training.json" not in names:
        return None
    try:
        training = read_training(generation.path("index/training.json"))
    except (CorruptFileError, GenerationError):
        return None
    return None if training is None else training.factory


def _took(generation: Generation) -> tuple[str, int, int, int, float] | None:
    """Type, texts, documents, dimensions and seconds of a generation whose run built its whole index; None of another."""
    factory, manifest = _built(generation), generation.manifest
    try:
        stages = read_json(generation.path("metrics.json"))["stages"]
        entries = [stages["index"], stages["recall"]]
        texts, dim = int(stages["index"]["texts_indexed"]), int(manifest.encoder["dimension"])
        seconds = sum(float(entry["seconds"]) for entry in entries)
    except (GenerationError, CorruptFileError, KeyError):
        return None
    whole = stages["index"].get("texts_encoded", texts) == texts
    if factory is None or texts < _TEXTS_ENOUGH or not whole or any(e.get("resumed") or e.get("reused") for e in entries):
        return None
    return factory, texts, int(manifest.counts.get("passages", texts)), dim, seconds
