"""Products in each precision, against exact arithmetic."""

import numpy as np
import pytest
import torch

from transforms.embedding.products import ACTIVATIONS, product

ROWS, INPUTS, OUTPUTS = 64, 96, 80
# Largest error as a share of Σ|row|·|weight|, the bound that rounding each factor once gives.
BOUNDS = {"fp32": 1e-6, "bf16x2": 2.0**-8, "bf16": 2.0**-7, "fp16": 2.0**-10}


@pytest.fixture(scope="module")
def factors() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return torch.randn(ROWS, INPUTS), torch.randn(OUTPUTS, INPUTS), torch.randn(OUTPUTS)


def exact(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return rows.double() @ weight.double().T + bias.double()


@pytest.mark.parametrize(("precision", "bound"), BOUNDS.items())
def test_a_product_is_exact_up_to_the_rounding_of_its_factors(factors, precision, bound):
    found = product(*factors[1:], precision)(factors[0])
    assert found.dtype == ACTIVATIONS[precision]
    scale = factors[0].abs().double() @ factors[1].abs().double().T + factors[2].abs()
    assert ((found.double() - exact(*factors)).abs() / scale).max() <= bound


@pytest.mark.parametrize(("inputs", "outputs"), [(96, 80), (80, 96)])
def test_two_parts_round_the_weights_256_times_less(inputs, outputs):
    with torch.random.fork_rng():
        torch.manual_seed(2)
        # Of rows that bf16 can hold, so that only the weights are rounded.
        rows, weight = torch.randn(ROWS, inputs).bfloat16().float(), torch.randn(outputs, inputs)
    zero = torch.zeros(outputs)
    parts = product(weight, zero, "bf16x2").weight.double()
    restored = sum(parts.chunk(2, 0 if inputs > outputs else 1))
    assert ((restored - weight).abs() <= weight.abs() * 2.0**-16).all()
    found = [product(weight, zero, precision)(rows).double() for precision in ("bf16x2", "bf16")]
    near, far = ((product - exact(rows, weight, zero)).abs().mean() for product in found)
    assert near < far


def test_int8_is_exact_in_its_whole_numbers(factors):
    """Rows and weights that are whole numbers with 127 among them need no rounding: the product must be exact."""
    generator = np.random.default_rng(3)
    rows, weight = (generator.integers(-127, 128, shape) for shape in ((ROWS, INPUTS), (OUTPUTS, INPUTS)))
    rows[:, 0] = weight[:, 0] = 127
    found = product(torch.tensor(weight).float(), torch.zeros(OUTPUTS), "int8")(torch.tensor(rows).float())
    np.testing.assert_array_equal(found.numpy(), rows @ weight.T)


def test_int8_errs_by_half_a_step_of_each_row(factors):
    rows, weight, bias = factors
    found = product(weight, bias, "int8")(rows).double()
    steps = rows.abs().amax(1, keepdim=True) / 127, weight.abs().amax(1, keepdim=True) / 127
    bound = INPUTS * (
        (steps[0] / 2) * weight.abs().amax(1)[None] + rows.abs().amax(1)[:, None] * (steps[1].T / 2) + steps[0] * steps[1].T / 4
    )
    assert ((found - exact(rows, weight, bias)).abs() <= bound + 1e-4).all()


def test_a_row_of_zeros_stays_finite(factors):
    for precision in ACTIVATIONS:
        found = product(*factors[1:], precision)(torch.zeros(2, INPUTS))
        np.testing.assert_allclose(found.float().numpy(), factors[2].expand(2, -1).numpy(), rtol=0.01)
