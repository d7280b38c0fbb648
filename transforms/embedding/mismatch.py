"""What a model is asked to do that it was not made for: sentences for a person, computed from plain values."""

from collections.abc import Collection
from typing import Literal

from transforms.embedding.facts import ModelFacts, read_facts
from transforms.embedding.fingerprint import EncoderSpec
from transforms.embedding.profiles import ModelProfile, find_profile, trained_metric

# Duplicates stands for all that compares documents with documents: neighbours, pairs, groups and topics.
Task = Literal["search", "duplicates", "similarity"]

_FOR_BOTH = "a model for both, such as all-MiniLM-L6-v2"


def warnings_of(spec: EncoderSpec, tasks: Collection[Task]) -> list[str]:
    """`model_warnings` for an encoder whose folder is on this machine."""
    return model_warnings(spec, read_facts(spec.folder), None if spec.profile is None else find_profile(spec.profile), tasks)


def model_warnings(spec: EncoderSpec, facts: ModelFacts, profile: ModelProfile | None, tasks: Collection[Task]) -> list[str]:
    """One sentence or two for each mismatch between an encoder and what it is used for; none when all fits."""
    name = spec.name
    found = [_metric(name, spec, facts, profile), _length(name, facts, profile)]
    reason = _made_for_search(name, spec, facts, profile)
    if reason and "duplicates" in tasks:
        found.append(
            f"{reason}; duplicates and topics compare documents with each other, and are less reliable for it. Look at "
            f"duplicates/pairs.parquet before you act on it, or build them in another root with {_remedy(spec)}."
        )
    if reason and "similarity" in tasks:
        found.append(f"{reason}; similarity compares documents with each other. Use {_FOR_BOTH}.")
    if profile is not None and profile.use == "symmetric" and "search" in tasks:
        found.append(
            f"{name} was trained on texts that say the same, not on questions with their answers; short queries may miss long "
            f"documents. Where search matters, use {_FOR_BOTH}."
        )
    return [warning for warning in found if warning]


def _made_for_search(name: str, spec: EncoderSpec, facts: ModelFacts, profile: ModelProfile | None) -> str | None:
    if facts.router:
        return f"{name} sends documents and queries through different modules"
    if _prompts_differ(spec):
        return f"{name} embeds documents with {spec.document_prompt!r} and queries with {spec.query_prompt!r}"
    # Where prompts make the sides, equal prompts unmake them.
    if profile is not None and profile.use == "asymmetric" and not profile.document_prompt:
        return f"{name} was trained to find passages for questions, not texts that say the same"
    return None


def _prompts_differ(spec: EncoderSpec) -> bool:
    return bool(spec.document_prompt and spec.query_prompt and spec.document_prompt != spec.query_prompt)


def _remedy(spec: EncoderSpec) -> str:
    if _prompts_differ(spec):
        return f"embedding.document_prompt={spec.query_prompt!r} or {_FOR_BOTH}"
    return _FOR_BOTH


def _metric(name: str, spec: EncoderSpec, facts: ModelFacts, profile: ModelProfile | None) -> str | None:
    trained = trained_metric(facts.metric, profile)
    # Vectors cut to their first dimensions have no longer the length that the model gave them.
    unit = facts.normalizes and spec.truncate_dim is None
    if spec.metric == "dot" and unit:
        return f"{name} normalises its vectors itself: embedding.metric=dot gives the same answers as cosine."
    if trained is None or trained == spec.metric:
        return None
    if spec.metric == "dot" and trained == "cosine":
        return (
            f"{name} was trained for cosine: with embedding.metric=dot documents with long vectors come before nearer ones. "
            "Leave embedding.metric out unless the model's card says dot product."
        )
    return (
        f"{name} was trained for {trained}: embedding.metric={spec.metric} ranks differently. Leave embedding.metric out where "
        "the model's own metric is supported, or measure before you rely on it."
    )


def _length(name: str, facts: ModelFacts, profile: ModelProfile | None) -> str | None:
    if profile is None or facts.max_tokens in (None, profile.max_tokens):
        return None
    return (
        f"{name} states a limit of {facts.max_tokens} tokens, its profile {profile.name} {profile.max_tokens}: the model's own "
        "counts. If it is another model of that name, set embedding.profile=none."
    )
