"""OpenVINO with a bf16 hint beside sentence-transformers' `encode` and this project's forward pass, in turn, in one run.

    .venv/bin/pip install openvino        # not a dependency of the project
    .venv/bin/python benchmarks/embedding_openvino.py [--texts 600] [--rounds 2] [--data ../shared/data]

The route that the project does not take, for the default model: it is the fastest, but rounds as bf16 does (see the last
column) and has no precision between bf16 and fp32.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino
import torch
from embedding import CORPORA, sample, top10
from sentence_transformers import SentenceTransformer

from transforms.embedding import EmbeddingOptions, encoder_spec, load_encoder, measure_precision

_BATCH = 32


class MeanPooled(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(1) / mask.sum(1)


def openvino_encoder(peer: SentenceTransformer, streams: int) -> Callable[[list[str]], np.ndarray]:
    example = {name: torch.ones(2, 8, dtype=torch.long) for name in ("input_ids", "attention_mask")}
    model = openvino.convert_model(MeanPooled(peer.transformers_model).eval(), example_input=example)
    settings = {"INFERENCE_PRECISION_HINT": "bf16", "NUM_STREAMS": str(streams)}
    compiled = openvino.Core().compile_model(model, "CPU", settings)

    def encode(texts: list[str]) -> np.ndarray:
        ids = peer.tokenizer(texts, truncation=True, max_length=peer.max_seq_length)["input_ids"]
        order = np.argsort([-len(row) for row in ids], kind="stable")
        vectors = np.empty((len(ids), peer.get_embedding_dimension()), np.float32)
        queue = openvino.AsyncInferQueue(compiled, 2 * streams)
        queue.set_callback(lambda request, rows: vectors.__setitem__(rows, request.get_output_tensor(0).data))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            padded = np.zeros((len(rows), len(ids[rows[0]])), np.int64)
            mask = np.zeros_like(padded)
            for place, row in enumerate(rows):
                padded[place, : len(ids[row])], mask[place, : len(ids[row])] = ids[row], 1
            queue.start_async({0: padded, 1: mask}, rows)
        queue.wait_all()
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return encode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=600, help="texts of each corpus")
    parser.add_argument("--rounds", type=int, default=2, help="times that each of the three embeds each corpus")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    arguments = parser.parse_args()
    spec = encoder_spec(EmbeddingOptions(), measure_precision("cpu"))
    peer = SentenceTransformer(spec.folder, device="cpu", local_files_only=True)
    own, other = load_encoder(spec, "cpu"), openvino_encoder(peer, torch.get_num_threads())
    own.encode_documents(["warm"])
    print(f"openvino {openvino.__version__}, own precision {spec.precision}, {torch.get_num_threads()} threads")
    print(
        f"{'corpus':<16} {'openvino':>8} {'own':>6}  ratio to encode; openvino's smallest cosine and top-10 overlap with fp32"
    )
    for name, (file, column) in CORPORA.items():
        texts = sample(arguments.data / file, column, arguments.texts)
        other(texts[:_BATCH])
        ratios: dict[str, list[float]] = {"openvino": [], "own": []}
        for _ in range(arguments.rounds):
            seconds = {}
            routes = {"encode": lambda rows: peer.encode(rows, normalize_embeddings=True), "openvino": other}
            routes["own"] = lambda rows: own.encode_documents(rows).vectors
            found = {}
            for route, encode in routes.items():
                started = time.perf_counter()
                found[route] = encode(texts)
                seconds[route] = time.perf_counter() - started
            for route, values in ratios.items():
                values.append(seconds["encode"] / seconds[route])
        cosines = (found["openvino"].astype(np.float64) * found["encode"]).sum(axis=1)
        near = zip(top10(found["openvino"]), top10(found["encode"]), strict=True)
        overlap = np.mean([len(set(a) & set(b)) for a, b in near]) / 10
        shown = {route: statistics.median(values) for route, values in ratios.items()}
        print(f"{name:<16} {shown['openvino']:8.2f} {shown['own']:6.2f}  {cosines.min():.6f} {overlap:.4f}", flush=True)


if __name__ == "__main__":
    main()
