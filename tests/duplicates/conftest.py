import numpy as np
import pytest

from tests.duplicates.helpers import make_corpus
from tests.neighbors.helpers import unit


@pytest.fixture
def corpus(tmp_path):
    """A clump of 40 near-equal texts, looser clumps, strangers, and texts that several documents have."""
    generator = np.random.default_rng(5)
    centres = np.repeat(generator.normal(size=(8, 24)), [40, 10, 5, 2, 2, 2, 1, 1], axis=0)
    spread = np.repeat([1e-6, 0.2, 0.3, 0.4, 0.5, 0.6, 1, 1], [40, 10, 5, 2, 2, 2, 1, 1])[:, None]
    vectors = unit(np.vstack([centres + spread * generator.normal(size=centres.shape), generator.normal(size=(30, 24))]))
    texts = [f"text number {i} about {'abcdefgh'[i % 8]}" for i in range(len(vectors))]
    owned = {text: [f"d{i:03d}"] + [f"copy{j}-of-{i:03d}" for j in range(i % 7 // 4)] for i, text in enumerate(texts)}
    return make_corpus(tmp_path, owned, dict(zip(texts, vectors, strict=True)))
