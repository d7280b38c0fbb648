"""What the topics stage takes over from the published generation."""

from types import SimpleNamespace

import pytest

from pipelines.reuse import Parent
from pipelines.topics import can_keep_map


@pytest.mark.parametrize(
    ("texts", "k_before", "k", "encoder", "kept"),
    [
        (1000, 32, 32, "a", True),
        (1000, 32, 32, "b", False),
        (1000, 64, 32, "a", True),
        # Principal components of 65 texts would be taken for a layout of more than 33.
        (66, 64, 32, "a", True),
        (65, 64, 32, "a", False),
        (65, 64, 64, "a", True),
    ],
)
def test_the_map_begins_at_a_layout_of_the_same_kind(texts, k_before, k, encoder, kept):
    run = SimpleNamespace(root="/root", config=SimpleNamespace(neighbors=SimpleNamespace(k=k)))
    shards = [SimpleNamespace(path="vectors/a/0.npy", sha256="")]
    manifest = SimpleNamespace(configuration={"neighbors": {"k": k_before}}, counts={"distinct_texts": texts}, files=shards)
    embedded = SimpleNamespace(shards=[SimpleNamespace(path=f"/root/vectors/{encoder}/0.npy", sha256="")])
    assert can_keep_map(run, Parent(run, SimpleNamespace(manifest=manifest), None, embedded)) is kept
