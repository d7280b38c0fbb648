"""Which precision is fast here, found by measuring and never by the processor's name."""

import time

# Below this bf16 is not worth its rounding; without the instructions for it, it is ten to a hundred times slower.
WORTHWHILE = 1.5

# One product of the size that sentence encoders make: 1,024 tokens, 384 wide, into 1,536.
_ROWS, _IN, _OUT = 1024, 384, 1536
_ROUNDS = 5


def measure_precision(device: str | None = None) -> str:
    """`bf16` where its matrix product takes at most 1/1.5 of fp32's time on this machine, else `fp32`. Takes some ms."""
    import torch

    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    times = {}
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            rows, weight = (torch.ones(shape, dtype=dtype, device=chosen) for shape in ((_ROWS, _IN), (_OUT, _IN)))
            times[dtype] = min(_seconds(torch.nn.functional.linear, rows, weight) for _ in range(_ROUNDS))
    return "bf16" if times[torch.float32] >= WORTHWHILE * times[torch.bfloat16] else "fp32"


def _seconds(product, rows, weight) -> float:  # type: ignore[no-untyped-def]
    started = time.perf_counter()
    # Reading one value back waits for devices that compute in the background.
    product(rows, weight)[0, 0].item()
    return time.perf_counter() - started
