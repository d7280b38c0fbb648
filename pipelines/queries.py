"""The user's own queries: read before anything else, embedded as a stage, and part of what makes two runs the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipelines.config import Config
from pipelines.errors import message
from pipelines.stage import Run
from transforms.corpus import InputError, read_queries
from transforms.embedding import EncoderSpec, ModelError, VectorError
from transforms.files import FileRef, digest_of, join, write_table
from transforms.index import QuerySet
from transforms.vectors import QueriesRecord, QueriesTask
from transforms.vectors.beam import EmbedQueries


@dataclass(frozen=True)
class Queries:
    """The texts of `index.recall_queries_file`, none without it."""

    texts: tuple[str, ...]

    @property
    def digest(self) -> str | None:
        """Digest of the texts; None when there are none."""
        return digest_of(self.texts) if self.texts else None

    def settings_digest(self, config: Config) -> str:
        """Digest of all but the documents that can change what is published: the settings, and what recall is measured on."""
        settings = config.results_digest()
        return settings if self.digest is None else digest_of([settings, self.digest])


@dataclass(frozen=True)
class QueriesResult:
    """The queries as a set that recall is measured on."""

    queries: QuerySet
    digest: str
    files: tuple[FileRef, ...]
    counts: dict[str, int]


def user_queries(config: Config) -> Queries:
    """Read the configured file. Raises InputError, which names the setting, when it cannot be used."""
    path = config.index.recall_queries_file
    try:
        return Queries(() if path is None else tuple(read_queries(path, config.corpus)))
    except InputError as error:
        raise InputError(f"index.recall_queries_file: {error}") from error


def embed_queries(run: Run, queries: Queries, spec: EncoderSpec) -> QueriesResult | None:
    """Embed the queries through the query side of the encoder, as a stage; None when there are none."""
    digest = queries.digest
    if digest is None:
        return None

    def compute() -> QueriesResult:
        texts = write_table(join(run.scratch("queries"), "texts.parquet"), pa.table({"text": list(queries.texts)}))
        options = run.config.embedding
        embed = EmbedQueries(run.runner.encoder(spec), options, options.threads or run.runner.threads(1))
        record: QueriesRecord
        try:
            (record,) = run.job("queries", embed, [QueriesTask(texts, run.scratch("queries"))], QueriesRecord)
        except (ModelError, VectorError) as error:
            raise _named(error, queries.texts) from error
        return QueriesResult(QuerySet("file", record.block), digest, record.files, {"queries": record.block.rows})

    return run.stage("queries", QueriesResult, [digest, spec.fingerprint], compute)


def _named(error: Exception, texts: Sequence[str]) -> Exception:
    """The error with the number of the query, whose text may not be for everybody, in place of what it shows of the text."""
    told = message(error)
    shown = {repr(text[:80]): number for number, text in reversed(list(enumerate(texts, 1)))}
    # A short one may be part of what is said about another.
    named = max((text for text in shown if text in told), key=len, default=None)
    if named is None:
        return error
    place = f"query {shown[named]:,} of {len(texts):,}"
    return InputError(f"index.recall_queries_file: {told.replace(named, place)}; correct or remove this query")
