"""The default model in the library itself, to compare with."""

import pytest
from sentence_transformers import SentenceTransformer

from transforms.embedding import EncoderSpec


@pytest.fixture(scope="package")
def library(minilm_spec: EncoderSpec) -> SentenceTransformer:
    """On the CPU, in fp32; tests leave it as it is."""
    return SentenceTransformer(minilm_spec.folder, device="cpu", local_files_only=True)
