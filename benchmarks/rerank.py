"""Reranking 100 pairs of 64 tokens with a MiniLM-L6 cross-encoder, beside `CrossEncoder.predict`, in turn in one run.

    .venv/bin/python benchmarks/rerank.py [--model FOLDER_OR_NAME] [--precision bf16] [--pairs 100] [--tokens 64] [--rounds 7]

Without --model it is the transformer of all-MiniLM-L6-v2 with a head of random weights: the time is that of the ms-marco model
of this shape, the order means nothing. Both have the same threads and tokenise in their time. The medians count; also the
processor's seconds, for a machine on which others work.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from transforms.embedding import find_model
from transforms.rerank import Reranker


def random_cross_encoder(folder: Path) -> str:
    encoder = find_model("all-MiniLM-L6-v2")
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(encoder, num_labels=1, local_files_only=True)
    network = AutoModelForSequenceClassification.from_config(config)
    network.base_model.load_state_dict(AutoModel.from_pretrained(encoder, local_files_only=True).state_dict(), strict=False)
    network.save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder, local_files_only=True).save_pretrained(folder)
    return str(folder)


def make_pairs(tokenizer, count: int, tokens: int) -> list[tuple[str, str]]:
    """Pairs of exactly so many tokens, special ones included, of words that are one token each."""
    words = [word for word in tokenizer.get_vocab() if word.isalpha() and word.isascii() and len(word) > 3]
    generator = np.random.default_rng(0)
    query = " ".join(generator.choice(sorted(words), 9))
    pairs = [(query, " ".join(generator.choice(sorted(words), tokens - 12))) for _ in range(count)]
    lengths = {len(ids) for ids in tokenizer(*zip(*pairs, strict=True))["input_ids"]}
    assert lengths == {tokens}, lengths
    return pairs


def timed(compute) -> tuple[float, float, np.ndarray]:
    wall, processor = time.perf_counter(), time.process_time()
    found = compute()
    return time.perf_counter() - wall, time.process_time() - processor, np.asarray(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        name = options.model or random_cross_encoder(Path(folder))
        reranker = Reranker(name, "cpu", precision=options.precision)
        library = CrossEncoder(name, device="cpu", local_files_only=True)
        pairs = make_pairs(library.tokenizer, options.pairs, options.tokens)
        identity = torch.nn.Identity()

        def peer(autocast: bool):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                return library.predict(pairs, activation_fn=identity, show_progress_bar=False)

        ways = {
            f"here, {reranker.precision}": lambda: reranker.logits(pairs),
            "CrossEncoder.predict, fp32": lambda: peer(False),
            "CrossEncoder.predict, bf16 autocast": lambda: peer(True),
        }
        times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        logits = {}
        for round_number in range(options.rounds + 1):
            for way, compute in ways.items():
                wall, processor, logits[way] = timed(compute)
                if round_number:  # the first one warms up
                    times[way].append((wall, processor))
    own, exact, _ = ways
    weights = "random head" if options.model is None else options.model
    shape = f"{options.pairs} pairs of {options.tokens} tokens, {torch.get_num_threads()} threads"
    print(f"{shape}, {weights}, medians of {options.rounds}")
    for way, found in times.items():
        wall, processor = (statistics.median(column) for column in zip(*found, strict=True))
        ratio = wall / statistics.median(wall for wall, _ in times[own])
        difference = np.abs(logits[way] - logits[exact]).max() / np.ptp(logits[exact])
        seconds = f"{wall:6.3f} s {processor:6.3f} CPU s"
        print(f"{way:<36} {seconds}  {ratio:5.2f} times here  logits differ by {difference:.4f} of their range")


if __name__ == "__main__":
    main()
