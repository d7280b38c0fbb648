"""Themes and topics: quality on labelled texts, what was tried, and the whole stage's time and memory.

    .venv/bin/python benchmarks/topics.py quality --data DATA --sets search_snippets agnews [--seeds 5] [--only themes ...]
    .venv/bin/python benchmarks/topics.py terms --data DATA --sets search_snippets agnews [--seeds 1]
    .venv/bin/python benchmarks/topics.py tried --data DATA --sets search_snippets agnews [--seeds 5]
    .venv/bin/python benchmarks/topics.py speed --data DATA --set debian_packages [--workers 2] [--rounds 1]
    .venv/bin/python benchmarks/topics.py map --data DATA --set agnews [--texts 4000] [--nights 15]
    .venv/bin/python benchmarks/topics.py synthetic --texts 1000000 [--workers 2]

DATA has NAME.parquet (`text`, and `label` or `section`) and NAME.minilm.f16.npy, unit vectors in row order. Equal texts count
once. No method sees a label, but for the k-means that is given their number.

quality: V-measure over all texts (noise as one more label), the same after noise is assigned, share of noise, NPMI coherence of
the ten best words (normalised pointwise mutual information of each pair, by texts that have both; mean over pairs, then topics)
and their diversity (share of different words among those of all topics). Mean and range over seeds.

- themes at 0.5, 1, 2: Leiden communities of the neighbour graph
- topics in themes: HDBSCAN in each theme of resolution 1, on UMAP, and with `none` on the exact cosines
- UMAP + HDBSCAN: both packages over all texts, as BERTopic uses them (5 dimensions, 15 neighbours, cosine, min_dist 0)
- k-means: spherical, with the true number of labels, by FAISS

terms: ten terms of each topic in themes, for lengths in words and `topics.diversity`. NPMI as above, of terms that may be
phrases; diversity as above, of terms; different words: share of different words among those of a topic's terms, mean over
topics; a word is the letters before its last s.

tried: V-measure of themes for other edge weights, lists, and resolutions chosen by stability over seeds.

speed: the topics stage as `reindex` runs it (three layers of themes, topics, map, terms, examples, assignments) on a given
graph, beside UMAP + HDBSCAN over all, given the same graph: labels only. Each in a process of its own with its workers, in
turn. CPU seconds are those of all its processes: what is left of a comparison on a machine that does other work meanwhile.

map: the map over nights in which a share of the texts is replaced, from the night before and from nothing: how far texts that
stay move (median, in units of the map's spread, the root mean square distance from the middle), by how many degrees all of them
turn, and how many of 15 graph neighbours are among the 15 nearest on the map. One thread; seconds are CPU.

synthetic: the same stage on a graph that stands for a corpus of that many texts: texts lie in topics of 200, twenty of which
make a subject; of a text's 32 neighbours half are of its topic, a quarter of its subject, a quarter anywhere.
Cosines fall from .9 to .4 along the list. Vectors are a topic's direction and noise (32 dimensions); texts are twelve words of
their topic's and subject's vocabulary.
"""

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
from scipy.linalg import orthogonal_procrustes
from sklearn.metrics import adjusted_rand_score, v_measure_score

from pipelines.memory import high_water_mark_mb
from pipelines.runner import Runner, RunnerOptions
from transforms.files import FileRef, write_table
from transforms.neighbors import neighbors_schema, read_neighbors
from transforms.topics import (
    TopicsOptions,
    assign_noise,
    c_tf_idf,
    choose_terms,
    community_graph,
    count_terms,
    describe_topics,
    equal_texts,
    find_inside_themes,
    find_themes,
    landmark_graph,
    lay_out_map,
    topics_of_theme,
)
from transforms.topics.beam import TopicsStep
from transforms.topics.naming.words import joined, pieces
from transforms.vectors import VectorBlock, write_block

K, WORDS, ROWS = 32, 10, 4096


class Texts:
    """Distinct texts in content-key order, with vectors, labels and their exact neighbour graph."""

    def __init__(self, data: Path, name: str) -> None:
        table = pq.read_table(data / f"{name}.parquet")
        texts = table["text"].to_pylist()
        keys = np.array([hashlib.sha256(text.encode()).hexdigest() for text in texts])
        self.name = name
        self.keys, first = np.unique(keys, return_index=True)
        label = "label" if "label" in table.column_names else "section"
        self.labels = np.array(table[label].to_pylist())[first]
        self.texts = [texts[i] for i in first]
        self.vectors = np.load(data / f"{name}.minilm.f16.npy").astype(np.float32)[first]
        faiss.normalize_L2(self.vectors)
        self.neighbors, self.cosines = landmark_graph(self.vectors, K)


# ---------------------------------------------------------------------------------------------------------------- quality


class Words:
    """Which texts have which words or, up to `longest` words, which of the `wanted` phrases, for coherence."""

    def __init__(self, texts: Sequence[str], longest: int = 1, wanted: frozenset[str] | None = None) -> None:
        split = [sorted(phrases(text, longest, wanted)) for text in texts]
        self.place: dict[str, int] = {}
        columns = [self.place.setdefault(word, len(self.place)) for words in split for word in words]
        bounds = np.cumsum([0, *map(len, split)])
        self.has = sp.csr_matrix((np.ones(len(columns)), columns, bounds), shape=(len(texts), len(self.place))).tocsc()

    def coherence(self, words: Sequence[str]) -> float:
        """Mean NPMI over all pairs of words: -1 never together, 1 only together."""
        together = (
            self.has[:, [self.place[word] for word in words]].T @ self.has[:, [self.place[word] for word in words]]
        ).toarray()
        share = together / self.has.shape[0]
        values = []
        for a, b in combinations(range(len(words)), 2):
            if share[a, b] == 0:
                values.append(-1.0)
            elif share[a, b] < 1:
                values.append(float(np.log(share[a, b] / (share[a, a] * share[b, b])) / -np.log(share[a, b])))
        return statistics.fmean(values) if values else 0.0


def phrases(text: str, longest: int, wanted: frozenset[str] | None) -> set[str]:
    words = pieces(text)
    found = {reduce(joined, words[i : i + size]) for size in range(1, longest + 1) for i in range(len(words) - size + 1)}
    return found if wanted is None else found & wanted


def weighed_terms(texts: Sequence[str], labels: np.ndarray, ngram_max: int) -> pa.Table:
    counts = count_terms(texts, labels, ngram_max)
    occurrences = counts["occurrences"].to_numpy().astype(float)
    of_topic = np.bincount(counts["topic_id"].to_numpy() + 1, occurrences, minlength=int(labels.max()) + 2)
    return c_tf_idf(counts, of_topic)


def terms_of(texts: Sequence[str], labels: np.ndarray) -> list[tuple[str, ...]]:
    weighed = weighed_terms(texts, labels, 1)
    return [found.terms for found in choose_terms(weighed, int(labels.max()) + 1, WORDS, 0.0)]


def measured(texts: Texts, words: Words, labels: np.ndarray, assigned: np.ndarray) -> dict[str, float]:
    terms = [found for found in terms_of(texts.texts, labels) if len(found) > 1]
    everything = [term for found in terms for term in found]
    return {
        "topics": int(labels.max()) + 1,
        "V": v_measure_score(texts.labels, labels),
        "V assigned": v_measure_score(texts.labels, assigned),
        "noise": float(np.mean(labels < 0)),
        "NPMI": statistics.fmean(words.coherence(found) for found in terms) if terms else float("nan"),
        "diversity": len(set(everything)) / max(len(everything), 1),
    }


def themes_at(texts: Texts, resolution: float, seed: int) -> np.ndarray:
    equal = equal_texts(texts.neighbors, texts.cosines)
    return find_themes(community_graph(texts.neighbors, texts.cosines), resolution, seed, equal=equal)


def in_themes(texts: Texts, options: TopicsOptions) -> tuple[np.ndarray, np.ndarray]:
    themes, n, found = themes_at(texts, options.resolution, options.seed), len(texts.texts), 0
    labels, assigned = np.full(n, -1), np.full(n, -1)
    for theme in range(int(themes.max()) + 1):
        members, place = np.flatnonzero(themes == theme), np.full(n, -1)
        place[members] = np.arange(len(members))
        inside = topics_of_theme(place[texts.neighbors[members]], texts.cosines[members], options, texts.vectors[members])
        labels[members] = np.where(inside.topic_id >= 0, inside.topic_id + found, -1)
        assigned[members] = np.where(inside.assigned_topic_id >= 0, inside.assigned_topic_id + found, -1)
        found += inside.topics
    return labels, assigned


def packages(texts: Texts, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """UMAP and HDBSCAN as BERTopic calls them, on the given graph; the smallest topic is as in `TopicsOptions`."""
    labels = umap_hdbscan(texts.vectors, texts.neighbors, texts.cosines, seed)
    return labels, assign_noise(labels, texts.neighbors, texts.cosines)[0]


def umap_hdbscan(vectors: np.ndarray, neighbors: np.ndarray, cosines: np.ndarray, seed: int) -> np.ndarray:
    import hdbscan
    import umap

    n = len(vectors)
    knn = np.hstack([np.arange(n)[:, None], neighbors[:, :14]]).astype(np.int32)
    distances = np.hstack([np.zeros((n, 1)), np.maximum(1 - cosines[:, :14], 0)]).astype(np.float32)
    model = umap.UMAP(15, 5, min_dist=0.0, metric="cosine", random_state=seed, precomputed_knn=(knn, distances))
    layout = model.fit_transform(vectors)
    return np.asarray(hdbscan.HDBSCAN(TopicsOptions().cluster_size(n), 5, core_dist_n_jobs=2).fit_predict(layout))


def spherical_kmeans(texts: Texts, seed: int) -> tuple[np.ndarray, np.ndarray]:
    k = len(set(texts.labels.tolist()))
    model = faiss.Kmeans(texts.vectors.shape[1], k, niter=50, spherical=True, seed=seed, max_points_per_centroid=10**9)
    model.train(texts.vectors)
    labels = model.index.search(texts.vectors, 1)[1][:, 0]
    return labels, labels


def quality(data: Path, sets: Sequence[str], seeds: int, only: Sequence[str]) -> None:
    def themes(resolution: float) -> Callable[[Texts, int], tuple[np.ndarray, np.ndarray]]:
        def find(texts: Texts, seed: int) -> tuple[np.ndarray, np.ndarray]:
            found = themes_at(texts, resolution, seed)
            return found, found

        return find

    methods: dict[str, Callable[[Texts, int], tuple[np.ndarray, np.ndarray]]] = {
        "themes, resolution 0.5": themes(0.5),
        "themes, resolution 1": themes(1.0),
        "themes, resolution 2": themes(2.0),
        "topics in themes, umap": lambda texts, seed: in_themes(texts, TopicsOptions(seed=seed)),
        "topics in themes, none": lambda texts, seed: in_themes(texts, TopicsOptions(seed=seed, reduce="none")),
        "UMAP + HDBSCAN": packages,
        "k-means, true k": spherical_kmeans,
    }
    for name in sets:
        texts = Texts(data, name)
        words = Words(texts.texts)
        print(f"\n{name}: {len(texts.texts)} texts, {len(set(texts.labels.tolist()))} labels, {seeds} seeds")
        print("| method | topics | V, all texts | range | V, assigned | noise | NPMI | diversity | seconds |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for method, find in methods.items():
            if only and not any(method.startswith(name) for name in only):
                continue
            rows, started = [], time.perf_counter()
            for seed in range(seeds):
                rows.append(measured(texts, words, *find(texts, seed)))
            seconds = (time.perf_counter() - started) / seeds
            mean = {key: statistics.fmean(row[key] for row in rows) for key in rows[0]}
            low, high = min(row["V"] for row in rows), max(row["V"] for row in rows)
            print(
                f"| {method} | {mean['topics']:.0f} | {mean['V']:.3f} | {low:.3f} – {high:.3f} | {mean['V assigned']:.3f} |"
                f" {mean['noise']:.2f} | {mean['NPMI']:.3f} | {mean['diversity']:.2f} | {seconds:.1f} |",
                flush=True,
            )


# ------------------------------------------------------------------------------------------------------------------ terms


def compare_terms(data: Path, sets: Sequence[str], seeds: int) -> None:
    for name in sets:
        texts = Texts(data, name)
        print(f"\n{name}: topics in themes, {seeds} seeds")
        print("| words | topics.diversity | NPMI | diversity | different words | words of a title |")
        print("| --- | --- | --- | --- | --- | --- |")
        rows: dict[tuple[int, float], list[tuple[float, ...]]] = {}
        for seed in range(seeds):
            labels, _ = in_themes(texts, TopicsOptions(seed=seed))
            topics = int(labels.max()) + 1
            for ngram_max in (1, 2, 3):
                weighed = weighed_terms(texts.texts, labels, ngram_max)
                chosen = {value: choose_terms(weighed, topics, WORDS, value) for value in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7)}
                wanted = frozenset(term for found in chosen.values() for one in found for term in one.terms)
                words = Words(texts.texts, ngram_max, wanted)
                for value, found in chosen.items():
                    some = [one.terms for one in found if len(one.terms) > 1]
                    split = [[word.rstrip("s") for term in terms for word in term.split()] for terms in some]
                    row = (
                        statistics.fmean(words.coherence(terms) for terms in some),
                        len({term for terms in some for term in terms}) / sum(map(len, some)),
                        statistics.fmean(len(set(own)) / len(own) for own in split),
                        statistics.fmean(len(one.title("").replace(",", "").split()) for one in found),
                    )
                    rows.setdefault((ngram_max, value), []).append(row)
        for (ngram_max, value), found_rows in rows.items():
            npmi, diversity, different, title = (statistics.fmean(column) for column in zip(*found_rows, strict=True))
            print(f"| 1–{ngram_max} | {value} | {npmi:.4f} | {diversity:.3f} | {different:.3f} | {title:.1f} |", flush=True)


# ------------------------------------------------------------------------------------------------------------------ tried


def weighted(texts: Texts, k: int = K, power: float = 1, hubs: float = 1, mutual: bool = False) -> sp.csr_matrix:
    """The graph of themes with other weights: cosine ** power, divided by the texts' sums ** hubs."""
    n = len(texts.texts)
    values = np.maximum(texts.cosines[:, :k], 0).astype(np.float64) ** power
    directed = sp.csr_matrix((values.ravel(), texts.neighbors[:, :k].ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    graph = (2 * directed.minimum(directed.T) if mutual else directed + directed.T).tocsr()
    graph.eliminate_zeros()
    graph.sort_indices()
    degree = np.maximum(np.asarray(graph.sum(axis=1)).ravel(), 1e-12) ** hubs
    graph.data /= np.repeat(degree, np.diff(graph.indptr)) * degree[graph.indices]
    graph.data /= graph.data.mean()
    return graph


def tried(data: Path, sets: Sequence[str], seeds: int) -> None:
    variants: dict[str, dict[str, Any]] = {
        "cosine, hubs divided (as built)": {},
        "cosine": {"hubs": 0},
        "cosine²": {"power": 2, "hubs": 0},
        "cosine⁴": {"power": 4, "hubs": 0},
        "cosine, hubs by the square root": {"hubs": 0.5},
        "no cosines, hubs divided": {"power": 0},
        "cosine², hubs divided": {"power": 2},
        "mutual neighbours only": {"mutual": True},
        "15 neighbours": {"k": 15},
    }
    for name in sets:
        texts = Texts(data, name)
        print(f"\n{name}: V-measure, mean of {seeds} seeds (range), themes")
        print("| graph | 0.5 | 1 | 2 |\n| --- | --- | --- | --- |")
        for variant, settings in variants.items():
            graph, cells = weighted(texts, **settings), []
            for resolution in (0.5, 1.0, 2.0):
                found = [find_themes(graph, resolution, seed) for seed in range(seeds)]
                values = [v_measure_score(texts.labels, labels) for labels in found]
                themes = statistics.fmean(int(labels.max()) + 1 for labels in found)
                cells.append(f"{statistics.fmean(values):.3f} ({min(values):.3f} – {max(values):.3f}), {themes:.0f}")
            print(f"| {variant} | {' | '.join(cells)} |", flush=True)
        graph, best = weighted(texts), (-1.0, 0.0, 0.0)
        for resolution in (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0):
            found = [find_themes(graph, resolution, seed) for seed in range(seeds)]
            stability = statistics.fmean(adjusted_rand_score(a, b) for a, b in combinations(found, 2))
            value = statistics.fmean(v_measure_score(texts.labels, labels) for labels in found)
            print(f"resolution {resolution}: stability {stability:.3f} (mean ARI of pairs of seeds), V {value:.3f}", flush=True)
            best = max(best, (stability, resolution, value))
        print(f"most stable: resolution {best[1]}, V {best[2]:.3f}")


# ------------------------------------------------------------------------------------------------------------------ speed


def write_stage_inputs(
    folder: Path, keys: Sequence[bytes], texts: Iterator[str], vectors: np.ndarray, graph: tuple[np.ndarray, np.ndarray]
) -> None:
    """What a run hands to the topics stage, each text of one document: parts of 4,096 texts, content keys ascending."""
    neighbors, cosines = graph
    ids = np.array([int.from_bytes(key[:8], "big") >> 1 for key in keys], np.int64)
    for part, low in enumerate(range(0, len(keys), ROWS)):
        own = slice(low, min(low + ROWS, len(keys)))
        rows = own.stop - low
        columns = {
            "content_key": pa.array(keys[own], pa.binary(32)),
            "id": ids[own],
            "text": pa.array([next(texts) for _ in range(rows)], pa.string()),
            "doc_id": pa.array([f"d{i}" for i in range(low, own.stop)], pa.string()),
            "passage_no": pa.array([0] * rows, pa.int32()),
            "n_documents": pa.array([1] * rows, pa.int32()),
        }
        write_table(f"{folder}/passages/part-{part:05d}.parquet", pa.table(columns))
        documents = {name: columns[name] for name in ("doc_id", "passage_no", "content_key")}
        write_table(f"{folder}/documents/part-{part:05d}.parquet", pa.table(documents))
        write_block(f"{folder}/v{part:05d}.npy", f"{folder}/i{part:05d}.npy", low, ids[own], vectors[own])
        k = neighbors.shape[1]
        lists = [
            pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), k)
            for values in (ids[neighbors[own]], cosines[own].astype(np.float32))
        ]
        arrays = [pa.array(ids[own]), *lists]
        table = pa.table([a.cast(f.type) for a, f in zip(arrays, neighbors_schema(), strict=True)], schema=neighbors_schema())
        write_table(f"{folder}/neighbors/part-{part:05d}.parquet", table)


def stage_inputs(folder: Path) -> tuple[Any, ...]:
    def refs(name: str) -> tuple[FileRef, ...]:
        paths = sorted((folder / name).glob("*.parquet"))
        return tuple(FileRef(str(path), path.stat().st_size, pq.read_metadata(path).num_rows, "") for path in paths)

    blocks, start = [], 0
    for path in sorted(folder.glob("v*.npy")):
        rows, dim = np.load(path, mmap_mode="r").shape
        blocks.append(VectorBlock(start, rows, dim, str(path), str(path.with_name("i" + path.name[1:]))))
        start += rows
    return refs("passages"), refs("neighbors"), tuple(blocks), refs("documents")


def whole_stage(folder: Path, workers: int) -> dict[str, Any]:
    """The stage as `pipelines.topics` runs it; seconds of each job, peak memory of each process."""
    passages, neighbors, blocks, documents = stage_inputs(folder)
    options, jobs, peaks = TopicsOptions(), {}, {}
    with tempfile.TemporaryDirectory() as out, Runner(RunnerOptions(workers=workers)) as runner:

        def job(step: Any, tasks: Sequence[Any]) -> list[Any]:
            transform, started = TopicsStep(step, options), time.perf_counter()
            done = runner.job(transform, tasks, transform.record_type, f"{out}/{step.__name__}.json")
            jobs[step.__name__] = time.perf_counter() - started
            for work in done.work:
                peaks[work.worker] = max(peaks.get(work.worker, 0), work.peak_rss_mb)
            return done.records

        started = time.perf_counter()
        found = find_inside_themes(passages, neighbors, blocks, options, f"{out}/work", job)
        describe_topics(found, passages, blocks, documents, f"{out}/work", f"{out}/topics", job)
        seconds = time.perf_counter() - started
        files = sum(path.stat().st_size for path in Path(out).rglob("*") if path.is_file())
    peaks["driver"] = high_water_mark_mb()
    themes = [layer.topics for layer in found.layers]
    return {
        "seconds": seconds, "cpu": cpu_seconds(), "jobs": jobs,
        "peaks": list(peaks.values()), "themes": themes, "topics": found.topics,
        "noise": found.noise_texts / max(found.distinct_texts, 1), "disk_mb": files / 1e6,
    }  # fmt: skip


def cpu_seconds() -> float:
    """Of this process and those that it has started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peer(folder: Path) -> dict[str, Any]:
    _, neighbors, blocks, _ = stage_inputs(folder)
    parts = [read_neighbors(ref.path) for ref in neighbors]
    ids, named, cosines = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    vectors = np.concatenate([block.vectors() for block in blocks])
    started = time.perf_counter()
    labels = umap_hdbscan(vectors, np.searchsorted(ids, named), cosines, 42)
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds, "cpu": cpu_seconds(), "jobs": {},
        "peaks": [high_water_mark_mb()], "themes": [], "topics": int(labels.max()) + 1,
        "noise": float(np.mean(labels < 0)), "disk_mb": 0,
    }  # fmt: skip


def alone(what: str, folder: Path, workers: int) -> dict[str, Any]:
    """One measurement in a process of its own; both see as many cores."""
    command = [sys.executable, __file__, "child", "--what", what, "--folder", str(folder), "--workers", str(workers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "TQDM_DISABLE": "1"})
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(name: str, rows: list[dict[str, Any]]) -> None:
    last = rows[-1]
    seconds, cpu = (statistics.median(row[what] for row in rows) for what in ("seconds", "cpu"))
    largest, together = max(max(row["peaks"]) for row in rows), sum(last["peaks"])
    print(
        f"| {name} | {seconds:.1f} | {cpu:.1f} | {largest:.0f} | {together:.0f} | {last['themes']} | {last['topics']} |"
        f" {last['noise']:.2f} |"
    )
    for job, took in last["jobs"].items():
        print(f"|   {job} | {took:.1f} | | | | | | |")
    if last["disk_mb"]:
        print(f"|   disk used meanwhile, MB: {last['disk_mb']:.0f} | | | | | | | |", flush=True)


HEAD = (
    "| | seconds | CPU seconds | MB, largest process | MB, all processes | themes | topics | noise |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def speed(data: Path, name: str, workers: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        texts = Texts(data, name)
        keys = [bytes.fromhex(key) for key in texts.keys]
        write_stage_inputs(Path(folder), keys, iter(texts.texts), texts.vectors, (texts.neighbors, texts.cosines))
        print(f"{name}: {len(keys)} texts, {workers} workers, median of {rounds}\n{HEAD}", flush=True)
        ours, theirs = [], []
        del texts
        for _ in range(rounds):
            ours.append(alone("stage", Path(folder), workers))
            theirs.append(alone("peer", Path(folder), workers))
        report("topics stage", ours)
        report("UMAP + HDBSCAN, labels only", theirs)
        ratio = statistics.median(r["seconds"] for r in theirs) / statistics.median(r["seconds"] for r in ours)
        print(f"ratio {ratio:.2f}")


def map_nights(data: Path, name: str, size: int, nights: int) -> None:
    texts, options = Texts(data, name), TopicsOptions()
    for share in (0.01, 0.05):
        pool, new = np.random.default_rng(0).permutation(len(texts.texts)), int(share * size)
        if size + nights * new > len(pool):
            raise SystemExit(f"{size} texts and {new} new ones on {nights} nights are more than the {len(pool)} of {name}")
        rows, dice = np.sort(pool[:size]), np.random.default_rng(5)
        graph = landmark_graph(texts.vectors[rows], K)
        xy = nothing = lay_out_map(*graph, options)
        print(f"{name}, {size} texts, {share:.0%} replaced each night\n| night | | moved | turned | neighbours kept | CPU s |")
        print(f"| --- | --- | --- | --- | --- | --- |\n| 0 | from nothing | | | {neighbors_kept(xy, graph[0]):.3f} | |")
        for night in range(1, nights + 1):
            stay = np.sort(dice.permutation(size)[new:])
            low = size + (night - 1) * new
            now = np.sort(np.concatenate([rows[stay], pool[low : low + new]]))
            graph, here = landmark_graph(texts.vectors[now], K), np.isin(now, rows)
            before = np.full((size, 2), np.nan, np.float32)
            before[here] = xy[stay]
            for how, start, last in (("from before", before, xy), ("from nothing", None, nothing)):
                began = time.process_time()
                found = lay_out_map(*graph, options, start)
                took, (way, angle) = time.process_time() - began, moved(last[stay], found[here])
                kept = neighbors_kept(found, graph[0])
                print(f"| {night} | {how} | {way:.3f} | {angle} | {kept:.3f} | {took:.1f} |", flush=True)
                xy, nothing = (found, nothing) if start is not None else (xy, found)
            rows = now


def moved(before: np.ndarray, after: np.ndarray) -> tuple[float, str]:
    """Median way in units of the spread before, and the angle of the rotation that fits best (Procrustes)."""
    a, b = before - before.mean(axis=0), after - after.mean(axis=0)
    turn, _ = orthogonal_procrustes(a, b)
    angle = f"{np.degrees(np.arctan2(turn[0, 1], turn[0, 0])):.1f}°" if np.linalg.det(turn) > 0 else "mirrored"
    return float(np.median(np.linalg.norm(after - before, axis=1)) / np.sqrt((a**2).sum(axis=1).mean())), angle


def neighbors_kept(xy: np.ndarray, neighbors: np.ndarray, k: int = 15) -> float:
    index = faiss.IndexFlatL2(2)
    index.add(np.ascontiguousarray(xy))
    _, near = index.search(np.ascontiguousarray(xy), k + 1)
    lists = zip(range(len(xy)), near.tolist(), neighbors[:, :k].tolist(), strict=True)
    return statistics.fmean(len((set(found) - {row}) & set(wanted)) / k for row, found, wanted in lists)


def synthetic(texts: int, workers: int) -> None:
    dice, size, per_subject = np.random.default_rng(0), 200, 20
    keys = sorted(hashlib.sha256(str(i).encode()).digest() for i in range(texts))
    topics = max(texts // size, 1)
    topic = dice.permutation(np.arange(texts) % topics)
    subject = topic // per_subject
    by_topic, by_subject = np.argsort(topic, kind="stable"), np.argsort(subject, kind="stable")

    def others_of(order: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
        low = np.searchsorted(group[order], group)
        high = np.searchsorted(group[order], group, side="right")
        return order[low[:, None] + (dice.random((texts, count)) * (high - low)[:, None]).astype(np.int64)]

    neighbors = np.hstack(
        [others_of(by_topic, topic, K // 2), others_of(by_subject, subject, K // 4), dice.integers(0, texts, (texts, K // 4))]
    ).astype(np.int32)
    itself = neighbors == np.arange(texts)[:, None]
    neighbors[itself] = (neighbors[itself] + 1) % texts
    cosines = np.sort(np.linspace(0.9, 0.4, K)[None] + 0.02 * dice.random((texts, K), np.float32), axis=1)[:, ::-1].astype(
        np.float32
    )
    directions = dice.standard_normal((topics, 32), np.float32)
    vectors = directions[topic] + 0.5 * dice.standard_normal((texts, 32), np.float32)
    faiss.normalize_L2(vectors)

    def words() -> Iterator[str]:
        for number in range(texts):
            own = [f"word{topic[number]}x{i}" for i in dice.integers(0, 20, 8)]
            yield " ".join([*own, *(f"subject{subject[number]}x{i}" for i in dice.integers(0, 50, 4))])

    with tempfile.TemporaryDirectory() as folder:
        write_stage_inputs(Path(folder), keys, words(), vectors, (neighbors, cosines))
        del neighbors, cosines, vectors, keys
        print(f"synthetic: {texts} texts in {topics} topics, {workers} workers\n{HEAD}", flush=True)
        report("topics stage", [alone("stage", Path(folder), workers)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("quality", "terms", "tried"):
        command = commands.add_parser(name)
        command.add_argument("--data", type=Path, required=True)
        command.add_argument("--sets", nargs="+", default=["search_snippets", "agnews"])
        command.add_argument("--seeds", type=int, default=5)
        command.add_argument("--only", nargs="+", default=[], help="methods that begin so; quality only")
    command = commands.add_parser("speed")
    command.add_argument("--data", type=Path, required=True)
    command.add_argument("--set", default="debian_packages")
    command.add_argument("--rounds", type=int, default=1)
    command.add_argument("--workers", type=int, default=2)
    command = commands.add_parser("map")
    command.add_argument("--data", type=Path, required=True)
    command.add_argument("--set", default="agnews")
    command.add_argument("--texts", type=int, default=4000)
    command.add_argument("--nights", type=int, default=15)
    command = commands.add_parser("synthetic")
    command.add_argument("--texts", type=int, default=1_000_000)
    command.add_argument("--workers", type=int, default=2)
    command = commands.add_parser("child")
    command.add_argument("--what", choices=["stage", "peer"], required=True)
    command.add_argument("--folder", type=Path, required=True)
    command.add_argument("--workers", type=int, required=True)
    arguments = parser.parse_args()
    if arguments.command == "quality":
        quality(arguments.data, arguments.sets, arguments.seeds, arguments.only)
    elif arguments.command == "terms":
        compare_terms(arguments.data, arguments.sets, arguments.seeds)
    elif arguments.command == "tried":
        tried(arguments.data, arguments.sets, arguments.seeds)
    elif arguments.command == "speed":
        speed(arguments.data, arguments.set, arguments.workers, arguments.rounds)
    elif arguments.command == "map":
        map_nights(arguments.data, arguments.set, arguments.texts, arguments.nights)
    elif arguments.command == "synthetic":
        synthetic(arguments.texts, arguments.workers)
    else:
        found = peer(arguments.folder) if arguments.what == "peer" else whole_stage(arguments.folder, arguments.workers)
        print(json.dumps(found))


if __name__ == "__main__":
    main()
