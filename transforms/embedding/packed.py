"""The forward pass of BERT-like encoders without padding: the same arithmetic as the model's own, on real tokens only.

A padded batch computes every text as if it were as long as the longest one, and the library's forward pass converts between
types around every product. Here the tokens of many texts are one matrix: products, which are most of the work, see no
padding, and attention runs over groups of texts of exactly equal length, which need no mask. Only products and attention are
rounded to the chosen precision; the residual stream, layer norms and pooling stay fp32, which costs little and makes the error
three times smaller than rounding everything.

A text's vector is the same bytes whatever texts are beside it and however many cores there are. Kernels choose their
order of summation by the number of rows and by the number of threads: here every product has the same number of rows on a CPU
(`ROWS`, the last ones filled up), and callers run each batch in one thread (`tests/embedding/test_packed.py` compares bytes).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from transforms.embedding.architectures import Weights
from transforms.embedding.products import ACTIVATIONS, Product, product

# Rows of every product on a CPU: what one batch has by default. Fewer make matrix units wait for the weights, more are filled
# up in vain for a single query.
ROWS = 1024

# Attention kernels are about a third slower for texts whose length is no multiple of this, the rows of one tile of a matrix
# unit, than for padded ones.
_TILE = 16


# The fewest rows of a product for one text alone.
_LEAST_ROWS = 32


def rows_of_one(tokens: int) -> int:
    """Rows for one text alone: the smallest power of two, 32 to ROWS, that holds its tokens.

    What the text's vector is then depends on nothing but the text, and a short one does not pay for 1,024 tokens. It may differ
    from the vector in a batch by what another order of summation rounds.
    """
    return min(max(_LEAST_ROWS, 1 << (tokens - 1).bit_length()), ROWS)


@dataclass(frozen=True)
class _Layer:
    queries_keys_values: Product
    attention_output: Product
    attention_norm: torch.nn.LayerNorm
    intermediate: Product
    output: Product
    output_norm: torch.nn.LayerNorm


class PackedEncoder:
    """Forward pass of a known architecture with mean or first-token pooling, in one precision, on the model's device.

    `rows`: tokens are filled up to a multiple of it.
    """

    def __init__(self, weights: Weights, device: torch.device, precision: str) -> None:
        self._weights = weights
        self._device = device
        self.width = int(weights.words.shape[1])
        self.rows = ROWS if self._device.type == "cpu" else 1
        self._dtype = ACTIVATIONS[precision]
        self._layers = [_layer(layer, self._weights.heads, precision) for layer in self._weights.layers]

    @torch.inference_mode()
    def __call__(
        self, token_ids: Sequence[Sequence[int]], rows: int | None = None, seconds: Sequence[int] | None = None
    ) -> np.ndarray:
        """Embeddings float32 (n, dim) of texts given as token ids, special tokens included, equal lengths side by side.

        `rows` (None: `self.rows`) are those of every product: see `rows_of_one`. `seconds`, for two texts read as one, says
        with which token the second begins.
        """
        lengths = [len(ids) for ids in token_ids]
        groups = [(length, len(list(texts))) for length, texts in groupby(lengths)]
        filling = -sum(lengths) % (rows or self.rows)
        # A GPU takes the batch as it is.
        rows = (rows or self.rows) if self.rows > 1 else sum(lengths)
        tokens = torch.tensor([token for ids in token_ids for token in ids] + [0] * filling, device=self._device)
        positions = torch.cat([*map(torch.arange, lengths), torch.zeros(filling, dtype=torch.long)]).to(self._device)
        words = self._weights.words[tokens]
        if seconds is not None and self._weights.second is not None:
            starts = torch.tensor([start for start, length in zip(seconds, lengths, strict=True) for _ in range(length)])
            behind = positions[: sum(lengths)] >= starts.to(self._device)
            words[: sum(lengths)] += behind[:, None] * self._weights.second
        hidden = self._weights.norm(words + self._weights.positions[positions])
        biases = [self._bias(length) for length, _ in groups]
        for layer in self._layers:
            projected = _joined([layer.queries_keys_values(part) for part in hidden.split(rows)])
            mixed = self._attend(projected, groups, biases)
            parts = zip(hidden.split(rows), mixed.split(rows), strict=True)
            hidden = _joined([_feed_forward(layer, own, attended) for own, attended in parts])
        pooled = torch.cat([_pool(texts, self._weights.pooling) for texts in _by_text(hidden, groups)])
        return (F.normalize(pooled) if self._weights.normalize else pooled).cpu().numpy()

    def _attend(
        self, projected: torch.Tensor, groups: list[tuple[int, int]], biases: list[torch.Tensor | None]
    ) -> torch.Tensor:
        """Attention of each text to itself: (tokens, 3 × width) to (tokens, width)."""
        width, heads = projected.shape[1] // 3, self._weights.heads
        mixed = projected.new_zeros(projected.shape[0], width)
        for texts, target, bias in zip(_by_text(projected, groups), _by_text(mixed, groups), biases, strict=True):
            count, length = texts.shape[:2]
            padded = F.pad(texts, (0, 0, 0, -length % _TILE)) if bias is not None else texts
            queries, keys, values = padded.view(count, padded.shape[1], 3, heads, -1).permute(2, 0, 3, 1, 4)
            # The scale is in the queries' weights already.
            attended = F.scaled_dot_product_attention(queries, keys, values, bias, scale=1.0)[:, :, :length]
            target.view(count, length, heads, -1).copy_(attended.transpose(1, 2))
        return mixed

    def _bias(self, length: int) -> torch.Tensor | None:
        """What is added to the scores of texts of this length, padded to whole tiles: the padding is not attended to."""
        padding = -length % _TILE
        own = self._weights.bias
        if not padding and own is None:
            return None
        bias = torch.zeros(1, length, length, device=self._device) if own is None else own(length)
        bias = F.pad(F.pad(bias, (0, padding), value=-torch.inf), (0, 0, 0, padding))
        return bias.to(self._dtype)[None]


def _joined(parts: list[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _feed_forward(layer: _Layer, hidden: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
    """The rest of a layer for some rows: small enough to stay in a core's cache."""
    hidden = layer.attention_norm(hidden + layer.attention_output(attended))
    return layer.output_norm(hidden + layer.output(F.gelu(layer.intermediate(hidden))))


def _layer(layer: Any, heads: int, precision: str) -> _Layer:
    # The scale 1/√d of the scores goes into the queries' weights: a power of two for 16, 64 or 256 dimensions per head, hence
    # exact, and one rounding like any other otherwise.
    scale = (layer.queries.weight.shape[0] // heads) ** -0.5
    weights = torch.cat([layer.queries.weight * scale, layer.keys.weight, layer.values.weight])
    biases = torch.cat([layer.queries.bias * scale, layer.keys.bias, layer.values.bias])
    return _Layer(
        product(weights, biases, precision),
        product(layer.attention_output.weight, layer.attention_output.bias, precision),
        layer.attention_norm,
        product(layer.intermediate.weight, layer.intermediate.bias, precision),
        product(layer.output.weight, layer.output.bias, precision),
        layer.output_norm,
    )


def _pool(texts: torch.Tensor, pooling: str) -> torch.Tensor:
    """(texts, tokens, width) to (texts, width)."""
    return texts.mean(1) if pooling == "mean" else texts[:, 0]


def _by_text(rows: torch.Tensor, groups: list[tuple[int, int]]) -> list[torch.Tensor]:
    """Views of the rows of each group of equally long texts: (texts, length, width). Filling rows are left out."""
    sizes = [length * count for length, count in groups]
    parts = rows[: sum(sizes)].split(sizes)
    return [part.view(count, length, -1) for part, (length, count) in zip(parts, groups, strict=True)]
