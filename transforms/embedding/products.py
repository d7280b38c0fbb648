"""Matrix products of a model's linear layers in each precision: what is rounded, and to what.

| precision | weights | rows | relative rounding |
| --- | --- | --- | --- |
| fp32 | fp32 | fp32 | 2⁻²⁴ |
| bf16x2 | the sum of two bf16 numbers | bf16 | 2⁻¹⁶ of the weights, 2⁻⁸ of the rows |
| bf16, fp16 | that type | that type | 2⁻⁸, 2⁻¹¹ |
| int8 | one scale for each output | one scale for each row | 2⁻⁸ of the largest number of the row |

Sums are fp32 (int32 for int8) everywhere. Half of bf16's error comes from the weights: bf16x2 removes it for twice the
products, which CPUs with bf16 matrix units hardly notice. No scale is shared by two rows, so that no text sees another one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

# What goes into and comes out of attention and activation functions.
ACTIVATIONS = {
    "fp32": torch.float32,
    "bf16x2": torch.bfloat16,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "int8": torch.float32,
}

Product = Callable[[torch.Tensor], torch.Tensor]

_INT8_LARGEST = 127


@dataclass(frozen=True)
class Rounded:
    """`rows @ weight.T + bias` with all of them in the type of `weight`."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """(rows, inputs) to (rows, outputs) in the type of the weight."""
        return F.linear(rows.to(self.weight.dtype), self.weight, self.bias)


@dataclass(frozen=True)
class TwoParts:
    """The same with weights of twice the bits, in one product: the parts lie side by side along the shorter side.

    `weight` is bf16: (outputs, 2 × inputs), and the rows are written twice, or (2 × outputs, inputs), and results are added.
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """(rows, inputs) to bf16 (rows, outputs)."""
        rows = rows.to(torch.bfloat16)
        if self.weight.shape[1] == 2 * rows.shape[1]:
            return F.linear(torch.cat([rows, rows], 1), self.weight, self.bias)
        high, low = F.linear(rows, self.weight, self.bias).chunk(2, 1)
        return high + low


@dataclass(frozen=True)
class Int8:
    """The same with weights and rows as whole numbers of -127 … 127 times their scales."""

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """(rows, inputs) to fp32 (rows, outputs)."""
        scale = _scale(rows)
        whole = (rows / scale).round_().to(torch.int8)
        # The one private function of torch here: there is no public product of int8 matrices. tests/embedding/test_products.py
        # compares it with whole numbers.
        return torch._int_mm(whole, self.weight).float().mul_(scale).mul_(self.scale).add_(self.bias)


def product(weight: torch.Tensor, bias: torch.Tensor, precision: str) -> Product:
    """The product with fp32 `weight` (outputs, inputs) and `bias` (outputs,) in one of the precisions of ACTIVATIONS."""
    weight, bias = weight.detach().float(), bias.detach().float()
    if precision == "int8":
        scale = _scale(weight)
        return Int8((weight / scale).round().to(torch.int8).T.contiguous(), scale[:, 0], bias)
    dtype = ACTIVATIONS[precision]
    if precision == "bf16x2":
        high = weight.to(dtype)
        low = (weight - high.float()).to(dtype)
        if weight.shape[1] <= weight.shape[0]:
            return TwoParts(torch.cat([high, low], 1), bias.to(dtype))
        return TwoParts(torch.cat([high, low]), torch.cat([bias, torch.zeros_like(bias)]).to(dtype))
    return Rounded(weight.to(dtype), bias.to(dtype))


def _scale(rows: torch.Tensor) -> torch.Tensor:
    """What one whole step stands for in each row, fp32 (rows, 1)."""
    return rows.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny * _INT8_LARGEST) / _INT8_LARGEST
