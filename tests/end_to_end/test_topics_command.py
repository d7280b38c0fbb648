"""`corpusbeam topics --assign` with a small model, against brute force over the stored vectors."""

import contextlib
import io
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.cli import main
from tests.embedding.tiny import build_model
from tests.neighbors.helpers import integer_cosines
from transforms.corpus import content_key, ids_of
from transforms.embedding import EmbeddingOptions, encoder_spec, load_encoder
from transforms.generations import open_generation

_LETTERS = list("abcdefghijklmnopqrstuvwxyz")
K = 12


def _texts() -> list[str]:
    generator = np.random.default_rng(3)
    words = ["".join(generator.choice(_LETTERS, generator.integers(1, 5))) for _ in range(30)]
    return sorted({" ".join(generator.choice(words, generator.integers(1, 6))) for _ in range(170)})


TEXTS = _texts()
# Published: the first 120, some twice. New: all of these again, and the others, under new ids and a published one.
OLD = {f"b{i:03d}": text for i, text in enumerate(TEXTS[:120])} | {f"copy{i}": TEXTS[i] for i in range(5)}
NEW = OLD | {f"a{i:03d}": text for i, text in enumerate(TEXTS[120:])} | {"twin": TEXTS[130], "b000": TEXTS[140]}


def write(path: Path, documents: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps({"id": doc_id, "text": text}) + "\n" for doc_id, text in documents.items()))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def root(tmp_path_factory, model) -> Path:
    folder = tmp_path_factory.mktemp("published")
    settings = (
        f"embedding.model={model}", "embedding.device=cpu", "embedding.precision=fp32", "corpus.rows_per_part=16",
        "neighbors.rows_per_tile=20", f"neighbors.k={K}", "topics.n_neighbors=10", "topics.n_epochs=20",
        "topics.min_cluster_size=4",
    )  # fmt: skip
    options = [part for setting in settings for part in ("--set", setting)]
    path = write(folder / "corpus.jsonl", OLD)
    assert main(["reindex", "--root", str(folder / "root"), "--input", str(path), *options, "--format", "json"]) == 0
    return folder / "root"


@pytest.fixture(scope="module")
def published(root) -> dict[str, dict]:
    """What is published of every text, by the text."""
    generation = open_generation(str(root))
    rows = pq.read_table(generation.path("topics/assignments.parquet")).to_pylist()
    return {OLD[row["doc_id"]]: row for row in rows}


@pytest.fixture(scope="module")
def new(tmp_path_factory) -> Path:
    """The new documents, and two rows that cannot be used."""
    folder = tmp_path_factory.mktemp("new")
    (folder / "bad.jsonl").write_text('{"id": "t1", "text": " "}\nnot json\n')
    write(folder / "new.jsonl", NEW)
    return folder / "*.jsonl"


def assigned(root, files, output, *more) -> tuple[dict[str, dict], dict]:
    """The written rows by document, and what is printed."""
    command = ["topics", "--root", root, "--assign", files, "--output", output, "--format", "json", *more]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main([str(part) for part in command]) == 0
    rows = pq.read_table(output / "assignments.parquet").to_pylist()
    return {row["doc_id"]: row for row in rows}, json.loads(printed.getvalue())


@pytest.fixture(scope="module")
def ran(root, new, tmp_path_factory):
    """What is assigned with the default floor, and with one that half of the texts do not reach; files of the former."""
    output = tmp_path_factory.mktemp("out")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    found = {None: assigned(root, new, output / "default"), 0.97: assigned(root, new, output / "high", "--floor", 0.97)}
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    return found, output / "default"


def winner(votes: list[tuple[int, float]]) -> tuple[int, float]:
    weights = defaultdict(float)
    for vote, weight in votes:
        weights[vote] += max(weight, 0)
    return min(((-weight, vote) for vote, weight in weights.items() if weight > 0), default=(0, -1))[::-1]


def by_hand(text: str, published: dict[str, dict], cosine_of, floor: float) -> tuple:
    """Themes, topics and score by the definition, from all cosines."""
    near = sorted(published, key=lambda other: (-cosine_of[text, other], content_key(other)))[:K]
    rows = [(published[other], cosine_of[text, other]) for other in near]
    if rows[0][1] < floor:
        return [None] * 3, -1, -1, 0
    themes = [winner([(row["layer_theme_ids"][layer], weight) for row, weight in rows])[0] for layer in range(3)]
    inside = [(row, weight) for row, weight in rows if row["theme_id"] == themes[1]]
    topic = winner([(row["topic_id"], weight) for row, weight in inside])[0]
    nearest = [(row["topic_id"], weight) for row, weight in inside if row["topic_id"] >= 0]
    nearest = nearest or [(row["assigned_topic_id"], weight) for row, weight in inside if row["assigned_topic_id"] >= 0]
    assigned, weight = winner(nearest)
    return themes, topic, assigned, -weight / sum(max(weight, 0) for _, weight in rows)


@pytest.fixture(scope="module")
def cosine_of(model) -> dict[tuple[str, str], float]:
    """Cosines of all pairs of TEXTS in whole numbers."""
    options = EmbeddingOptions(model=model, device="cpu", precision="fp32")
    cosines = integer_cosines(load_encoder(encoder_spec(options), "cpu").encode_documents(TEXTS).vectors)
    return {(a, b): float(cosines[i, j]) for i, a in enumerate(TEXTS) for j, b in enumerate(TEXTS)}


@pytest.mark.parametrize("floor", [None, 0.97])
def test_new_documents_have_what_their_neighbours_vote_for(ran, root, published, cosine_of, floor):
    rows, _ = ran[0][floor]
    assert list(rows) == sorted(NEW)
    firsts = sorted(max(cosine_of[a, b] for b in published if b != a) for a in published)
    least = firsts[len(firsts) // 100] if floor is None else floor
    topics = pq.read_table(open_generation(str(root)).path("topics/topics.parquet")).to_pylist()
    seen = set()
    for doc_id, row in rows.items():
        text = NEW[doc_id]
        nearest = max(cosine_of[text, other] for other in published if other != text)
        assert row["nearest_cosine"] == (1 if text in published else np.float32(nearest))
        if text in published:
            continue
        assert cosine_of[text, OLD[row["nearest_doc_id"]]] == nearest
        themes, topic, near, score = by_hand(text, published, cosine_of, least)
        assert (row["layer_theme_ids"], row["topic_id"], row["assigned_topic_id"]) == (themes, topic, near)
        assert row["theme_id"] == themes[1]
        assert row["score"] == pytest.approx(score, rel=1e-6)
        assert not row["known"]
        expected = {topic["topic_id"]: (topic["topic_uid"], topic["title"]) for topic in topics}.get(near, (None, None))
        assert (row["topic_uid"], row["topic_title"]) == expected
        seen.add((topic < 0, near < 0))
    assert (False, False) in seen
    if floor is not None:
        assert (True, True) in seen


def test_published_texts_have_what_is_published(ran, root, published):
    """Also those that are noise, and whatever the floor."""
    themes = pq.read_table(open_generation(str(root)).path("topics/themes.parquet")).to_pylist()
    titles = {row["theme_id"]: (row["theme_uid"], row["title"]) for row in themes if row["layer"] == 1}
    for rows, _ in ran[0].values():
        known = {doc_id: row for doc_id, row in rows.items() if row["known"]}
        assert known.keys() == {doc_id for doc_id, text in NEW.items() if text in published}
        for doc_id, row in known.items():
            said = published[NEW[doc_id]]
            for name in ("theme_id", "layer_theme_ids", "topic_id", "assigned_topic_id", "topic_uid"):
                assert row[name] == said[name]
            assert row["score"] == said["assigned_score"]
            assert OLD[row["nearest_doc_id"]] == NEW[doc_id]
            assert (row["theme_uid"], row["theme_title"]) == titles[row["theme_id"]]
        assert -1 in {row["topic_id"] for row in known.values()}


def test_what_was_found_is_said(ran, corpusbeam, root, new):
    rows, found = ran[0][None]
    assert found["passages"] == len(rows) == len(NEW)
    assert found["in_topic"] == sum(row["topic_id"] >= 0 for row in rows.values())
    assert found["in_topic"] + found["noise"] + found["without_topic"] == len(rows)
    assert found["known"] == sum(text in OLD.values() for text in NEW.values())
    assert found["new"]["quarantine"] == {"blank_text": 1, "invalid_json": 1}
    assert sum(topic["passages"] for topic in found["topics"]) == sum(row["topic_uid"] is not None for row in rows.values())
    assert pq.read_table(ran[1] / "quarantine.parquet").num_rows == 2
    shown = corpusbeam("topics", "--root", root, "--assign", new)
    assert f"{found['in_topic']:,} in a topic" in shown.out
    assert "2 rows could not be used" in shown.out


@pytest.mark.long
def test_neither_parts_nor_order_nor_workers_matter(ran, root, tmp_path):
    turned = write(tmp_path / "turned.jsonl", dict(reversed(NEW.items())))
    settings = ("--set", "corpus.rows_per_part=1000", "--set", "neighbors.rows_per_tile=7", "--set", "runner.workers=2")
    assigned(root, turned, tmp_path / "two", *settings)
    assert (tmp_path / "two/assignments.parquet").read_bytes() == (ran[1] / "assignments.parquet").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--assign", "nowhere.jsonl"), 2, "does not exist"),
        (("--assign", "{new}", "--set", "corpus.text_column=body"), 2, "has no key 'body'"),
        (("--assign", "{blank}"), 2, "the input has no document that can be used (blank_text 1)"),
        (("--assign", "{new}", "--output", "{root}/out"), 2, "inside the root"),
        (("--assign", "{new}", "--floor", "85"), 2, "not a cosine"),
        (("--assign", "{new}", "--set", "topics.resolution=2.0"), 2, "the topics that are published"),
        ((), 2, "--assign"),
        (("--assign", "{new}", "--atlas", "map.parquet"), 2, "give one"),
        (("--atlas", "{root}/map.parquet"), 2, "inside the root"),
        (("--atlas", "map.csv"), 2, "ending, .parquet"),
        (("--atlas", "map.parquet", "--floor", "0.5"), 2, "--floor means nothing"),
    ],
)
def test_what_cannot_be_done_is_said(corpusbeam, root, new, tmp_path, arguments, code, said):
    blank = write(tmp_path / "blank.jsonl", {"t": " "})
    ran = corpusbeam("topics", "--root", root, *(part.format(new=new, blank=blank, root=root) for part in arguments))
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_another_model_and_a_root_without_a_generation_are_refused(corpusbeam, root, new, tmp_path):
    ran = corpusbeam("topics", "--root", root, "--assign", new, "--model", build_model(tmp_path, seed=1))
    assert (ran.code, ran.out) == (3, "")
    assert "fingerprint" in ran.err
    ran = corpusbeam("topics", "--root", tmp_path / "empty", "--assign", new)
    assert (ran.code, ran.out) == (1, "")
    assert "nothing is published" in ran.err


def test_the_map_as_a_table_for_embedding_atlas(corpusbeam, root, published, tmp_path):
    """Every passage with its place and names; neighbours are rows of the table, by the published graph."""
    path = tmp_path / "map.parquet"
    ran = corpusbeam("topics", "--root", root, "--atlas", path)
    assert ran.code == 0, ran.err
    assert f"embedding-atlas {path} --text text --x x --y y --neighbors neighbors" in ran.out
    table = pq.read_table(path)
    rows = table.to_pylist()
    assert {row["doc_id"]: row["text"] for row in rows} == OLD
    generation = open_generation(str(root))
    topics = {row["topic_id"]: row["title"] for row in pq.read_table(generation.path("topics/topics.parquet")).to_pylist()}
    themes = {
        row["theme_id"]: row["title"]
        for row in pq.read_table(generation.path("topics/themes.parquet")).to_pylist()
        if row["layer"] == 1
    }
    graph = {}
    for file in generation.manifest.under("neighbors"):
        for row in pq.read_table(generation.checked(file)).to_pylist():
            graph[row["id"]] = dict(zip(row["neighbor_ids"], row["cosines"], strict=True))
    first = {}
    for number, row in enumerate(rows):
        first.setdefault(row["text"], number)
    for row in rows:
        said = published[row["text"]]
        assert (row["x"], row["y"]) == (said["x"], said["y"])
        assert (row["topic"], row["nearest_topic"]) == (topics.get(said["topic_id"]), topics.get(said["assigned_topic_id"]))
        assert row["theme"] == themes[said["theme_id"]]
        near = graph[text_id(row["text"])]
        ids, distances = row["neighbors"]["ids"], row["neighbors"]["distances"]
        assert [first[rows[i]["text"]] for i in ids] == ids
        assert [text_id(rows[i]["text"]) for i in ids] == list(near)
        np.testing.assert_allclose(distances, 1 - np.array(list(near.values())), atol=1e-6)
    assert None in {row["topic"] for row in rows}


def text_id(text: str) -> int:
    return int(ids_of(pa.array([content_key(text)], pa.binary(32)))[0])
