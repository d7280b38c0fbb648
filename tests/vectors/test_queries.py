import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter
from sentence_transformers import SentenceTransformer

from tests.neighbors.helpers import records_of
from transforms.files import write_table
from transforms.vectors import QueriesRecord, QueriesTask, embed_queries
from transforms.vectors.beam import EmbedQueries

QUERIES = ["the first query", "another", "the first query"]


def test_queries_go_through_the_query_side_in_order(tmp_path, tiny_spec, tiny_options):
    task = QueriesTask(write_table(f"{tmp_path}/q.parquet", pa.table({"text": QUERIES})), f"{tmp_path}/vectors")
    record = embed_queries(task, tiny_spec, tiny_options)
    library = SentenceTransformer(tiny_options.model, device="cpu")
    vectors = record.block.vectors()
    np.testing.assert_allclose(vectors, library.encode_query(QUERIES, normalize_embeddings=True), atol=1e-6)
    assert np.abs(vectors - library.encode_document(QUERIES, normalize_embeddings=True)).max() > 1e-3
    assert record.block.ids().tolist() == [-4, -3, -2]
    assert TypeAdapter(QueriesRecord).validate_python(json.loads(json.dumps(asdict(record)))) == record
    records_of(EmbedQueries(tiny_spec, tiny_options), [task], [record], ())
