"""Embedding: any sentence-transformers model, described by a fingerprint, turning texts into unit vectors.

In: texts. Out: float32 vectors of unit length, in input order, with their cost in tokens.
Promises: a vector belongs to the fingerprint that its model's files and settings give; texts go through the model's document
side and queries through its query side; every vector is finite and of unit length or the call fails; only safetensors are
loaded and no code of a model is run.
"""

from transforms.embedding.batching import padded_tokens, plan_batches, plan_packed
from transforms.embedding.canary import CanaryError
from transforms.embedding.encoder import Encoded, Encoder, VectorError, check_vectors, load_encoder
from transforms.embedding.fingerprint import EncoderSpec, encoder_spec
from transforms.embedding.models import ModelError, find_model
from transforms.embedding.options import EmbeddingOptions
from transforms.embedding.precision import measure_precision

__all__ = [
    "CanaryError",
    "EmbeddingOptions",
    "Encoded",
    "Encoder",
    "EncoderSpec",
    "ModelError",
    "VectorError",
    "check_vectors",
    "encoder_spec",
    "find_model",
    "load_encoder",
    "measure_precision",
    "padded_tokens",
    "plan_batches",
    "plan_packed",
]
