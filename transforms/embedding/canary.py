"""The canary: before an encoder's vectors are stored, some of them are compared with the model's own in fp32."""

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


class CanaryError(Exception):
    """The encoder's vectors are not the model's: nothing may be stored."""


def check_canary(vectors: np.ndarray, model: Any, unit: bool = True) -> None:
    """Compare the encoder's `vectors` (32, dim) of the canary texts, without prompt, with the model's own fp32 ones.

    Unit vectors are compared by cosine. Others, whose length counts, by 1 - ‖v - own‖² / 2‖own‖², which is the cosine of unit
    vectors and falls for a wrong length as well. Raises CanaryError with the smallest one when it is below 0.9999.
    """
    # Small batches, because the library pads and the texts' lengths differ a hundredfold.
    own = model.encode(CANARY_TEXTS, prompt="", normalize_embeddings=unit, show_progress_bar=False, batch_size=4)
    own, vectors = own.astype(np.float64), vectors.astype(np.float64)
    lowest = float((1 - ((vectors - own) ** 2).sum(axis=1) / (2 * (own**2).sum(axis=1))).min())
    if not lowest >= MINIMUM_COSINE:
        raise CanaryError(
            f"the encoder's vectors differ from the model's own in fp32: smallest cosine {lowest:.6f}, at least "
            f"{MINIMUM_COSINE} is needed; set embedding.precision=fp32"
        )
