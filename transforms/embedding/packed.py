"""The BERT forward pass without padding: the same arithmetic as the model's own, on real tokens only.

A padded batch computes every text as if it were as long as the longest one, and the library's forward pass converts between
types around every product. Here the tokens of many texts are one matrix: products, which are nearly all of the work, see no
padding; attention runs over groups of texts of exactly equal length and so needs no mask. With bf16 only the matrix products
and attention weights are rounded; the residual stream, layer norms, softmax and pooling stay fp32, which costs nothing and
makes the error three times smaller than rounding everything (minimum cosine 0.9999 instead of 0.9998).

Every text's result depends on its own tokens only, not on the texts beside it: each row of a product is computed alike
whatever the other rows are (`tests/embedding/test_packed.py` compares bytes).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

# Products of fewer rows go through other kernels, whose sums end in other last bits (measured: below 12 rows in fp32).
_MINIMUM_ROWS = 64


class UnsupportedModelError(Exception):
    """The model is not of the one architecture that this forward pass computes; the message says why."""


@dataclass(frozen=True)
class _Linear:
    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return F.linear(rows, self.weight, self.bias)


@dataclass(frozen=True)
class _Norm:
    weight: torch.Tensor
    bias: torch.Tensor
    epsilon: float

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(rows, self.weight.shape, self.weight, self.bias, self.epsilon)


@dataclass(frozen=True)
class _Layer:
    queries_keys_values: _Linear
    attention_output: _Linear
    attention_norm: _Norm
    intermediate: _Linear
    output: _Linear
    output_norm: _Norm


class PackedBert:
    """Forward pass of a BERT encoder with mean pooling, on the CPU, in fp32 or with bf16 products."""

    def __init__(self, model: Any, precision: str) -> None:
        """Take the weights of a SentenceTransformer. Raises UnsupportedModelError when it is of another architecture."""
        bert = _supported_bert(model)
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._heads = bert.config.num_attention_heads
        embeddings = bert.embeddings
        self._words = embeddings.word_embeddings.weight.detach()
        # Only one segment is ever used, so its embedding is added to the positions once.
        self._positions = (embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]).detach()
        self._norm = _norm(embeddings.LayerNorm)
        self._layers = [self._layer(layer) for layer in bert.encoder.layer]
        self._normalize = any(type(module).__name__ == "Normalize" for module in model.children())

    @torch.inference_mode()
    def __call__(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Embeddings float32 (n, dim) of texts given as token ids, special tokens included, equal lengths side by side."""
        lengths = [len(ids) for ids in token_ids]
        filling = max(0, _MINIMUM_ROWS - sum(lengths))
        tokens = torch.tensor([token for ids in token_ids for token in ids] + [0] * filling)
        positions = torch.cat([*(torch.arange(length) for length in lengths), torch.zeros(filling, dtype=torch.long)])
        groups = [(length, len(list(texts))) for length, texts in groupby(lengths)]
        hidden = self._norm(self._words[tokens] + self._positions[positions])
        for layer in self._layers:
            mixed = self._attend(layer.queries_keys_values(hidden.to(self._dtype)), groups)
            hidden = layer.attention_norm(hidden + layer.attention_output(mixed))
            widened = F.gelu(layer.intermediate(hidden.to(self._dtype)))
            hidden = layer.output_norm(hidden + layer.output(widened))
        pooled = torch.cat([rows.view(count, length, -1).mean(1) for rows, length, count in _split(hidden, groups)])
        return (F.normalize(pooled) if self._normalize else pooled).numpy()

    def _attend(self, projected: torch.Tensor, groups: list[tuple[int, int]]) -> torch.Tensor:
        """Attention of each text to itself: (tokens, 3 × width) to (tokens, width)."""
        width = projected.shape[1] // 3
        mixed = projected.new_zeros(projected.shape[0], width)
        for (rows, length, count), (target, _, _) in zip(_split(projected, groups), _split(mixed, groups), strict=True):
            # One contiguous batch of heads: with views, a single short text would go through another product's kernel.
            by_head = rows.view(count, length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
            queries, keys, values = by_head.reshape(3, count * self._heads, length, -1)
            weights = torch.softmax(torch.bmm(queries, keys.transpose(1, 2)).float(), -1).to(self._dtype)
            heads = torch.bmm(weights, values).view(count, self._heads, length, -1)
            target.view(count, length, self._heads, -1).copy_(heads.transpose(1, 2))
        return mixed

    def _layer(self, layer: Any) -> _Layer:
        attention = layer.attention.self
        # The scale 1/√d of the scores goes into the queries' weights: a power of two for 16, 64 or 256 dimensions per
        # head, hence exact, and one rounding like any other otherwise.
        scale = (attention.query.weight.shape[0] // self._heads) ** -0.5
        weights = [attention.query.weight * scale, attention.key.weight, attention.value.weight]
        biases = [attention.query.bias * scale, attention.key.bias, attention.value.bias]
        return _Layer(
            self._linear(torch.cat(weights), torch.cat(biases)),
            self._linear(layer.attention.output.dense.weight, layer.attention.output.dense.bias),
            _norm(layer.attention.output.LayerNorm),
            self._linear(layer.intermediate.dense.weight, layer.intermediate.dense.bias),
            self._linear(layer.output.dense.weight, layer.output.dense.bias),
            _norm(layer.output.LayerNorm),
        )

    def _linear(self, weight: torch.Tensor, bias: torch.Tensor) -> _Linear:
        return _Linear(weight.detach().to(self._dtype), bias.detach().to(self._dtype))


def _norm(module: Any) -> _Norm:
    return _Norm(module.weight.detach(), module.bias.detach(), module.eps)


def _split(rows: torch.Tensor, groups: list[tuple[int, int]]) -> list[tuple[torch.Tensor, int, int]]:
    """Views of the rows of each group of equally long texts: (rows, length, number of texts). Filling rows are left out."""
    sizes = [length * count for length, count in groups]
    views = torch.split(rows[: sum(sizes)], sizes)
    return [(view, length, count) for view, (length, count) in zip(views, groups, strict=True)]


def _supported_bert(model: Any) -> Any:
    """The BertModel inside a SentenceTransformer whose whole computation is known here."""
    modules = [type(module).__name__ for module in model.children()]
    if modules not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise UnsupportedModelError(f"modules {modules}")
    bert, pooling = model.transformers_model, model[1]
    if type(bert).__name__ != "BertModel":
        raise UnsupportedModelError(f"architecture {type(bert).__name__}")
    config = bert.config
    wanted = {"hidden_act": "gelu", "is_decoder": False, "add_cross_attention": False}
    found = {name: getattr(config, name, value) for name, value in wanted.items()}
    if found != wanted or getattr(config, "position_embedding_type", "absolute") != "absolute":
        raise UnsupportedModelError(f"configuration {found}")
    if pooling.pooling_mode != "mean" or not pooling.include_prompt:
        raise UnsupportedModelError(f"pooling {pooling.pooling_mode}, prompt included: {pooling.include_prompt}")
    if model.device.type != "cpu" or bert.dtype != torch.float32:
        raise UnsupportedModelError(f"device {model.device}, weights {bert.dtype}")
    tokenizer = model.tokenizer
    ids = tokenizer("a")["input_ids"]
    if ids[0] != tokenizer.cls_token_id or ids[-1] != tokenizer.sep_token_id or tokenizer.num_special_tokens_to_add() != 2:
        raise UnsupportedModelError("special tokens other than one before and one after the text")
    return bert
