"""What a model's own files say about its use, read without loading it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ModelFacts:
    """Prompts of both sides, metric (`similarity_fn_name`) and length as stated, None where the files are silent.

    `normalizes`: the last module makes unit vectors. `router`: documents and queries go through different modules.
    """

    document_prompt: str | None = None
    query_prompt: str | None = None
    metric: str | None = None
    max_tokens: int | None = None
    normalizes: bool = False
    router: bool = False


def read_facts(folder: str) -> ModelFacts:
    """Read the settings files of a model folder; absent ones say nothing.

    The model's default prompt is not among its prompts: neither side of the library's encoding uses it. The library itself
    overlooks a prompt that is only called "passage" or "corpus", as E5-like models have it; here documents get it, because
    that is what the model was trained with. An empty prompt says nothing: the library writes one for both sides of every model.
    """
    settings = _read(folder, "config_sentence_transformers.json") or {}
    prompts = settings.get("prompts") or {}
    modules = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in _read(folder, "modules.json") or []]
    return ModelFacts(
        document_prompt=_first(prompts, "document", "passage", "corpus"),
        query_prompt=_first(prompts, "query"),
        metric=settings.get("similarity_fn_name"),
        max_tokens=(_read(folder, "sentence_bert_config.json") or {}).get("max_seq_length"),
        normalizes=modules[-1:] == ["Normalize"],
        # Asym is the Router's former name.
        router=not {"Router", "Asym"}.isdisjoint(modules),
    )


def transformer_folder(folder: str) -> str:
    """Where transformer and tokenizer are: some models keep them in a folder of their own."""
    modules = _read(folder, "modules.json") or [{}]
    return str(Path(folder, modules[0].get("path", "")))


def token_limit(folder: str) -> int | None:
    """Tokens that the model takes: as its author set it, else what sentence-transformers takes from tokenizer and positions."""
    inner = transformer_folder(folder)
    chosen = (_read(inner, "sentence_bert_config.json") or {}).get("max_seq_length")
    if chosen is not None:
        return int(chosen)
    found = [
        (_read(inner, "tokenizer_config.json") or {}).get("model_max_length"),
        (_read(inner, "config.json") or {}).get("max_position_embeddings"),
    ]
    return min((int(limit) for limit in found if limit is not None), default=None)


def _read(folder: str, name: str) -> Any:
    path = Path(folder, name)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _first(prompts: dict[str, str], *names: str) -> str | None:
    return next((prompts[name] for name in names if prompts.get(name)), None)
