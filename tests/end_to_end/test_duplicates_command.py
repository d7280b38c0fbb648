"""`corpusbeam duplicates` with a small model, against brute force and against runs of their own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score

from pipelines.cli import main
from tests.embedding.tiny import build_model
from tests.neighbors.helpers import integer_cosines
from transforms.corpus import content_key, ids_of
from transforms.files import sha256_of
from transforms.generations import Manifest, open_generation, write_manifest

THRESHOLD = 0.9
_LETTERS = list("abcdefghijklmnopqrstuvwxyz")


def _texts() -> list[str]:
    generator = np.random.default_rng(7)
    words = ["".join(generator.choice(_LETTERS, generator.integers(1, 5))) for _ in range(30)]
    return sorted({" ".join(generator.choice(words, generator.integers(1, 6))) for _ in range(110)})


TEXTS = _texts()
# B: the first 70, some twice. A: from 60 on, so that ten texts are in both, one of them three times in A; and ids of B again.
B = {f"b{i:02d}": text for i, text in enumerate(TEXTS[:70])} | {f"copy{i}": TEXTS[i] for i in range(5)}
A = {f"a{i:02d}": text for i, text in enumerate(TEXTS[60:])} | {"again1": TEXTS[61], "again2": TEXTS[61], "b00": TEXTS[90]}


def write(path: Path, documents: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps({"id": doc_id, "text": text}) + "\n" for doc_id, text in documents.items()))
    return path


def settings(model: str, *more: str) -> list[str]:
    chosen = (
        f"embedding.model={model}",
        "embedding.device=cpu",
        "embedding.precision=fp32",
        "corpus.rows_per_part=16",
        "neighbors.rows_per_tile=20",
        f"duplicates.threshold={THRESHOLD}",
        *more,
    )
    return [part for setting in chosen for part in ("--set", setting)]


QUICK = ("neighbors.k=12", "topics.n_neighbors=10", "topics.n_epochs=20")


def reindex(root: Path, documents: dict[str, str], model: str, *more: str) -> Path:
    path = write(root.parent / f"{root.name}.jsonl", documents)
    options = settings(model, *QUICK, *more)
    assert main(["reindex", "--root", str(root), "--input", str(path), *options, "--format", "json"]) == 0
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def root(tmp_path_factory, model) -> Path:
    return reindex(tmp_path_factory.mktemp("b") / "root", B, model)


@pytest.fixture(scope="module")
def joint(tmp_path_factory, model) -> Path:
    """A corpus of both sets, with ids that say which one they are of."""
    both = {f"A/{name}": text for name, text in A.items()} | {f"B/{name}": text for name, text in B.items()}
    return reindex(tmp_path_factory.mktemp("joint") / "root", both, model)


@pytest.fixture(scope="module")
def cosine_of(joint) -> dict[tuple[str, str], float]:
    """Cosines of all pairs of texts, from the stored vectors of both sets in whole numbers; 1 of a text with itself."""
    shards = pa.concat_tables(pq.read_table(path) for path in sorted(joint.glob("vectors/*/*.parquet")))
    text_of = {content_key(text): text for text in TEXTS}
    texts = [text_of[key] for key in shards["content_key"].to_pylist()]
    cosines = integer_cosines(np.array(shards["vector"].to_pylist(), np.float32))
    np.fill_diagonal(cosines, 1)
    return {(a, b): float(cosines[i, j]) for i, a in enumerate(texts) for j, b in enumerate(texts)}


@pytest.fixture
def tickets(tmp_path) -> Path:
    return write(tmp_path / "tickets.jsonl", A)


def files_below(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(path: Path, name: str) -> list[dict]:
    return pq.read_table(path / f"{name}.parquet").to_pylist()


def text_id(text: str) -> int:
    return int(ids_of(pa.array([content_key(text)], pa.binary(32)))[0])


def neighborhood(text: str, side: dict[str, str], cosine_of: dict[tuple[str, str], float], threshold: float) -> float:
    """Mean cosine of the 12 nearest other texts of a side, without those that are a pair with it."""
    nearest = sorted((cosine_of[text, other] for other in set(side.values()) - {text}), reverse=True)[:12]
    below = [cosine for cosine in nearest if cosine < threshold]
    return float(np.mean(below)) if below else threshold


@pytest.mark.parametrize("threshold", [None, *(pytest.param(value, marks=pytest.mark.long) for value in (0.75, 0.97))])
def test_pairs_are_those_of_brute_force(corpusbeam, root, tickets, tmp_path, cosine_of, threshold):
    before = files_below(root)
    chosen = [] if threshold is None else ["--threshold", threshold]
    ran = corpusbeam(
        "duplicates", "--root", root, "--against", tickets, "--output", tmp_path / "out", *chosen, "--format", "json"
    )
    assert ran.code == 0, ran.err
    assert files_below(root) == before
    least = threshold or THRESHOLD
    first_b = {text: min(name for name, other in B.items() if other == text) for text in B.values()}
    expected = {
        (name, first_b[b]): cosine_of[a, b] for name, a in A.items() for b in set(B.values()) if cosine_of[a, b] >= least
    }
    found = rows(tmp_path / "out", "pairs")
    assert {(row["doc_id_a"], row["doc_id_b"]): row["cosine"] for row in found} == expected
    assert len(found) == len(expected) == ran.json["pairs"]
    assert found == sorted(found, key=lambda row: (-row["cosine"], row["doc_id_a"], row["doc_id_b"]))
    for row in found:
        a, b = A[row["doc_id_a"]], B[row["doc_id_b"]]
        assert (row["relation"] == "exact") == (a == b)
        assert row["documents_b"] == list(B.values()).count(b)
        assert (row["id_a"], row["id_b"]) == (text_id(a), text_id(b))
        around = [neighborhood(text, side, cosine_of, least) for text, side in ((a, B), (b, A))]
        assert row["margin"] == pytest.approx(row["cosine"] / np.mean(around), rel=1e-6)

    matches = {row["doc_id"]: row for row in rows(tmp_path / "out", "matches")}
    assert list(matches) == sorted(A)
    for name, row in matches.items():
        assert row["pairs"] == sum(a == name for a, _ in expected)
        assert row["best_cosine"] == max(cosine_of[A[name], b] for b in B.values())
        assert cosine_of[A[name], B[row["best_doc_id"]]] == row["best_cosine"]
    without = sum(not row["pairs"] for row in matches.values())
    assert (ran.json["documents_without_match"], ran.json["documents_with_match"]) == (without, len(A) - without)
    assert ran.json["complete"] is True
    # Ten texts are in both sets: only the others of A had to be embedded.
    assert ran.json["a"]["texts_reused"] == 10
    assert ran.json["a"]["texts_embedded"] == len(set(A.values())) - 10


def test_pairs_are_those_of_a_corpus_of_both_sets(corpusbeam, root, joint, tickets, tmp_path):
    assert corpusbeam("duplicates", "--root", root, "--against", tickets, "--output", tmp_path / "out").code == 0
    same = ("cosine", "relation", "jaccard", "differences")
    found = {frozenset((row["id_a"], row["id_b"])): [row[name] for name in same] for row in rows(tmp_path / "out", "pairs")}
    of_a, of_b = ({text_id(text) for text in side.values()} for side in (A, B))
    published = pq.read_table(open_generation(str(joint)).path("duplicates/pairs.parquet")).to_pylist()
    pairs = {frozenset((row["id_a"], row["id_b"])): [row[name] for name in same] for row in published}
    across = {pair: values for pair, values in pairs.items() if _crosses(sorted(pair), of_a, of_b)}
    assert found == across
    assert {"exact", "near", "paraphrase"} >= {values[1] for values in found.values()}


def _crosses(pair: list[int], of_a: set[int], of_b: set[int]) -> bool:
    return (pair[0] in of_a and pair[-1] in of_b) or (pair[-1] in of_a and pair[0] in of_b)


@pytest.mark.long
def test_passages_of_a_dot_product_model_are_compared_by_cosine(corpusbeam, tmp_path):
    """Long documents in passages, and vectors of any length: the pairs are still those of a corpus of both sets."""
    dot = build_model(tmp_path, similarity="dot", name="tiny-dot")
    parts = ("corpus.passage_tokens=16", "corpus.passage_overlap=4")
    a, b = (
        {name: ". ".join(TEXTS[i % 110] for i in range(n, n + 9)) for n, name in enumerate(documents)} for documents in (A, B)
    )
    root = reindex(tmp_path / "root", b, dot, *parts)
    joint = reindex(tmp_path / "joint", {f"A/{k}": v for k, v in a.items()} | {f"B/{k}": v for k, v in b.items()}, dot, *parts)
    corpusbeam()
    ran = corpusbeam("duplicates", "--root", root, "--against", write(tmp_path / "a.jsonl", a), "--output", tmp_path / "out")
    assert ran.code == 0, ran.err
    found = rows(tmp_path / "out", "pairs")
    assert max(row["passage_no_a"] for row in found) > 0 < max(row["passage_no_b"] for row in found)
    documents = [pq.read_table(path) for path in sorted(joint.glob("generations/*/documents/*.parquet"))]
    of = {side: set() for side in "AB"}
    for row in pa.concat_tables(documents).to_pylist():
        of[row["doc_id"][0]].add(text_id(row["text"]))
    pairs = pq.read_table(open_generation(str(joint)).path("duplicates/pairs.parquet")).to_pylist()
    assert {(frozenset((row["id_a"], row["id_b"])), row["cosine"]) for row in found} == {
        (frozenset((row["id_a"], row["id_b"])), row["cosine"])
        for row in pairs
        if _crosses([row["id_a"], row["id_b"]], of["A"], of["B"])
    }


def test_files_against_files_give_the_same_tables(corpusbeam, root, model, tickets, tmp_path):
    faq = write(tmp_path / "faq.jsonl", B)
    published = corpusbeam("duplicates", "--root", root, "--against", tickets, "--output", tmp_path / "one", "--format", "json")
    files = ("--input", faq, "--against", tickets, "--output", tmp_path / "two", "--format", "json")
    ran = corpusbeam("duplicates", *files, *settings(model, *QUICK))
    assert (published.code, ran.code) == (0, 0), ran.err
    for name in ("pairs", "matches"):
        assert (tmp_path / "one" / f"{name}.parquet").read_bytes() == (tmp_path / "two" / f"{name}.parquet").read_bytes()
    assert ran.json["b"]["documents"] == len(B)
    assert ran.json["generation"] is None


@pytest.mark.long
def test_neither_parts_nor_workers_nor_order_matter(corpusbeam, root, tickets, tmp_path):
    expected = corpusbeam("duplicates", "--root", root, "--against", tickets, "--output", tmp_path / "one")
    assert expected.code == 0
    turned = write(tmp_path / "turned.jsonl", dict(reversed(A.items())))
    other = ("--set", "corpus.rows_per_part=1000", "--set", "neighbors.rows_per_tile=7", "--set", "runner.workers=2")
    assert corpusbeam("duplicates", "--root", root, "--against", turned, "--output", tmp_path / "two", *other).code == 0
    for name in ("pairs", "matches"):
        assert (tmp_path / "one" / f"{name}.parquet").read_bytes() == (tmp_path / "two" / f"{name}.parquet").read_bytes()


def test_bad_rows_are_reported_and_kept(corpusbeam, root, tmp_path):
    path = tmp_path / "tickets.jsonl"
    path.write_text('{"id": "t1", "text": "abc de"}\n{"id": "t2", "text": " "}\nnot json\n{"id": "t1", "text": "twice"}\n')
    ran = corpusbeam("duplicates", "--root", root, "--against", path, "--output", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "1 documents" in ran.out
    assert "3 rows could not be used" in ran.out
    assert {row["reason"] for row in rows(tmp_path / "out", "quarantine")} == {"blank_text", "invalid_json", "duplicate_id"}


def test_what_is_left_out_is_said_with_counts(corpusbeam, root, tickets, tmp_path, cosine_of):
    """Once because an excerpt was asked for, once because of the cap."""
    command = ("duplicates", "--root", root, "--against", tickets, "--threshold", 0.5)
    per_text = {a: sum(cosine_of[a, b] >= 0.5 for b in set(B.values())) for a in A.values()}
    total = sum(per_text[a] for a in A.values())
    ran = corpusbeam(*command, "--max-pairs", 3, "--output", tmp_path / "three")
    assert f"{total:,} pairs" in ran.out
    assert "of which the best 3 " in ran.out
    assert "pairs.parquet has the best 3" in ran.out
    assert [row["cosine"] for row in rows(tmp_path / "three", "pairs")] == [1.0] * 3

    capped = corpusbeam(*command, "--set", "duplicates.max_pairs_per_text=2")
    over = [count - 2 for count in per_text.values() if count > 2]
    assert f"NOT COMPLETE: {len(over):,} texts of A have {sum(over):,} pairs more" in capped.out
    assert "of which the best 20:" in capped.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--against", "nowhere.jsonl"), "does not exist"),
        (("--against", "{tickets}", "--set", "corpus.text_column=body"), "has no key 'body'"),
        (("--against", "{blank}"), "A has no document that can be used (blank_text 1)"),
        (("--against", "{tickets}", "--set", "corpus.text_colum=body"), "unknown key"),
        (("--against", "{tickets}", "--input", "{tickets}"), "--root means nothing"),
        (("--against", "{tickets}", "--config", "some.yaml"), "--config means nothing"),
        (("--against", "{tickets}", "--precision", "0.9"), "--precision means nothing"),
        (("--against", "{tickets}", "--threshold", "85"), "not a cosine"),
    ],
)
def test_what_cannot_be_done_is_said(corpusbeam, root, tickets, arguments, said):
    blank = write(tickets.parent / "blank.jsonl", {"t": " "})
    chosen = [argument.format(tickets=tickets, blank=blank) for argument in arguments]
    ran = corpusbeam("duplicates", "--root", root, *chosen)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_another_model_is_refused(corpusbeam, root, tickets, tmp_path):
    other = build_model(tmp_path, seed=1)
    ran = corpusbeam("duplicates", "--root", root, "--against", tickets, "--model", other)
    assert (ran.code, ran.out) == (3, "")
    assert "fingerprint" in ran.err


def test_labelled_documents_are_compared_by_their_stored_vectors(corpusbeam, root, model, tmp_path, cosine_of):
    generator = np.random.default_rng(2)
    names = [[str(name) for name in generator.choice(list(B), 80)] for _ in "ab"]
    cosines = np.array([cosine_of[B[a], B[b]] for a, b in zip(*names, strict=True)])
    judged = cosines + generator.normal(scale=0.1, size=80) > np.median(cosines)
    named = pa.table({"doc_id_a": [*names[0], "gone"], "doc_id_b": [*names[1], "b00"], "label": [*judged, True]})
    pq.write_table(named, tmp_path / "named.parquet")
    texts = pa.table({"text1": [B[a] for a in names[0]], "text2": [B[b] for b in names[1]], "label": judged})
    pq.write_table(texts, tmp_path / "texts.parquet")
    before = files_below(root)
    options = ("--precision", 0.6, "--format", "json")
    ran = corpusbeam("duplicates", "--calibrate", tmp_path / "named.parquet", "--root", root, *options)
    assert ran.code == 0, ran.err
    assert ran.json["left_out"] == {"of documents that are not in the corpus": 1}
    assert ran.json["texts_embedded"] == 0
    assert ran.json["average_precision"] == pytest.approx(average_precision_score(judged, cosines))
    assert files_below(root) == before
    alone = corpusbeam("duplicates", "--calibrate", tmp_path / "texts.parquet", "--model", model, *options)
    same = ("average_precision", "best_f1", "promised", "thresholds", "base_rate")
    assert {name: ran.json[name] for name in same} == {name: alone.json[name] for name in same}


def published(root: Path, name: str) -> bytes:
    return Path(open_generation(str(root)).path(f"duplicates/{name}.parquet")).read_bytes()


@pytest.mark.parametrize("threshold", [None, 0.95, pytest.param(1.0, marks=pytest.mark.long)])
def test_a_raised_threshold_gives_the_files_of_a_run_with_it(corpusbeam, joint, model, tmp_path, threshold):
    """Not a row and not a byte differs from what a reindex with that threshold publishes."""
    other = joint
    if threshold is not None:
        other = Path(shutil.copytree(joint, tmp_path / "root"))
        shutil.copy(joint.parent / f"{joint.name}.jsonl", tmp_path / "root.jsonl")
        options = settings(model, *QUICK, f"duplicates.threshold={threshold}")
        assert corpusbeam("reindex", "--root", other, "--input", tmp_path / "root.jsonl", *options).code == 0
        assert published(other, "pairs") != published(joint, "pairs")
    before = files_below(joint)
    chosen = [] if threshold is None else ["--threshold", threshold]
    ran = corpusbeam("duplicates", "--root", joint, *chosen, "--output", tmp_path / "out", "--format", "json")
    assert ran.code == 0, ran.err
    assert files_below(joint) == before
    for name in ("pairs", "groups"):
        assert (tmp_path / "out" / f"{name}.parquet").read_bytes() == published(other, name)
    counts = open_generation(str(other)).manifest.counts
    assert {name: ran.json[name] for name in ("pairs", "groups", "duplicate_documents")} == {
        name: counts[name] for name in ("pairs", "groups", "duplicate_documents")
    }
    assert ran.json["complete"] is True


def test_a_list_for_a_person(corpusbeam, joint, tmp_path):
    ran = corpusbeam("duplicates", "--root", joint, "--max-pairs", 4, "--output", tmp_path / "out")
    assert ran.code == 0, ran.err
    pairs = pq.read_table(open_generation(str(joint)).path("duplicates/pairs.parquet")).to_pylist()
    assert f"{len(pairs):,} pairs" in ran.out
    assert "of which the best 4 " in ran.out
    assert rows(tmp_path / "out", "pairs") == pairs[:4]
    first = pairs[0]
    for side in "ab":
        name = first[f"doc_id_{side}"]
        assert f"{name}: {(A if name.startswith('A') else B)[name[2:]]}" in ran.out
    found = corpusbeam("duplicates", "--root", joint, "--format", "json").json
    assert found["pairs"] == len(pairs)
    assert [pair["cosine"] for pair in found["shown"]] == [pair["cosine"] for pair in pairs[:20]]
    sizes = [group["size"] for group in found["groups_shown"]]
    assert sizes == sorted(sizes, reverse=True)
    for group in found["groups_shown"]:
        assert len(group["others"]) == min(group["size"] - 1, 5)
        assert all(one["cosine_to_kept"] >= THRESHOLD for one in group["others"])
    groups = rows(tmp_path / "out", "groups")
    assert found["groups"] == len({row["group_id"] for row in groups})


@pytest.mark.parametrize("more", [("--max-pairs", 2), ("--against", "{tickets}"), ("--calibrate", "{tickets}")])
def test_nothing_is_written_inside_the_root(corpusbeam, root, tickets, more):
    before = files_below(root)
    folder = open_generation(str(root)).folder
    chosen = [str(argument).format(tickets=tickets) for argument in more]
    ran = corpusbeam("duplicates", "--root", root, *chosen, "--output", f"{folder}/duplicates")
    assert (ran.code, ran.out) == (2, "")
    assert "is inside the root" in ran.err
    assert files_below(root) == before


def test_tables_of_an_earlier_use_do_not_stay(corpusbeam, root, tickets, tmp_path):
    """A folder has the tables of one use, and other people's files."""
    out = tmp_path / "out"

    def written(*arguments: object) -> set[str]:
        assert corpusbeam("duplicates", "--root", root, "--output", out, *arguments).code == 0
        return {path.name for path in out.iterdir()}

    out.mkdir()
    (out / "mine.txt").write_text("mine")
    bad = write(tmp_path / "bad.jsonl", {"t1": "abc de", "t2": " "})
    assert written("--against", bad) == {"pairs.parquet", "matches.parquet", "quarantine.parquet", "mine.txt"}
    assert written("--against", tickets) == {"pairs.parquet", "matches.parquet", "mine.txt"}
    assert written() == {"pairs.parquet", "groups.parquet", "mine.txt"}


def test_a_lower_threshold_is_refused_with_what_to_do(corpusbeam, root):
    ran = corpusbeam("duplicates", "--root", root, "--threshold", 0.8)
    assert (ran.code, ran.out) == (2, "")
    assert "below 0.9" in ran.err
    assert "corpusbeam reindex --set duplicates.threshold=0.8" in ran.err
    near = corpusbeam("duplicates", "--root", root, "--threshold", 0.8999999)
    assert "--threshold 0.8999999 is below 0.9," in near.err


def test_thresholds_are_said_with_all_their_digits(corpusbeam, root, tickets):
    for more in ((), ("--against", tickets)):
        assert "threshold 0.9000001" in corpusbeam("duplicates", "--root", root, "--threshold", 0.9000001, *more).out


@pytest.fixture(scope="module")
def poor(tmp_path_factory, model) -> Path:
    """A root that keeps no text, with fewer pairs than there are."""
    options = ("duplicates.max_pairs_per_text=3", "duplicates.threshold=0.6", "corpus.keep_text=false")
    return reindex(tmp_path_factory.mktemp("poor") / "root", B, model, *options)


def test_what_a_cap_left_out_is_said_until_the_threshold_is_above_it(corpusbeam, poor):
    texts = pq.read_table(open_generation(str(poor)).path("duplicates/texts.parquet")).to_pylist()
    dropped = [row["best_dropped"] for row in texts if row["best_dropped"] is not None]
    assert dropped
    for threshold in (0.6, float(np.median(dropped)), max(dropped) + 1e-6):
        ran = corpusbeam("duplicates", "--root", poor, "--threshold", threshold, "--format", "json")
        assert ran.json["texts_capped"] == sum(best >= threshold for best in dropped)
        assert ran.json["complete"] is (threshold > max(dropped))
        assert ran.json["incomplete_because"] == ([] if ran.json["complete"] else ["max_pairs_per_text"])
    assert "NOT COMPLETE (max_pairs_per_text)" in corpusbeam("duplicates", "--root", poor).out


def test_an_approximate_graph_stays_one(corpusbeam, poor, tmp_path):
    """Its lists are not certain, whatever the threshold."""
    root = Path(shutil.copytree(poor, tmp_path / "root"))
    folder = Path(open_generation(str(root)).folder)
    manifest, metrics = (json.loads((folder / f"{name}.json").read_text()) for name in ("manifest", "metrics"))
    metrics["stages"]["duplicates"]["incomplete_because"] = ["approximate graph", "max_pairs_per_text"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (entry,) = [file for file in manifest["files"] if file["path"].endswith("metrics.json")]
    entry["sha256"], entry["size"] = sha256_of(str(folder / "metrics.json"))
    write_manifest(str(root), Manifest.model_validate(manifest).with_digest())
    ran = corpusbeam("duplicates", "--root", root, "--threshold", 1.0, "--format", "json")
    assert ran.code == 0, ran.err
    assert (ran.json["complete"], ran.json["incomplete_because"]) == (False, ["approximate graph"])


def test_a_corpus_that_keeps_no_text(corpusbeam, poor, tickets, tmp_path):
    ran = corpusbeam("duplicates", "--root", poor, "--output", tmp_path / "out", "--format", "json")
    assert ran.code == 0, ran.err
    assert (tmp_path / "out" / "groups.parquet").read_bytes() == published(poor, "groups")
    assert all(pair["text_a"] is None for pair in ran.json["shown"])
    ran = corpusbeam("duplicates", "--root", poor, "--against", tickets, "--output", tmp_path / "new")
    assert ran.code == 0, ran.err
    found = rows(tmp_path / "new", "pairs")
    assert {row["relation"] for row in found} == {"exact", None}
    assert all((row["jaccard"] is None) == (row["relation"] is None) for row in found)
    assert "of unknown relation" in ran.out
