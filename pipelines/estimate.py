"""How long embedding will take, from what earlier runs under the same root say of theirs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from transforms.embedding import EncoderSpec
from transforms.files import CorruptFileError, read_json
from transforms.generations import Generation, GenerationError, open_generation

# A run that embedded fewer texts says more about loading the model than about embedding.
_TEXTS_ENOUGH = 100


@dataclass(frozen=True)
class Rate:
    """What the run of `generation` embedded in a second; `characters` is None where that run did not count them.

    `same_model` says whether it had the model that is asked for: another one may be much faster or slower.
    """

    generation: str
    texts: float
    characters: float | None
    same_model: bool

    def seconds(self, texts: int, characters: int) -> float:
        """Seconds for so much, by characters where they are known: texts of a night may be longer than those before."""
        return characters / self.characters if self.characters else texts / self.texts


def measured_rate(published: Generation | None, spec: EncoderSpec) -> Rate | None:
    """The rate of the latest generation that embedded enough to tell with this precision, one of the same model first."""
    other = None
    for generation in ancestors(published):
        encoder = generation.manifest.encoder
        if encoder.get("precision") != spec.precision:
            continue
        same = dict(encoder.get("files") or {}) == dict(spec.files)
        rate = _rate(generation, same)
        if rate is not None and same:
            return rate
        other = other or rate
    return other


def ancestors(published: Generation | None) -> Iterator[Generation]:
    """The published generation, its parent, and so on, as far as they are kept and whole."""
    while published is not None:
        yield published
        parent = published.manifest.parent
        try:
            published = None if parent is None else open_generation(published.root, parent)
        except (GenerationError, CorruptFileError):
            return


def _rate(generation: Generation, same_model: bool) -> Rate | None:
    try:
        stages: dict[str, Any] = read_json(generation.path("metrics.json"))["stages"]
        embed = stages["embed"]
        embedded, seconds = embed["texts_embedded"], embed["seconds"]
    except (GenerationError, CorruptFileError, KeyError):
        return None
    # The counts of a stage that was taken over are those of the run before, its seconds are not.
    if embedded < _TEXTS_ENOUGH or seconds <= 0 or embed.get("resumed"):
        return None
    characters = stages.get("passages", {}).get("characters")
    if characters:
        characters *= embedded / (embedded + embed["texts_reused"])
    return Rate(generation.id, embedded / seconds, characters / seconds if characters else None, same_model)
