"""The choice of precision by measurement: what the hardware does fast is found by trying, never by a processor's name."""

import time
from typing import Any

# What a precision must gain over fp32 to be worth its rounding, the most faithful first. Without instructions for it, bf16 is
# ten to a hundred times slower than fp32. bf16x2 rounds less than bf16 for twice the products: where matrix units make it twice
# as fast as fp32 all the same, products are no longer most of the time.
WORTHWHILE = {"cpu": {"bf16x2": 2.0, "bf16": 1.5}, "mps": {"fp16": 1.5}, "cuda": {"bf16": 1.5, "fp16": 1.5}}

# One product of the size that sentence encoders make on each device: rows, inputs, outputs.
_SHAPES = {"cpu": (1024, 384, 1536)}
_LARGE = (8192, 1024, 4096)
_ROUNDS = 5


def measure_precision(device: str | None = None, packable: bool = True) -> str:
    """The first precision of WORTHWHILE[device] that is fast enough on this machine, else fp32. Takes some ms.

    `device` is a torch device; None takes the best present, as the models do. A model that goes through the library instead of
    the packed forward pass (`packable` false) cannot have bf16x2.
    """
    import torch

    present = [name for name, backend in (("cuda", torch.cuda), ("mps", torch.backends.mps)) if backend.is_available()]
    device = device or next(iter(present), "cpu")
    kind = device.partition(":")[0]
    candidates = [name for name in WORTHWHILE.get(kind, {}) if packable or name != "bf16x2"]
    measured = product_seconds(["fp32", *candidates], device)
    for name in candidates:
        if measured["fp32"] >= WORTHWHILE[kind][name] * measured[name]:
            return name
    return "fp32"


def product_seconds(precisions: list[str], device: str) -> dict[str, float]:
    """The best time of a product in each precision, in seconds, in one thread."""
    import torch

    from transforms.embedding.products import product

    rows, inputs, outputs = _SHAPES.get(device.partition(":")[0], _LARGE)
    threads = torch.get_num_threads()
    # As in the packed forward pass, and two threads would measure how busy the other core is.
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            hidden = torch.ones(rows, inputs, device=device)
            weight = torch.ones(outputs, inputs, device=device)
            products = {name: product(weight, weight[:, 0], name) for name in precisions}
            times: dict[str, list[float]] = {name: [] for name in precisions}
            # In turn, so that a busy moment hits all alike; the first round warms up.
            for _ in range(_ROUNDS + 1):
                for name in precisions:
                    times[name].append(_seconds(products[name], hidden))
    finally:
        torch.set_num_threads(threads)
    return {name: min(seconds[1:]) for name, seconds in times.items()}


def _seconds(multiply: Any, rows: Any) -> float:
    started = time.perf_counter()
    # Reading one value back waits for devices that compute in the background.
    multiply(rows)[0, 0].item()
    return time.perf_counter() - started
