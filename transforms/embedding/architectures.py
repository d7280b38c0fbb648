"""The encoders that the packed forward pass knows: BERT and the models that differ from it in names and positions only."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from transforms.embedding.packable import MODULES, POOLINGS


class UnsupportedModelError(Exception):
    """The model is not of an architecture that the packed forward pass computes; the message says why."""


@dataclass(frozen=True)
class Linear:
    """Weight fp32 (outputs, inputs) and bias fp32 (outputs,)."""

    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True)
class Layer:
    """One layer after the normalisation-last scheme of BERT: attention, sum, norm, feed forward, sum, norm."""

    queries: Linear
    keys: Linear
    values: Linear
    attention_output: Linear
    attention_norm: torch.nn.LayerNorm
    intermediate: Linear
    output: Linear
    output_norm: torch.nn.LayerNorm


@dataclass(frozen=True)
class Weights:
    """All that decides what an encoder computes from token ids.

    `words` (vocabulary, width) and `positions` (longest, width), which has the segment's embedding in it. `bias` gives what is
    added to the attention scores of a text of some length, (heads, length, length), or is None. `second` (width,) is added to
    the tokens of the second of two texts: its segment's embedding instead of the first one's; None for a model without.
    """

    words: torch.Tensor
    positions: torch.Tensor
    norm: torch.nn.LayerNorm
    layers: tuple[Layer, ...]
    heads: int
    bias: Callable[[int], torch.Tensor] | None
    pooling: str
    normalize: bool
    second: torch.Tensor | None = None


def weights_of(model: Any) -> Weights:
    """The weights of a SentenceTransformer. Raises UnsupportedModelError when any part of it is not known here."""
    modules = [type(module).__name__ for module in model.children()]
    if modules not in MODULES:
        raise UnsupportedModelError(f"modules {modules}")
    encoder, pooling = model.transformers_model, model[1]
    name = known_architecture(encoder)
    if pooling.pooling_mode not in POOLINGS or not pooling.include_prompt:
        raise UnsupportedModelError(f"pooling {pooling.pooling_mode}, prompt included: {pooling.include_prompt}")
    tokenizer = model.tokenizer
    ids = tokenizer("a")["input_ids"]
    if ids[0] != tokenizer.cls_token_id or ids[-1] != tokenizer.sep_token_id or tokenizer.num_special_tokens_to_add() != 2:
        raise UnsupportedModelError("special tokens other than one before and one after the text")
    return weights_in(encoder, name, encoder.config.num_attention_heads, pooling.pooling_mode, modules[-1] == "Normalize")


def known_architecture(encoder: Any) -> str:
    """The name of a transformer's architecture. Raises UnsupportedModelError when the forward pass does not compute it."""
    name = type(encoder).__name__
    if name not in _READERS:
        raise UnsupportedModelError(f"architecture {name}")
    config = encoder.config
    activation = getattr(config, "hidden_act", None) or getattr(config, "activation", None)
    wanted = {"is_decoder": False, "add_cross_attention": False, "position_embedding_type": "absolute"}
    found = {key: getattr(config, key, value) for key, value in wanted.items()}
    if found != wanted or activation != "gelu":
        raise UnsupportedModelError(f"configuration {found}, activation {activation}")
    if encoder.dtype != torch.float32:
        raise UnsupportedModelError(f"weights {encoder.dtype}")
    return name


def pair_weights(encoder: Any) -> Weights:
    """The weights of the transformer of a cross-encoder, which reads two texts as one, and whose first token tells.

    Raises UnsupportedModelError when it is of another architecture.
    """
    name = known_architecture(encoder)
    weights = weights_in(encoder, name, encoder.config.num_attention_heads, "cls", normalize=False)
    segments = getattr(encoder.embeddings, "token_type_embeddings", None)
    if segments is None or segments.num_embeddings < 2:
        return weights
    return replace(weights, second=(segments.weight[1] - segments.weight[0]).detach())


def weights_in(encoder: Any, architecture: str, heads: int, pooling: str, normalize: bool) -> Weights:
    """The weights of the modules of a transformer, which has transformers' own names."""
    positions, layers, bias = _READERS[architecture](encoder)
    return Weights(
        encoder.embeddings.word_embeddings.weight.detach(),
        positions.detach(),
        encoder.embeddings.LayerNorm,
        tuple(layers),
        heads,
        bias,
        pooling,
        normalize,
    )


_Parts = tuple[torch.Tensor, list[Layer], Callable[[int], torch.Tensor] | None]


def _bert(encoder: Any) -> _Parts:
    # Only one segment is ever used, so its embedding is added to the positions once.
    embeddings = encoder.embeddings
    positions = embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]
    return positions, [_bert_layer(layer) for layer in encoder.encoder.layer], None


def _bert_layer(layer: Any) -> Layer:
    attention = layer.attention
    return Layer(
        _linear(attention.self.query),
        _linear(attention.self.key),
        _linear(attention.self.value),
        _linear(attention.output.dense),
        attention.output.LayerNorm,
        _linear(layer.intermediate.dense),
        _linear(layer.output.dense),
        layer.output.LayerNorm,
    )


def _roberta(encoder: Any) -> _Parts:
    positions, layers, bias = _bert(encoder)
    return _without_padding(positions, encoder), layers, bias


def _distilbert(encoder: Any) -> _Parts:
    layers = [
        Layer(
            _linear(layer.attention.q_lin),
            _linear(layer.attention.k_lin),
            _linear(layer.attention.v_lin),
            _linear(layer.attention.out_lin),
            layer.sa_layer_norm,
            _linear(layer.ffn.lin1),
            _linear(layer.ffn.lin2),
            layer.output_layer_norm,
        )
        for layer in encoder.transformer.layer
    ]
    return encoder.embeddings.position_embeddings.weight, layers, None


def _mpnet(encoder: Any) -> _Parts:
    layers = [
        Layer(
            _linear(layer.attention.attn.q),
            _linear(layer.attention.attn.k),
            _linear(layer.attention.attn.v),
            _linear(layer.attention.attn.o),
            layer.attention.LayerNorm,
            _linear(layer.intermediate.dense),
            _linear(layer.output.dense),
            layer.output.LayerNorm,
        )
        for layer in encoder.encoder.layer
    ]

    def bias(length: int) -> torch.Tensor:
        # The model asks for a batch only to learn its shape.
        return encoder.encoder.compute_position_bias(encoder.embeddings.word_embeddings.weight.new_empty(1, length, 1))[0]

    return _without_padding(encoder.embeddings.position_embeddings.weight, encoder), layers, bias


def _without_padding(positions: torch.Tensor, encoder: Any) -> torch.Tensor:
    """RoBERTa's and MPNet's tables count positions from behind the padding's."""
    return positions[encoder.embeddings.padding_idx + 1 :]


def _linear(module: Any) -> Linear:
    return Linear(module.weight.detach(), module.bias.detach())


_READERS: dict[str, Callable[[Any], _Parts]] = {
    "BertModel": _bert,
    "RobertaModel": _roberta,
    "XLMRobertaModel": _roberta,
    "DistilBertModel": _distilbert,
    "MPNetModel": _mpnet,
}
