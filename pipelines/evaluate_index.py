"""How much of the exact answers the published index finds."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.corpus_vectors import CorpusVectors, corpus_vectors
from pipelines.evaluated import Measured, Section
from pipelines.rankers import System
from transforms.embedding import load_encoder
from transforms.files import read_table
from transforms.index import RANKS, QuerySet, RecallMeter, exact_top, mapped_index, recall_interval, rows_of, sampled
from transforms.vectors import VectorBlock, write_block

TASK = "index"
# Texts of the corpus that are asked for where there are no queries, as in a run.
_TEXTS = 1000


def evaluate_index(queries: Mapping[str, str] | None, systems: Sequence[System]) -> Section:
    """Recall at 1, 10 and 100 of each published index as it is, nprobe included, against comparing all vectors.

    By the judged `queries`, else by 1,000 texts of the corpus chosen by hash, which do not find themselves. Ties count as
    found. The interval is `recall_interval`'s: a bootstrap would shrink to a point where every neighbour was found.
    """
    facts: dict[str, Any] = {"queries": {}, "nprobe": {}}
    rows: list[Measured] = []
    findings: list[str] = []
    for system in systems:
        if not system.published or system.generation is None:
            continue
        with tempfile.TemporaryDirectory(prefix="corpusbeam-") as folder:
            corpus = corpus_vectors(system.generation, system.spec, system.options, folder)
            if not corpus.texts:
                findings.append(f"generation {system.generation.id} has no texts: there is nothing that its index could find.")
                continue
            asked = _own(corpus, folder) if queries is None else _given(system, list(queries.values()), folder)
            truth = exact_top(asked.block.ids(), np.array(asked.block.vectors()), corpus.blocks, max(RANKS))
            meter = RecallMeter([asked], corpus.blocks, truth, unit=system.spec.normalize)
            with mapped_index(system.generation.path("index/index.faiss")) as index:
                shares = meter.shares(meter.search(index))[asked.name]
            measured = read_table(system.generation.path("index/recall.parquet"), ["nprobe"])
            facts["nprobe"][system.name] = measured["nprobe"][0].as_py()
            facts["queries"][system.name] = asked.block.rows
            # Where there are fewer others to find than k, it is their number; where there are none, nothing is measured.
            measures = dict(zip(meter.ranks(asked.name), shares, strict=True))
            for k, share in measures.items():
                if not k:
                    continue
                low, high = recall_interval(share)
                rows.append(Measured(TASK, system.name, f"recall@{k}", float(share.mean()), low, high, len(share)))
    return Section(TASK, facts, rows, findings=findings)


def _own(corpus: CorpusVectors, folder: str) -> QuerySet:
    rows, ids = sampled(corpus.blocks, _TEXTS, last=True)
    return QuerySet("corpus", _block(folder, ids, rows_of(corpus.blocks, rows)))


def _given(system: System, texts: list[str], folder: str) -> QuerySet:
    vectors = load_encoder(system.spec, system.options.device, system.options.threads).encode_queries(texts).vectors
    return QuerySet("file", _block(folder, np.arange(-len(texts) - 1, -1), vectors))


def _block(folder: str, ids: np.ndarray, vectors: np.ndarray) -> VectorBlock:
    return write_block(os.path.join(folder, "asked.npy"), os.path.join(folder, "asked-ids.npy"), 0, ids, vectors)
