"""The undisturbed runs that all others are compared with."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.embedding.tiny import build_model
from tests.faults.commands import reindex_arguments, run_here
from tests.faults.corpora import FIRST, SECOND, write_corpus
from tests.faults.readers import read_whole, results


@dataclass(frozen=True)
class Night:
    """One run of a corpus: what the root is before (None: nothing), what is published before and must be after it."""

    before: Path | None
    old: dict[str, str] | None
    new: dict[str, str]
    corpus: Path
    model: str
    results: dict[str, Any]

    def root(self, folder: Path) -> Path:
        """A root of its own in the state before the run."""
        if self.before is not None:
            shutil.copytree(self.before, folder / "root")
        return folder / "root"

    def arguments(self, root: Path | str, *settings: str) -> list[str]:
        return reindex_arguments(root, self.corpus, self.model, *settings)


@pytest.fixture(scope="session")
def nights(tmp_path_factory) -> dict[str, Night]:
    """A first publication ("first") and the night after it ("update"), as they are when nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")
    model = build_model(folder)
    found = {}
    before, old = None, None
    for name, documents in (("first", FIRST), ("update", SECOND)):
        corpus = write_corpus(folder / f"{name}.jsonl", documents)
        root = folder / name
        if before is not None:
            shutil.copytree(before, root)
        ran = run_here(reindex_arguments(root, corpus, model))
        assert (ran.code, ran.json["published"]) == (0, True), ran.err
        generation = read_whole(root, documents)
        for count in ("pairs", "groups", "topics", "quarantined"):
            assert generation.manifest.counts[count] > 0, f"the corpus is too simple: no {count}"
        found[name] = Night(before, old, documents, corpus, model, results(generation))
        before, old = root, documents
    return found


@pytest.fixture(params=[pytest.param("first", marks=pytest.mark.long), "update"])
def night(request, nights) -> Night:
    """Each of the two."""
    return nights[request.param]
