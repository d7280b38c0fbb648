"""The encoder fingerprint: declared data that decides a vector, and nothing else."""

import functools
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from transforms.embedding.models import find_model
from transforms.embedding.options import EmbeddingOptions
from transforms.files import digest_of, sha256_of

# Raised when the meaning of a stored vector changes for a reason that no other field shows.
FINGERPRINT_VERSION = 1

# Files of a model folder that are descriptions or other backends' copies, and do not decide a vector.
_NOT_DECISIVE = {"README.md", ".gitattributes", "data_config.json", "train_script.py"}
_DECISIVE_SUFFIXES = {".safetensors", ".json", ".txt", ".model"}


@dataclass(frozen=True)
class EncoderSpec:
    """All that decides a vector, as plain values; `folder` says where the model is here and is not part of the fingerprint."""

    model: str
    folder: str
    files: tuple[tuple[str, str], ...]
    document_prompt: str | None
    query_prompt: str | None
    max_tokens: int | None
    truncate_dim: int | None
    precision: str
    normalize: bool = True

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of the canonical JSON of every field but the folder and the model's spelling."""
        return digest_of({"version": FINGERPRINT_VERSION, **_without(asdict(self), "folder", "model")})


def encoder_spec(options: EmbeddingOptions, precision: str | None = None) -> EncoderSpec:
    """Describe the encoder that `options` ask for, reading the model's files but not loading the model.

    `precision` says what "auto" stands for; without it "auto" is fp32. Raises ModelError when the model cannot be found.
    """
    folder = find_model(options.model, options.revision)
    prompts = _model_prompts(folder)
    return EncoderSpec(
        model=options.model,
        folder=folder,
        files=_file_digests(folder),
        document_prompt=_first(options.document_prompt, prompts, ("document", "passage", "corpus")),
        query_prompt=_first(options.query_prompt, prompts, ("query",)),
        max_tokens=options.max_tokens,
        truncate_dim=options.truncate_dim,
        precision=(precision or "fp32") if options.precision == "auto" else options.precision,
    )


def _file_digests(folder: str) -> tuple[tuple[str, str], ...]:
    root = Path(folder)
    names = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file()
        and path.suffix in _DECISIVE_SUFFIXES
        and path.name not in _NOT_DECISIVE
        # onnx/ and openvino/ hold converted copies of the same weights.
        and path.relative_to(root).parts[0] not in ("onnx", "openvino")
    )
    return tuple((name, _digest(os.path.join(folder, name))) for name in names)


def _digest(path: str) -> str:
    status = os.stat(path)
    return _digest_of_version(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest_of_version(path: str, _size: int, _modified: int) -> str:
    return sha256_of(path)[0]


def _model_prompts(folder: str) -> dict[str, str]:
    """The model's named prompts. Its default prompt is not among them: neither side of the library's encoding uses it.

    The library itself overlooks a prompt that is only called "passage" or "corpus", as E5-like models have it; here documents
    get it, because that is what the model was trained with.
    """
    path = Path(folder, "config_sentence_transformers.json")
    if not path.exists():
        return {}
    return dict(json.loads(path.read_text(encoding="utf-8")).get("prompts") or {})


def _first(chosen: str | None, prompts: dict[str, str], names: tuple[str, ...]) -> str | None:
    if chosen is not None:
        return chosen
    return next((prompts[name] for name in names if prompts.get(name)), None)


def _without(values: dict, *names: str) -> dict:
    return {name: value for name, value in values.items() if name not in names}
