"""The gates: what must hold before a generation is published, each with the number that was measured."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.changes import ChangesResult
from pipelines.config import Config
from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
from pipelines.errors import GateRefusedError
from pipelines.passages import PassagesResult
from pipelines.stage import Run
from transforms.embedding import NORM_TOLERANCE
from transforms.files import CheckRecord, FileRef, check_tasks, redact
from transforms.files.beam import CheckFiles
from transforms.generations import Gate
from transforms.index import RANKS, SetRecall
from transforms.vectors import LengthRecord
from transforms.vectors.beam import MeasureLengths

if TYPE_CHECKING:
    from pipelines.reindex import Results


@dataclass(frozen=True)
class Allowed:
    """What the person who started this run allows it to publish, though it looks like a broken input."""

    deletes: bool = False
    empty: bool = False


@dataclass(frozen=True)
class VectorsResult:
    """What the vectors of a run are like: see LengthRecord."""

    rows: int
    not_finite: int
    largest_deviation: float

    @property
    def counts(self) -> dict[str, float]:
        """The same for the metrics."""
        return {"vectors": self.rows, "not_finite": self.not_finite, "largest_deviation": self.largest_deviation}


@dataclass(frozen=True)
class CheckedResult:
    """The written files that, read again, had other bytes."""

    differing: tuple[FileRef, ...]

    @property
    def counts(self) -> dict[str, int]:
        """The same for the metrics."""
        return {"files_differing": len(self.differing)}


def measure_vectors(run: Run, embedded: EmbedResult) -> VectorsResult:
    """Measure every indexed vector, as a stage: one task for each block."""
    inputs = [file.sha256 for file in embedded.block_files]
    return run.stage("vectors", VectorsResult, inputs, lambda: _measure(run, embedded))


def _measure(run: Run, embedded: EmbedResult) -> VectorsResult:
    found: list[LengthRecord] = run.job("vectors", MeasureLengths(), embedded.blocks, LengthRecord)
    return VectorsResult(
        sum(record.rows for record in found),
        sum(record.not_finite for record in found),
        max((record.largest_deviation for record in found), default=0.0),
    )


def check_not_empty(run: Run, corpus: CorpusResult, allowed: Allowed) -> None:
    """Raise GateRefusedError for a corpus without a usable document, unless that is allowed."""
    if refused := empty_refused(run, corpus, allowed):
        raise GateRefusedError(refused)


def empty_refused(run: Run, corpus: CorpusResult, allowed: Allowed) -> str | None:
    """Why a corpus is refused for being empty, or None."""
    if corpus.rows or allowed.empty:
        return None
    return (
        f"the corpus {[redact(pattern) for pattern in run.config.corpus.input]} has no usable document "
        f"({corpus.counts['rows_read']} rows read, {corpus.counts['quarantined']} quarantined): nothing to publish; if it "
        "really is empty, allow it with --allow-empty"
    )


def check_deletions(run: Run, found: ChangesResult, allowed: Allowed) -> None:
    """Raise GateRefusedError when documents are missing that may be a broken input's, unless that is allowed."""
    run.facts["changes"] = {"since": found.since, **found.counts}
    if refused := deletions_refused(run.config, found, allowed):
        gate = _deleted_share(run.config, found, allowed).model_copy(update={"passed": False})
        run.facts["gates"] = [gate.model_dump()]
        raise GateRefusedError(refused)


def deletions_refused(config: Config, found: ChangesResult, allowed: Allowed) -> str | None:
    """Why the deletions of a run are refused, or None."""
    changes = found.changes
    # An empty corpus deletes everything, and whoever allows it knows.
    if not changes.deleted or allowed.deletes or (allowed.empty and not changes.current):
        return None
    missing = f"{changes.deleted:,} of the {changes.published:,} published documents ({changes.deleted_share:.1%}) are missing"
    if found.unreadable:
        files = "1 input file" if found.unreadable == 1 else f"{found.unreadable} input files"
        return (
            f"{missing} while {files} could not be read: what is in an unreadable file is not deleted. Restore it, or, if "
            "these documents really are gone, allow it with --allow-deletes. Nothing was published"
        )
    if changes.deleted_share > config.corpus.max_deleted_fraction:
        return (
            f"{missing} from the {_read(config)}, more than corpus.max_deleted_fraction "
            f"{config.corpus.max_deleted_fraction:g}: check the input, or, if they really are gone, allow it with "
            "--allow-deletes. Nothing was published"
        )
    return None


def _read(config: Config) -> str:
    # A sample of a corpus that grows gives up documents for new ones.
    return "input" if config.corpus.sample is None else f"sample of {config.corpus.sample:,} (corpus.sample)"


def measure_gates(
    config: Config,
    corpus: CorpusResult,
    found: ChangesResult,
    passages: PassagesResult,
    vectors: VectorsResult,
    results: "Results",
    differing: int,
    *,
    unit: bool,
    allowed: Allowed,
) -> list[Gate]:
    """All gates of a run. `unit`: the indexed vectors must have length 1. `differing` files are not what was written."""
    read, kept = corpus.counts["rows_read"], corpus.rows
    lost = read - kept - corpus.counts["quarantined"] - corpus.counts["not_sampled"]
    share = corpus.counts["quarantined"] / max(1, read)
    sums = disagreements(corpus, passages, vectors, results)
    gates = [
        _at_most("rows_lost", lost, 0, "rows read that are neither document nor quarantined"),
        _at_most(
            "counts_add_up",
            len(sums),
            0,
            "numbers of documents, passages, texts, vectors, index entries and neighbour lists that disagree"
            + (f": {'; '.join(sums)}" if sums else ""),
        ),
        _at_most(
            "quarantine_share",
            share,
            config.corpus.max_quarantine_fraction,
            "share of rows in quarantine; see corpus.max_quarantine_fraction",
        ),
        _deleted_share(config, found, allowed),
        _at_most("vectors_not_finite", vectors.not_finite, 0, "vectors with a NaN or an infinity"),
    ]
    if unit:
        gates.append(
            _at_most("unit_length", vectors.largest_deviation, NORM_TOLERANCE, "largest difference of a vector's length from 1")
        )
    if (certificate := results.neighbors.certificate) is not None:
        gates.append(
            Gate(
                name="neighbors_recall",
                value=certificate.recall,
                limit=config.neighbors.recall_gate,
                passed=certificate.recall >= config.neighbors.recall_gate,
                meaning=f"recall@{certificate.k} of the approximate neighbour graph on {certificate.texts:,} texts; see "
                "neighbors.recall_gate",
            )
        )
    return [
        *gates,
        _at_most("checksums", differing, 0, "finished files that, read again, have other bytes than when they were written"),
        *(_recall(config, measured) for measured in results.recall.measured.sets),
    ]


def _recall(config: Config, measured: SetRecall) -> Gate:
    """The gate of one set of queries: by the recall that was measured, with the interval that it stands for."""
    at = RANKS.index(10)
    value, limit = measured.at_10, config.index.recall_gate
    asked = "queries of index.recall_queries_file" if measured.name == "file" else "texts of the corpus"
    return Gate(
        name="recall_at_10" if measured.name == "corpus" else f"recall_at_10_{measured.name}",
        value=value,
        limit=limit,
        passed=value >= limit,
        meaning=f"recall@10 of the index against exact search, 95 % interval {measured.low[at]:.4f} to {measured.high[at]:.4f} "
        f"by {measured.queries:,} {asked}; see index.recall_gate",
    )


def _deleted_share(config: Config, found: ChangesResult, allowed: Allowed) -> Gate:
    unlimited = allowed.deletes or (allowed.empty and not found.changes.current)
    return _at_most(
        "deleted_share",
        found.changes.deleted_share,
        1.0 if unlimited else config.corpus.max_deleted_fraction,
        "share of the published documents that are missing; see corpus.max_deleted_fraction",
    )


def _at_most(name: str, value: float, limit: float, meaning: str) -> Gate:
    # Not `not value > limit`: a NaN passes no gate.
    return Gate(name=name, value=value, limit=limit, passed=value <= limit, meaning=meaning)


def disagreements(corpus: CorpusResult, passages: PassagesResult, vectors: VectorsResult, results: "Results") -> list[str]:
    """Numbers that must be equal and are not, in words."""
    equal = [
        ("passages of the documents", corpus.passages, "rows of the documents", _rows(p.documents for p in corpus.parts)),
        ("passages of the documents", corpus.passages, "topic assignments", _rows(results.topics.assigned)),
        ("distinct texts", passages.rows, "rows of the passages", _rows(passages.files)),
        ("distinct texts", passages.rows, "vectors", vectors.rows),
        ("distinct texts", passages.rows, "index entries", results.index.counts["texts_indexed"]),
        ("distinct texts", passages.rows, "neighbour lists", _rows(results.neighbors.published)),
    ]
    return [f"{left:,} {one} but {right:,} {other}" for one, left, other, right in equal if left != right]


def _rows(files: Iterable[FileRef]) -> int:
    return sum(file.rows or 0 for file in files)


def check_written(run: Run, files: Iterable[FileRef]) -> CheckedResult:
    """Read finished files again, as a stage of many tasks: a driver that read them all would be the slowest stage.

    With one that differs, no later run takes over a stage of this one: who knows what was read of that file, and when.
    """
    found = run.stage("checksums", CheckedResult, None, lambda: CheckedResult(tuple(find_differing(run, "checksums", files))))
    if found.differing:
        run.forget_stages()
    return found


def find_differing(run: Run, job: str, files: Iterable[FileRef]) -> list[FileRef]:
    """Which files do not have the bytes that they were recorded with, or are missing, by a job of that name."""
    records: list[CheckRecord] = run.job(job, CheckFiles(), check_tasks(files), CheckRecord)
    return sorted(file for record in records for file in record.differing)


def refusal(gates: Iterable[Gate], report: str) -> str | None:
    """What a person is told of the gates that did not pass, or None when all did."""
    refused = [gate for gate in gates if not gate.passed]
    if not refused:
        return None
    return (
        "; ".join(f"gate {gate.name} refused: {gate.value:g}, limit {gate.limit:g} ({gate.meaning})" for gate in refused)
        + f". Nothing was published; the report of this run is {report}"
    )


def gate_lines(gates: Iterable[Gate]) -> list[str]:
    """The gates as lines for a terminal."""
    return [
        f"gate {gate.name:<19} {gate.value:>12.6g}  limit {gate.limit:<8g} {'passed' if gate.passed else 'REFUSED'}"
        for gate in gates
    ]
