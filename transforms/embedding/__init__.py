"""Embedding: any sentence-transformers model, described by a fingerprint, turning texts into vectors.

In: texts. Out: float32 vectors, of unit length unless the model is compared by dot product, in input order, with their cost.
Promises: a vector belongs to the fingerprint that its model's files and settings give; texts go through the model's document
side and queries through its query side; every vector is finite and of usable length or the call fails; a use that a model was
not made for is said in a warning; only safetensors are loaded and no code of a model is run.
"""

from transforms.embedding.batching import packed_tokens, padded_tokens, plan_batches, plan_packed
from transforms.embedding.canary import CanaryError, Fidelity
from transforms.embedding.encoder import (
    NORM_TOLERANCE,
    Encoded,
    Encoder,
    TextEncoder,
    VectorError,
    check_vectors,
    import_libraries,
    load_encoder,
    provide_encoder,
    quiet_loading,
    withdraw_encoder,
)
from transforms.embedding.facts import ModelFacts, read_facts, transformer_folder
from transforms.embedding.findings import fidelity_warnings, packing_warnings, truncation_warnings
from transforms.embedding.fingerprint import EncoderSpec, encoder_spec
from transforms.embedding.mismatch import model_warnings, warnings_of
from transforms.embedding.models import ModelError, find_model
from transforms.embedding.options import EmbeddingOptions
from transforms.embedding.packable import is_packable
from transforms.embedding.pairs import pack_pairs
from transforms.embedding.pool import one_thread_each
from transforms.embedding.precision import measure_precision
from transforms.embedding.profiles import NO_PROFILE, PROFILES, Metric, ModelProfile, find_profile
from transforms.embedding.query_encoder import QueryEncoder, load_query_encoder
from transforms.embedding.window import CHARACTERS_PER_TOKEN, Window, tokenizer_of

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "NORM_TOLERANCE",
    "NO_PROFILE",
    "PROFILES",
    "CanaryError",
    "EmbeddingOptions",
    "Encoded",
    "Encoder",
    "EncoderSpec",
    "Fidelity",
    "Metric",
    "ModelError",
    "ModelFacts",
    "ModelProfile",
    "QueryEncoder",
    "TextEncoder",
    "VectorError",
    "Window",
    "check_vectors",
    "encoder_spec",
    "fidelity_warnings",
    "find_model",
    "find_profile",
    "import_libraries",
    "is_packable",
    "load_encoder",
    "load_query_encoder",
    "measure_precision",
    "model_warnings",
    "one_thread_each",
    "pack_pairs",
    "packed_tokens",
    "packing_warnings",
    "padded_tokens",
    "plan_batches",
    "plan_packed",
    "provide_encoder",
    "quiet_loading",
    "read_facts",
    "tokenizer_of",
    "transformer_folder",
    "truncation_warnings",
    "warnings_of",
    "withdraw_encoder",
]
