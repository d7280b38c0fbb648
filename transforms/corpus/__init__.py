"""The corpus: files of any supported kind in, canonical documents and distinct texts out, bad rows in quarantine.

In: `CorpusOptions`. Out: `documents/part-*.parquet` (each document once, a row for each of its passages: the whole text or,
with a `PassageSplitter`, windows of it), `passages/part-*.parquet` (each text once, with its content key and id) and
`quarantine/part-*.parquet` (every row that could not be used, with its place and reason).
Promises: a bad row costs only itself; what is published is a function of the rows, whatever files, order or workers they
came by; no worker and not the driver holds more than a bounded piece of the corpus. `beam.py` says how the steps are chained.
"""

from transforms.corpus.dates import dates_of
from transforms.corpus.documents import DocumentsPlan, plan_documents, write_documents
from transforms.corpus.errors import IdCollisionError, InputError, QuarantineLimitError
from transforms.corpus.gate import check_quarantine, check_readable, quarantine_reasons
from transforms.corpus.keys import content_key, content_keys, doc_hash, ids_of, part_bounds, part_count, part_of
from transforms.corpus.options import PYTHON_DOCS, RESERVED_COLUMNS, CorpusOptions
from transforms.corpus.passages import PASSAGES_SCHEMA, PassagesPlan, plan_passages, write_keys_run, write_passages
from transforms.corpus.python_docs import METADATA as PYTHON_DOCS_COLUMNS
from transforms.corpus.queries import read_queries
from transforms.corpus.read import read_unit
from transforms.corpus.records import DocumentsRecord, PartTask, PassagesRecord, UnitRecord
from transforms.corpus.sample import sample_threshold
from transforms.corpus.sources import is_older, plan_units
from transforms.corpus.splitter import PassageSplitter, load_tokenizer
from transforms.corpus.table_files import read_table_file
from transforms.corpus.units import Slice, SourceUnit
from transforms.corpus.validate import QUARANTINE_SCHEMA, is_visible

__all__ = [
    "PASSAGES_SCHEMA",
    "PYTHON_DOCS",
    "PYTHON_DOCS_COLUMNS",
    "QUARANTINE_SCHEMA",
    "RESERVED_COLUMNS",
    "CorpusOptions",
    "DocumentsPlan",
    "DocumentsRecord",
    "IdCollisionError",
    "InputError",
    "PartTask",
    "PassageSplitter",
    "PassagesPlan",
    "PassagesRecord",
    "QuarantineLimitError",
    "Slice",
    "SourceUnit",
    "UnitRecord",
    "check_quarantine",
    "check_readable",
    "content_key",
    "content_keys",
    "dates_of",
    "doc_hash",
    "ids_of",
    "is_older",
    "is_visible",
    "load_tokenizer",
    "part_bounds",
    "part_count",
    "part_of",
    "plan_documents",
    "plan_passages",
    "plan_units",
    "quarantine_reasons",
    "read_queries",
    "read_table_file",
    "read_unit",
    "sample_threshold",
    "write_documents",
    "write_keys_run",
    "write_passages",
]
