"""Which models the packed forward pass may know, by their files: precision is chosen before a model is loaded."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The parts of a sentence-transformers model, the poolings and the encoders that the forward pass computes.
MODULES = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
POOLINGS = ("mean", "cls")
ARCHITECTURES = ("BertModel", "RobertaModel", "XLMRobertaModel", "DistilBertModel", "MPNetModel")


@dataclass(frozen=True)
class PackableFiles:
    """What the files of a model say that the packed forward pass knows.

    `architecture` is one of ARCHITECTURES, `config` the transformer's own, `inner` the folder that it is in.
    """

    architecture: str
    config: dict[str, Any]
    inner: str
    pooling: str
    normalize: bool


def is_packable(folder: str) -> bool:
    """Whether the files of a model say that the packed forward pass knows it: a guess made without loading the model."""
    return packable_files(folder) is not None


def packable_files(folder: str) -> PackableFiles | None:
    """What the files say, None when they say that the forward pass does not know the model."""
    try:
        modules = json.loads(Path(folder, "modules.json").read_text(encoding="utf-8"))
        inner = Path(folder, modules[0]["path"])
        config = json.loads((inner / "config.json").read_text(encoding="utf-8"))
        pooling = json.loads(Path(folder, modules[1]["path"], "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, LookupError, TypeError):
        return None
    # As the libraries take it where a file is silent.
    activation = config.get("hidden_act", config.get("activation", "gelu"))
    if activation != "gelu" or config.get("is_decoder") or config.get("position_embedding_type", "absolute") != "absolute":
        return None
    if not pooling.get("include_prompt", True):
        return None
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    # Older folders have one switch for each kind of pooling, newer ones its name.
    mode = pooling.get("pooling_mode") or next(
        (name for name, key in (("mean", "mean_tokens"), ("cls", "cls_token")) if pooling.get(f"pooling_mode_{key}")), None
    )
    architecture = (config.get("architectures") or [""])[0].removesuffix("ForMaskedLM").removesuffix("Model") + "Model"
    if kinds not in MODULES or mode not in POOLINGS or architecture not in ARCHITECTURES:
        return None
    return PackableFiles(architecture, config, str(inner), mode, kinds[-1] == "Normalize")
