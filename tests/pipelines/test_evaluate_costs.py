"""What models cost, of the corpus that each is used on."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from pipelines.evaluate_costs import measure_costs
from transforms.files import write_table


class Encoder:
    dim = 4

    def encode_documents(self, texts, tokens_per_batch):
        assert texts == ["a", "b"]


@pytest.fixture
def system(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.evaluate_costs.load_encoder", lambda *_: Encoder())
    file = write_table(f"{tmp_path}/part.parquet", pa.table({"text": ["a", "b"]}))

    def build(texts: int, index: int):
        manifest = SimpleNamespace(
            counts={"distinct_texts": texts}, under=lambda _: [file], file=lambda _: SimpleNamespace(size=index)
        )
        generation = SimpleNamespace(manifest=manifest, checked=lambda file: file.path)
        spec = SimpleNamespace(model="m", precision="fp32", folder=str(tmp_path))
        options = SimpleNamespace(device=None, threads=None, tokens_per_batch=None)
        return SimpleNamespace(name=str(texts), generation=generation, spec=spec, options=options, published=True)

    return build


def test_of_two_generations_each_has_the_costs_of_its_own_texts(system):
    first, second = measure_costs([system(100, 7), system(3000, 9)])
    assert (first["texts"], first["vector_bytes"], first["index_bytes"]) == (100, 1600, 7)
    assert (second["texts"], second["vector_bytes"], second["index_bytes"]) == (3000, 48_000, 9)
    assert second["seconds_for_all_texts"] == 3 * second["seconds_per_1000_documents"]
