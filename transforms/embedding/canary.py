"""The canary: before an encoder's vectors are stored, some of them are compared with the model's own in fp32."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Rounding the products of MiniLM to bf16 leaves cosines above 0.99995; a forward pass that computes something else, or a
# library that changed under the stored vectors, is far below this.
MINIMUM_COSINE = 0.9999

_SENTENCES = (
    "How do I reset my password?",
    "The quick brown fox jumps over the lazy dog.",
    "Version 2.4.1 was released on 2024-03-31; version 2.4.2 follows.",
    "def read(path: str) -> bytes: return open(path, 'rb').read()",
    "Straße, naïve, 東京, Привет, ¿qué tal?",
    "Measured at 37 °C, the enzyme lost 12 % of its activity within 5 minutes.",
    "No refund was ever given for it.",
    "The committee did not approve the proposal, although most members had spoken in favour of it.",
)

# 32 texts from one word to beyond most models' limits, since an error may depend on the length.
CANARY_TEXTS = [
    *_SENTENCES,
    *(" ".join(_SENTENCES[i:] + _SENTENCES[:i]) for i in range(8)),
    *(sentence[: 3 + 2 * i] for i, sentence in enumerate(_SENTENCES)),
    *(" ".join(_SENTENCES) * repeat for repeat in range(2, 10)),
]

# int8 is asked for by users who accept what it costs, and the report says what that is: this only catches what is broken.
MINIMUM_COSINE_INT8 = 0.9


class CanaryError(Exception):
    """The encoder's vectors are not the model's: nothing may be stored."""


@dataclass(frozen=True)
class Fidelity:
    """How near the encoder's vectors of some texts are to the model's own in fp32: smallest and mean cosine."""

    texts: int
    min_cosine: float
    mean_cosine: float


def measure_fidelity(vectors: np.ndarray, model: Any, texts: Sequence[str], prompt: str, unit: bool) -> Fidelity:
    """Compare the encoder's `vectors` (n, dim) of n ≥ 1 texts with what the library gives in fp32.

    Unit vectors are compared by cosine. Others, whose length counts, by 1 - ‖v - own‖² / 2‖own‖², which is the cosine of unit
    vectors and falls for a wrong length as well.
    """
    # Small batches, because the library pads and the canary's lengths differ a hundredfold.
    own = model.encode(list(texts), prompt=prompt, normalize_embeddings=unit, show_progress_bar=False, batch_size=4)
    own, vectors = own.astype(np.float64), vectors.astype(np.float64)
    cosines = 1 - ((vectors - own) ** 2).sum(axis=1) / (2 * (own**2).sum(axis=1))
    return Fidelity(len(cosines), float(cosines.min()), float(cosines.mean()))


def check_canary(vectors: np.ndarray, model: Any, precision: str, unit: bool = True) -> Fidelity:
    """Compare the encoder's `vectors` (32, dim) of the canary texts, without prompt, with the model's own in fp32.

    Raises CanaryError with the smallest cosine when it is below 0.9999 (0.9 for int8).
    """
    found = measure_fidelity(vectors, model, CANARY_TEXTS, "", unit)
    limit = MINIMUM_COSINE_INT8 if precision == "int8" else MINIMUM_COSINE
    if not found.min_cosine >= limit:
        raise CanaryError(
            f"the encoder's vectors differ from the model's own in fp32: smallest cosine {found.min_cosine:.6f}, at least "
            f"{limit} is needed; set embedding.precision=fp32"
        )
    return found
