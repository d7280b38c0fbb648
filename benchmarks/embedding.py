"""Embedding beside sentence-transformers' own `encode`: same machine, threads and texts, in turn, in one run.

    .venv/bin/python benchmarks/embedding.py [--texts 1400] [--rounds 3] [--data ../shared/data]
    .venv/bin/python benchmarks/embedding.py --pipeline ROOT

For each corpus it prints documents and tokens per second of both, the ratio of every round's pair (median), the share of
computed tokens that are padding, the smallest cosine with `encode` in fp32, and the overlap of the ten nearest neighbours.

With --pipeline it sets the rate of the whole embedding stage of the generation published under ROOT (start of the job, loading
and storing included; it must have embedded everything) beside `encode` on texts of the same corpus.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from sentence_transformers import SentenceTransformer

from transforms.embedding import EmbeddingOptions, encoder_spec, load_encoder, measure_precision
from transforms.files import read_json
from transforms.generations import open_generation

CORPORA = {
    "stsb_test": ("stsb_test.parquet", "sentence1"),
    "agnews": ("agnews.parquet", "text"),
    "cranfield_docs": ("cranfield_docs.parquet", "text"),
    "debian_packages": ("debian_packages.parquet", "text"),
}


def sample(path: Path, column: str, count: int) -> list[str]:
    """The same `count` different texts every time, from all over the file."""
    return chosen({text for text in pq.read_table(path, columns=[column])[column].to_pylist() if text and text.strip()}, count)


def chosen(distinct: set[str], count: int) -> list[str]:
    texts = sorted(distinct)
    return [texts[i] for i in np.random.default_rng(0).choice(len(texts), min(count, len(texts)), replace=False)]


def top10(vectors: np.ndarray) -> np.ndarray:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    return np.argsort(-scores, axis=1)[:, :10]


def pipeline(root: str, count: int, rounds: int) -> None:
    generation = open_generation(root)
    stage = read_json(generation.path("metrics.json"))["stages"]["embed"]
    documents = generation.manifest.under("documents")
    parts = [pq.read_table(generation.checked(file), columns=["text"]) for file in documents]
    texts = chosen({text for part in parts for text in part["text"].to_pylist()}, count)
    peer = SentenceTransformer(encoder_spec(EmbeddingOptions()).folder, device="cpu", local_files_only=True)
    peer.encode(texts[:32])
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        peer.encode(texts, normalize_embeddings=True)
        seconds.append(time.perf_counter() - started)
    ours, theirs = stage["texts_embedded"] / stage["seconds"], len(texts) / statistics.median(seconds)
    waste = 1 - stage["tokens"] / stage["padded_tokens"]
    print(
        f"precision {generation.manifest.encoder['precision']}, {stage['texts_embedded']:,} texts in {stage['seconds']:.1f} s"
    )
    print(f"stage {ours:.1f} docs/s, {stage['tokens'] / stage['seconds']:,.0f} tokens/s, padding {waste:.1%}")
    print(f"encode {theirs:.1f} docs/s on {len(texts):,} of the texts; ratio {ours / theirs:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1400, help="texts of each corpus")
    parser.add_argument("--rounds", type=int, default=3, help="times that each of the two embeds each corpus")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16x2", "bf16", "fp16", "int8"], default="auto")
    parser.add_argument("--pipeline", metavar="ROOT", help="compare the embedding stage of a finished run instead")
    arguments = parser.parse_args()
    if arguments.pipeline:
        pipeline(arguments.pipeline, arguments.texts, arguments.rounds)
        return
    options = EmbeddingOptions(precision=arguments.precision)
    spec = encoder_spec(options, measure_precision("cpu"))
    own = load_encoder(spec, "cpu")
    peer = SentenceTransformer(spec.folder, device="cpu", local_files_only=True)
    own.encode_documents(["warm"])
    print(f"precision {spec.precision}, {torch.get_num_threads()} threads, {arguments.texts} texts, {arguments.rounds} rounds")
    head = ("corpus", "tokens", "docs/s", "encode", "tokens/s", "ratio", "padding", "min cosine", "top-10")
    print("{:<16} {:>6} {:>8} {:>8} {:>9} {:>6} {:>8} {:>11} {:>7}".format(*head))
    for name, (file, column) in CORPORA.items():
        texts = sample(arguments.data / file, column, arguments.texts)
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            started = time.perf_counter()
            encoded = own.encode_documents(texts)
            ours.append(time.perf_counter() - started)
            started = time.perf_counter()
            expected = peer.encode(texts, normalize_embeddings=True)
            theirs.append(time.perf_counter() - started)
        ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
        seconds, cosines = statistics.median(ours), (encoded.vectors.astype(np.float64) * expected).sum(axis=1)
        overlap = np.mean([len(set(a) & set(b)) for a, b in zip(top10(encoded.vectors), top10(expected), strict=True)]) / 10
        print(
            f"{name:<16} {encoded.tokens / len(texts):6.1f} {len(texts) / seconds:8.1f} "
            f"{len(texts) / statistics.median(theirs):8.1f} {encoded.tokens / seconds:9,.0f} {ratio:6.2f} "
            f"{1 - encoded.tokens / encoded.padded_tokens:8.1%} {cosines.min():11.6f} {overlap:7.4f}"
        )


if __name__ == "__main__":
    main()
