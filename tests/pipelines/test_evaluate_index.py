"""What is measured, and what is said, of corpora with nothing to measure."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from pipelines.evaluate_index import evaluate_index
from pipelines.evaluated import section_lines
from pipelines.labelled import pair_cosines
from pipelines.rankers import System
from transforms.corpus import InputError
from transforms.files import write_table


@pytest.fixture
def generation(tmp_path):
    """A generation without documents."""
    empty = pa.table({"content_key": pa.array([], pa.binary(32)), "id": pa.array([], pa.int64())})
    ids = write_table(f"{tmp_path}/ids.parquet", empty)
    manifest = SimpleNamespace(under=lambda _: [], encoder={"fingerprint": "own"})
    return SimpleNamespace(id="g", root=str(tmp_path), manifest=manifest, path=lambda _: ids.path)


@pytest.mark.parametrize("queries", [None, {"q": "what"}])
def test_an_index_without_texts_is_said_and_not_measured(generation, queries):
    system = System("s", generation, SimpleNamespace(fingerprint="own"), None, published=True)
    section = evaluate_index(queries, [system])
    assert (section.measured, section.facts["queries"]) == ([], {})
    assert section.findings == ["generation g has no texts: there is nothing that its index could find."]
    assert section_lines(section)


def test_another_model_is_not_measured_by_texts_that_were_not_kept(generation):
    pair = [(b"k" * 32, None)]
    with pytest.raises(InputError, match="generation g keeps no texts"):
        pair_cosines(pair, pair, generation, SimpleNamespace(fingerprint="another"), None)
