"""Night after night against once from nothing: whatever was edited in between, both publish the same.

But for what topics carry on from one night to the next: uids, titles, since when they are known, places on the map.

CORPUSBEAM_EXAMPLES=50 runs so many random histories instead of the few that every test run repeats.
"""

import importlib.util
import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.config import Config, load_config
from pipelines.reindex import Outcome, reindex
from tests.embedding.tiny import build_model
from tests.end_to_end.past import without_past
from transforms.embedding import Encoder
from transforms.generations import Generation, open_generation

EXAMPLES = os.environ.get("CORPUSBEAM_EXAMPLES")

FIXED = (
    "embedding.precision=fp32",
    "embedding.threads=1",
    "embedding.device=cpu",
    # Several batches in every part.
    "embedding.characters_per_batch=300",
    "corpus.metadata_columns=[mark]",
    "duplicates.threshold=0.9",
    # Texts of random letters and a model without meaning.
    "index.recall_gate=0",
    "neighbors.k=6",
    "topics.n_neighbors=7",
    "topics.n_epochs=11",
    "topics.min_cluster_size=4",
    "topics.recluster=always",
)
FOLDERS = ("documents", "index", "neighbors", "duplicates", "topics")


@dataclass
class History:
    """A corpus that is edited: documents by id, those that were deleted, and how they lie in files."""

    documents: dict[str, tuple[str, int]] = field(default_factory=dict)
    deleted: dict[str, tuple[str, int]] = field(default_factory=dict)
    files: int = 1
    order: int = 0
    layout: tuple[int, int, int] = (64, 64, 64)
    made: int = 0

    def new_text(self, dice: random.Random) -> str:
        self.made += 1
        words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(1, 7))) for _ in range(dice.randint(1, 6))]
        # Some of them nearly the same, some longer than the model reads.
        return " ".join([*words, f"{'abcdefghij'[self.made % 10]}{'klmnopqrst'[self.made // 10 % 10]}{self.made // 100 * 'z'}"])

    def some(self, dice: random.Random, count: int) -> list[str]:
        return dice.sample(sorted(self.documents), min(count, len(self.documents)))

    def apply(self, edit: str, count: int, dice: random.Random) -> None:
        if edit == "add":
            for _ in range(count):
                text = self.new_text(dice)
                self.documents[f"d{self.made}"] = (text, 0)
        elif edit == "edit":
            for doc_id in self.some(dice, count):
                text, mark = self.documents[doc_id]
                self.documents[doc_id] = (dice.choice([f"{text} {dice.choice('xyz')}", self.new_text(dice)]), mark)
        elif edit == "delete":
            for doc_id in self.some(dice, min(count, len(self.documents) - 12)) if len(self.documents) > 12 else []:
                self.deleted[doc_id] = self.documents.pop(doc_id)
        elif edit == "restore":
            for doc_id in sorted(self.deleted)[:count]:
                self.documents.setdefault(doc_id, self.deleted.pop(doc_id))
        elif edit == "duplicate":
            for doc_id in self.some(dice, count):
                self.made += 1
                self.documents[f"copy{self.made}"] = self.documents[doc_id]
        elif edit == "swap":
            # Two documents change texts: nothing is new, and still both have changed.
            for one, other in zip(*[iter(self.some(dice, 2 * count))] * 2, strict=False):
                a, b = self.documents[one], self.documents[other]
                self.documents[one], self.documents[other] = (b[0], a[1]), (a[0], b[1])
        elif edit == "metadata":
            for doc_id in self.some(dice, count):
                text, mark = self.documents[doc_id]
                self.documents[doc_id] = (text, mark + 1)
        elif edit == "files":
            self.files = 1 + count % 4
        elif edit == "order":
            self.order += count
        else:
            assert edit == "layout"
            self.layout = tuple(dice.choice([8, 20, 64]) for _ in range(3))

    @property
    def texts(self) -> set[str]:
        return {text for text, _ in self.documents.values()}

    def config(self, root: Path, model: str, layout: tuple[int, int, int] | None = None) -> Config:
        """Write the corpus beside `root` and return the settings of a run."""
        source = root.parent / f"{root.name}-corpus"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        rows = sorted(self.documents.items())
        random.Random(self.order).shuffle(rows)
        for number in range(self.files):
            lines = [json.dumps({"id": i, "text": text, "mark": mark}) for i, (text, mark) in rows[number :: self.files]]
            (source / f"{number}.jsonl").write_text("".join(line + "\n" for line in lines))
        rows_per_part, rows_per_shard, rows_per_tile = layout or self.layout
        overrides = {
            "root": str(root),
            "corpus.input": [str(source)],
            "embedding.model": model,
            "corpus.rows_per_part": rows_per_part,
            "index.rows_per_shard": rows_per_shard,
            "neighbors.rows_per_tile": rows_per_tile,
        }
        return load_config(None, FIXED, overrides)


def run(config: Config) -> Outcome:
    """A run that may delete any number of documents."""
    if importlib.util.find_spec("pipelines.gates") is None:
        return reindex(config)
    from pipelines.gates import Allowed

    return reindex(config, Allowed(deletes=True))


@contextmanager
def embedded() -> Iterator[list[str]]:
    """The texts that the model is given."""
    real, texts = Encoder.encode_documents, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "encode_documents", lambda self, some, *rest: texts.extend(some) or real(self, some, *rest))
        yield texts


def table(generation: Generation, folder: str) -> pa.Table:
    """All rows of a folder's tables of one schema."""
    return pa.concat_tables([pq.read_table(generation.checked(file)) for file in generation.manifest.under(folder)])


def results(generation: Generation) -> dict[str, str]:
    """sha256 of every file that holds results."""
    prefix = f"generations/{generation.id}/"
    files = {file.path.removeprefix(prefix): file.sha256 for file in generation.manifest.files if file.path.startswith(prefix)}
    return {path: sha256 for path, sha256 in files.items() if path.split("/")[0] in FOLDERS}


def vectors(generation: Generation, keys: set[bytes]) -> dict[bytes, tuple[bytes, bool]]:
    """Bits of the published vector and flag of each of the keys, however many shards have it."""
    found: dict[bytes, tuple[bytes, bool]] = {}
    for file in generation.manifest.files:
        if file.path.startswith("vectors/"):
            rows = pq.read_table(Path(generation.root, file.path))
            dim = rows["vector"].type.list_size
            bits = rows["vector"].combine_chunks().flatten().to_numpy().reshape(-1, dim)
            for key, vector, truncated in zip(
                rows["content_key"].to_pylist(), bits, rows["truncated"].to_pylist(), strict=True
            ):
                if key in keys:
                    assert found.setdefault(key, (vector.tobytes(), truncated)) == (vector.tobytes(), truncated)
    assert set(found) == keys
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("model"))


EDITS = st.sampled_from(["add", "edit", "delete", "restore", "duplicate", "swap", "metadata", "files", "order", "layout"])
NIGHT = st.lists(st.tuples(EDITS, st.integers(1, 6)), max_size=4)
ONE_OF_EACH = [
    [("add", 3), ("edit", 2), ("metadata", 1)],
    [("delete", 5), ("duplicate", 2), ("order", 1), ("files", 2)],
    [("restore", 3), ("swap", 1)],
    [("order", 1), ("files", 3)],
    [("layout", 1), ("edit", 1)],
]


@pytest.mark.slow
@given(
    nights=st.lists(NIGHT, min_size=1, max_size=3),
    documents=st.integers(20, 60),
    seed=st.integers(0, 2**16),
    other_layout=st.booleans(),
)
@example(nights=ONE_OF_EACH, documents=40, seed=1, other_layout=False)
@settings(
    max_examples=int(EXAMPLES or 1),
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_increments_publish_what_a_run_from_nothing_does(model, nights, documents, seed, other_layout):
    dice = random.Random(seed)
    history = History()
    history.apply("add", documents, dice)
    ever: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "nightly")
        before = None
        for night in [[], *nights]:
            for edit, count in night:
                history.apply(edit, count, dice)
            with embedded() as texts:
                outcome = run(history.config(root, model))
            assert sorted(texts) == sorted(history.texts - ever), "exactly the texts that never had a vector are embedded"
            ever |= history.texts
            # Neither the files nor the index's shards decide what is published.
            now = (dict(history.documents), history.layout[0], history.layout[2])
            assert outcome.published == (now != before)
            before = now
        nightly = open_generation(str(root))

        layout = (16, 16, 16) if other_layout else history.layout
        assert run(history.config(Path(folder, "nothing"), model, layout)).published
        nothing = open_generation(f"{folder}/nothing")

        if layout == history.layout:
            one, other = (without_past(generation, results(generation)) for generation in (nightly, nothing))
            assert one == other
        for name in ("documents", "neighbors"):
            assert table(nightly, name).equals(table(nothing, name))
        for name in ("index/index.faiss", "index/ids.parquet", "duplicates/pairs.parquet", "duplicates/groups.parquet"):
            assert results(nightly)[name] == results(nothing)[name]
        keys = set(table(nothing, "documents")["content_key"].to_pylist())
        assert vectors(nightly, keys) == vectors(nothing, keys)
        assert nightly.manifest.counts == nothing.manifest.counts


def test_the_histories_reach_every_edit():
    """The edits do what their names say, or the test above would compare a corpus with itself."""
    history, dice = History(), random.Random(0)
    history.apply("add", 30, dice)
    assert len(history.texts) == 30
    history.apply("delete", 6, dice)
    assert (len(history.documents), len(history.deleted)) == (24, 6)
    history.apply("delete", 30, dice)
    assert len(history.documents) == 12
    history.apply("restore", 4, dice)
    assert len(history.documents) == 16
    history.apply("duplicate", 3, dice)
    assert (len(history.documents), len(history.texts)) == (19, 16)
    texts = history.texts
    before = dict(history.documents)
    history.apply("swap", 2, dice)
    assert history.texts == texts
    assert 0 < sum(before[doc_id] != value for doc_id, value in history.documents.items()) <= 4
    history.apply("metadata", 3, dice)
    assert history.texts == texts
    history.apply("edit", 2, dice)
    assert len(history.texts - texts) == 2
