"""How many documents keep their topic's uid from one generation to the next, and what that costs in quality.

    .venv/bin/python -m benchmarks.topic_stability once --data DATA --sets search_snippets agnews debian_packages
    .venv/bin/python -m benchmarks.topic_stability nights --data DATA --sets agnews [--nights 10] [--share 0.02] [--every 1]

DATA as for benchmarks/topics.py. A generation is made of files by the steps that `reindex` runs, in this process, from a given
exact graph; only the map is left out. The corpus is nine tenths of the set, chosen by hash; the rest are texts that come later.
A share s changes by a third each: documents get another text, are deleted, are added; which, a hash of text and night decides.

- cold: everything is found from nothing (topics.recluster=always); topics are then matched with the parent's by documents
- drift: what still fits is kept (topics.recluster=drift)

kept: of the documents that were in a topic (not noise) and still have their text, the share with the same `topic_uid`; strict:
in the topic itself, not only near it as noise. themes: the same of `theme_uid` in each layer. V: V-measure with the labels,
noise assigned. once: one night with each share, from a generation made from nothing. nights: one after the other; since first:
kept since the first generation. every n: of every n-th text of a set.
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import v_measure_score

from benchmarks.topics import K, Texts, stage_inputs, write_stage_inputs
from transforms.files import file_ref
from transforms.topics import (
    Clustering,
    ParentTopics,
    TopicsOptions,
    describe_topics,
    find_inside_themes,
    landmark_graph,
    remember_parent,
    theme_stages,
)

SHARES = (0.0, 0.01, 0.05)


@dataclass(frozen=True)
class Generation:
    """What was published for the rows `rows` int (n,) of a set, arrays (n,) and (n, layers), and what the next run needs."""

    rows: np.ndarray
    topic_id: np.ndarray
    topic_uid: np.ndarray
    theme_uids: np.ndarray
    noise: float
    topics: int
    found_now: int
    seconds: float
    parent: ParentTopics
    clustering: Clustering | None


def published(folder: Path, texts: Texts, rows: np.ndarray, options: TopicsOptions, before: Generation | None) -> Generation:
    """One generation of the texts `rows`, ascending, with its files below `folder`."""
    keys = [bytes.fromhex(key) for key in texts.keys[rows]]
    graph = landmark_graph(texts.vectors[rows], K)
    write_stage_inputs(folder, keys, iter([texts.texts[i] for i in rows]), texts.vectors[rows], graph)
    passages, neighbors, blocks, documents = stage_inputs(folder)
    documents = tuple(file_ref(file.path, file.rows) for file in documents)
    started = time.process_time()

    def run(step: Any, tasks: Sequence[Any]) -> list[Any]:
        return [step(task, options) for task in tasks]

    work, out = f"{folder}/work", f"{folder}/topics"
    remembered = None if before is None else remember_parent(before.parent, passages, work, run)
    clustering = None if before is None or options.recluster == "always" else before.clustering
    found = find_inside_themes(passages, neighbors, blocks, options, work, run, remembered, clustering)
    done = describe_topics(found, passages, blocks, documents, work, out, run, (), ["en"], remembered, options.layers)
    seconds = time.process_time() - started
    assert done.themes is not None
    assignments = pq.read_table(done.assignments.path)
    themes = pq.read_table(done.themes.path, columns=["layer", "theme_id", "theme_uid"]).to_pylist()
    uid_of = {(row["layer"], row["theme_id"]): row["theme_uid"] for row in themes}
    layers = assignments["layer_theme_ids"].to_pylist()
    topic_id = assignments["topic_id"].to_numpy()
    return Generation(
        rows,
        topic_id,
        np.array(assignments["topic_uid"].to_pylist(), object),
        np.array([[uid_of[layer, theme] for layer, theme in enumerate(own)] for own in layers], object),
        float(np.mean(topic_id < 0)),
        found.topics,
        found.themes_found,
        seconds,
        ParentTopics(folder.name, documents, done.assignments, done.topics, done.themes, options.layers, done.centroids),
        found.clustering,
    )


def chance(texts: Texts, salt: str) -> np.ndarray:
    """A number in [0, 1) for each text, by hash."""
    digests = (hashlib.sha256(f"{salt} {key}".encode()).digest()[:8] for key in texts.keys)
    return np.array([int.from_bytes(digest, "big") / 2**64 for digest in digests])


def changed(texts: Texts, rows: np.ndarray, share: float, night: int) -> np.ndarray:
    """The corpus a night later: a third of the share each is replaced, deleted, added."""
    order = chance(texts, f"night {night}")
    count = round(share * len(rows) / 3)
    inside = np.zeros(len(texts.keys), bool)
    inside[rows] = True
    leaves = rows[np.argsort(order[rows], kind="stable")[: 2 * count]]
    outside = np.flatnonzero(~inside & (chance(texts, "base") >= 0.9))
    comes = outside[np.argsort(order[outside], kind="stable")[: 2 * count]]
    inside[leaves], inside[comes] = False, True
    return np.flatnonzero(inside)


def kept(before: Generation, now: Generation) -> dict[str, Any]:
    _, then, here = np.intersect1d(before.rows, now.rows, assume_unique=True, return_indices=True)
    clustered = before.topic_id[then] >= 0
    then, here = then[clustered], here[clustered]
    same = before.topic_uid[then] == now.topic_uid[here]
    _, all_then, all_here = np.intersect1d(before.rows, now.rows, assume_unique=True, return_indices=True)
    return {
        "kept": float(same.mean()),
        "strict": float((same & (now.topic_id[here] >= 0)).mean()),
        "themes": (before.theme_uids[all_then] == now.theme_uids[all_here]).mean(axis=0).round(4).tolist(),
    }


def v_measure(texts: Texts, generation: Generation) -> float:
    uids = np.array([uid or "" for uid in generation.topic_uid])
    return float(v_measure_score(texts.labels[generation.rows], uids))


def line(name: str, texts: Texts, found: Generation, stayed: dict[str, Any], more: str = "") -> None:
    print(
        f"| {name} | {stayed['kept']:.4f} | {stayed['strict']:.4f} | {stayed['themes']} | {v_measure(texts, found):.3f} |"
        f" {found.topics} | {found.noise:.3f} | {found.found_now} | {found.seconds:.0f} |{more}",
        flush=True,
    )


HEAD = (
    "| | kept | strict | themes 0.5, 1, 2 | V | topics | noise | themes reclustered | CPU seconds |{}\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |{}"
)


class Some(Texts):
    """Every n-th text of a set, in the order of keys, which are hashes."""

    def __init__(self, data: Path, name: str, every: int) -> None:
        super().__init__(data, name)
        kept = np.arange(0, len(self.keys), every)
        self.keys, self.labels, self.vectors = self.keys[kept], self.labels[kept], self.vectors[kept]
        self.texts = [self.texts[i] for i in kept]


def once(data: Path, sets: Sequence[str], shares: Sequence[float], modes: Sequence[str], every: int) -> None:
    for name in sets:
        texts = Some(data, name, every)
        rows = np.flatnonzero(chance(texts, "base") < 0.9)
        with tempfile.TemporaryDirectory() as folder:
            first = published(Path(folder, "first"), texts, rows, TopicsOptions(), None)
            print(f"{name}: {len(rows)} texts, {first.topics} topics, noise {first.noise:.3f}, V {v_measure(texts, first):.3f}")
            print(HEAD.format("", ""), flush=True)
            for share in shares:
                now = changed(texts, rows, share, 0)
                for mode in modes:
                    options = TopicsOptions(recluster=mode)
                    found = published(Path(folder, f"{mode}-{share}"), texts, now, options, first)
                    line(f"{'cold' if mode == 'always' else mode}, {share:.0%} changed", texts, found, kept(first, found))


def nights(data: Path, sets: Sequence[str], count: int, share: float, modes: Sequence[str], every: int) -> None:
    for name in sets:
        texts = Some(data, name, every)
        for mode in modes:
            rows = np.flatnonzero(chance(texts, "base") < 0.9)
            options = TopicsOptions(recluster=mode)
            with tempfile.TemporaryDirectory() as folder:
                first = last = published(Path(folder, "first"), texts, rows, options, None)
                print(f"{name}, {mode}, {share:.0%} a night; first V {v_measure(texts, first):.3f}")
                print(HEAD.format(" since first |", " --- |"), flush=True)
                for night in range(count):
                    rows = changed(texts, rows, share, night)
                    found = published(Path(folder, f"night-{night}"), texts, rows, options, last)
                    line(f"night {night + 1}", texts, found, kept(last, found), f" {kept(first, found)['kept']:.3f} |")
                    last = found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["once", "nights"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["search_snippets", "agnews"])
    parser.add_argument("--shares", nargs="+", type=float, default=SHARES)
    parser.add_argument("--modes", nargs="+", choices=["always", "drift"], default=["always", "drift"])
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--every", type=int, default=1)
    arguments = parser.parse_args()
    # The map takes half of the time and decides nothing here.
    theme_stages.lay_out_map = lambda neighbors, *_: np.zeros((len(neighbors), 2), np.float32)
    if arguments.what == "once":
        once(arguments.data, arguments.sets, arguments.shares, arguments.modes, arguments.every)
    else:
        nights(arguments.data, arguments.sets, arguments.nights, arguments.share, arguments.modes, arguments.every)


if __name__ == "__main__":
    main()
