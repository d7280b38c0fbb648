"""How documents are split into passages: by the tokenizer of the embedding model, in windows that the model takes whole."""

import json
from pathlib import Path
from typing import Any

from pipelines.config import Config, ConfigurationError
from transforms.corpus import PassageSplitter, load_tokenizer
from transforms.embedding import EncoderSpec, encoder_spec


def passage_splitter(config: Config) -> PassageSplitter | None:
    """The splitter that `corpus.passage_tokens` asks for; None when documents stay whole.

    Raises ConfigurationError when the model has no `tokenizer.json` or takes fewer tokens than a passage may have.
    """
    corpus = config.corpus
    if corpus.passage_tokens is None:
        return None
    spec = encoder_spec(config.embedding)
    # Some folders keep the transformer, tokenizer included, in a folder of its own.
    folder = Path(spec.folder, next((module["path"] for module in _json(Path(spec.folder, "modules.json")) or []), ""))
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ConfigurationError(
            f"corpus.passage_tokens {corpus.passage_tokens}: model {spec.model!r} has no tokenizer.json in {folder}; "
            "save its fast tokenizer there, or set corpus.passage_tokens to null"
        )
    _check_window(corpus.passage_tokens, spec, folder, str(path))
    return PassageSplitter(str(path), corpus.passage_tokens, corpus.passage_overlap)


def _check_window(passage_tokens: int, spec: EncoderSpec, folder: Path, path: str) -> None:
    tokenizer = load_tokenizer(path)
    special = tokenizer.num_special_tokens_to_add(False)
    prompt = len(tokenizer.encode(spec.document_prompt or "", add_special_tokens=False))
    limits = [limit for limit in (_model_limit(folder), spec.max_tokens) if limit is not None]
    if limits and passage_tokens > (room := min(limits) - special - prompt):
        raise ConfigurationError(
            f"corpus.passage_tokens {passage_tokens}: model {spec.model!r} takes {min(limits)} tokens, of which {special} are "
            f"special and {prompt} the document prompt's; set corpus.passage_tokens to at most {room}"
        )


def _model_limit(folder: Path) -> int | None:
    """Tokens that the model takes: as its author set it, else what sentence-transformers takes from tokenizer and positions."""
    chosen = (_json(folder / "sentence_bert_config.json") or {}).get("max_seq_length")
    if chosen is not None:
        return int(chosen)
    found = [
        (_json(folder / "tokenizer_config.json") or {}).get("model_max_length"),
        (_json(folder / "config.json") or {}).get("max_position_embeddings"),
    ]
    return min((int(limit) for limit in found if limit is not None), default=None)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
