"""An encoder's weights straight from its files: what transformers would load, without the seconds that importing it takes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file

from transforms.embedding.architectures import UnsupportedModelError, Weights, weights_in
from transforms.embedding.packable import packable_files

# MPNet's positions are computed by code of its own in transformers, which is not repeated here.
_ARCHITECTURES = ("BertModel", "RobertaModel", "XLMRobertaModel", "DistilBertModel")
_NORMS = ("LayerNorm", "sa_layer_norm", "output_layer_norm")
# Every architecture here has it, below its own name or at the top.
_ANCHOR = "embeddings.word_embeddings.weight"


def read_weights(folder: str) -> Weights:
    """The weights of a sentence-transformers folder, fp32, on the CPU.

    Raises UnsupportedModelError where the files are not laid out as this function knows them: the library may still load them.
    """
    files = packable_files(folder)
    if files is None or files.architecture not in _ARCHITECTURES:
        raise UnsupportedModelError(f"files of {folder}")
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted(Path(files.inner).glob("*.safetensors")):
        tensors |= load_file(path)
    prefix = next((name.removesuffix(_ANCHOR) for name in tensors if name.endswith(_ANCHOR)), None)
    if prefix is None:
        raise UnsupportedModelError(f"no {_ANCHOR} in {folder}")
    own = {name.removeprefix(prefix): tensor.float() for name, tensor in tensors.items() if name.startswith(prefix)}
    eps = float(files.config.get("layer_norm_eps", 1e-12))
    encoder = _modules(own, eps)
    encoder.embeddings.padding_idx = files.config.get("pad_token_id", 1)
    heads = files.config.get("num_attention_heads", files.config.get("n_heads", 0))
    try:
        return weights_in(encoder, files.architecture, int(heads), files.pooling, files.normalize)
    except (AttributeError, TypeError) as error:
        raise UnsupportedModelError(f"weights of {folder}: {error}") from error


def _modules(tensors: dict[str, torch.Tensor], eps: float) -> Any:
    """The tensors as attributes of objects, by the dots in their names; numbers make lists, norms are torch's own."""
    children: dict[str, dict[str, torch.Tensor]] = {}
    found = SimpleNamespace()
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        if rest:
            children.setdefault(first, {})[rest] = tensor
        else:
            setattr(found, first, tensor)
    if children and all(name.isdecimal() for name in children):
        return [_modules(children[name], eps) for name in sorted(children, key=int)]
    for name, inner in children.items():
        setattr(found, name, _norm(inner, eps) if name in _NORMS else _modules(inner, eps))
    return found


def _norm(tensors: dict[str, torch.Tensor], eps: float) -> torch.nn.LayerNorm:
    if set(tensors) != {"weight", "bias"}:
        raise UnsupportedModelError(f"a norm of {sorted(tensors)}")
    norm = torch.nn.LayerNorm(tensors["weight"].shape, eps=eps)
    norm.weight, norm.bias = (torch.nn.Parameter(tensors[name], requires_grad=False) for name in ("weight", "bias"))
    return norm
