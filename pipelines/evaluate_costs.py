"""What a model costs: seconds to embed the corpus, bytes of its vectors, size of its files."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.rankers import System
from transforms.embedding import EncoderSpec, TextEncoder, load_encoder
from transforms.files import filesystem_of, read_table
from transforms.generations import Generation

# Documents that are embedded to time a model, and how often: models in turn, so that a busy moment hits all; the best counts.
_SAMPLE, _ROUNDS = 256, 3


def measure_costs(systems: Sequence[System]) -> list[dict[str, Any]]:
    """For each model its dimension, the bytes of the corpus's vectors in float32 and of the published index, the bytes of its
    weights, and the seconds for a thousand documents, embedded now on this machine; None where the generation keeps no texts.
    """
    generation = next((system.generation for system in systems if system.generation is not None), None)
    if generation is None:
        return []
    sample = _sample(generation)
    # Each of its own corpus: two generations may be compared.
    counts = [int((system.generation or generation).manifest.counts["distinct_texts"]) for system in systems]
    encoders = [load_encoder(system.spec, system.options.device, system.options.threads) for system in systems]
    seconds = _seconds(encoders, systems, sample) if sample else [None] * len(systems)
    return [
        {
            "system": system.name,
            "model": system.spec.model,
            "precision": system.spec.precision,
            "dimension": encoder.dim,
            "texts": texts,
            "vector_bytes": texts * encoder.dim * 4,
            "index_bytes": _index_bytes(system),
            "weights_bytes": _weights_bytes(system.spec),
            "seconds_per_1000_documents": took,
            "seconds_for_all_texts": None if took is None else took * texts / 1000,
        }
        for system, texts, encoder, took in zip(systems, counts, encoders, seconds, strict=True)
    ]


def cost_lines(costs: Sequence[dict[str, Any]]) -> list[str]:
    """The same as lines for a terminal."""
    if not costs:
        return []
    width = max(len(cost["system"]) for cost in costs)
    lines = ["costs", "─────", f"{'system':<{width}}  dimension      vectors        index      weights   s / 1,000   s for all"]
    for cost in costs:
        sizes = [cost[name] for name in ("vector_bytes", "index_bytes", "weights_bytes")]
        took = [cost[name] for name in ("seconds_per_1000_documents", "seconds_for_all_texts")]
        shown = [" " * 10 + "–" if size is None else f"{size / 1e6:8.1f} MB" for size in sizes]
        times = ["          –" if value is None else f"{value:11.2f}" for value in took]
        lines.append(f"{cost['system']:<{width}}  {cost['dimension']:9,}  {'  '.join(shown)} {' '.join(times)}")
    return [*lines, ""]


def _sample(generation: Generation) -> list[str]:
    """A sample of a generation's texts: parts go by the hash of ids, so the first of one will do."""
    file = generation.manifest.under("documents")[0]
    path = generation.checked(file)
    fs, inner = filesystem_of(path)
    named = "text" in pq.read_schema(inner, filesystem=fs).names
    return read_table(path, ["text"])["text"].to_pylist()[:_SAMPLE] if named else []


def _seconds(encoders: Sequence[TextEncoder], systems: Sequence[System], sample: list[str]) -> list[float | None]:
    """Best seconds of each model for a thousand documents."""
    best = [float("inf")] * len(encoders)
    for round_number in range(_ROUNDS + 1):
        for i, (encoder, system) in enumerate(zip(encoders, systems, strict=True)):
            started = time.perf_counter()
            encoder.encode_documents(sample, system.options.tokens_per_batch)
            # The first round warms up.
            if round_number:
                best[i] = min(best[i], time.perf_counter() - started)
    return [1000 * took / len(sample) for took in best]


def _index_bytes(system: System) -> int | None:
    if not system.published or system.generation is None:
        return None
    return system.generation.manifest.file("index/index.faiss").size


def _weights_bytes(spec: EncoderSpec) -> int:
    return sum(path.stat().st_size for path in Path(spec.folder).rglob("*.safetensors"))
