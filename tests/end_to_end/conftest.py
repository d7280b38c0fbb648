"""The command line as tests use it: in this process, because the model and the libraries take seconds to load."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.cli import main


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def corpusbeam(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run `corpusbeam ARGUMENTS`."""

    def run(*arguments: object) -> Ran:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse leaves this way
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


SENTENCES = [
    "How do I reset my password?",
    "I forgot my password, how can I change it?",
    "The invoice for March is missing from my account.",
    "Where can I find the invoice of last month?",
    "The application crashes when I open the settings page.",
    "Opening the settings makes the program crash.",
    "Please add a dark mode to the web interface.",
    "My parcel has not arrived although it was sent two weeks ago.",
    "The delivery is late by two weeks, where is my package?",
    "Can I pay by bank transfer?",
    "Which payment methods do you accept?",
    "The weather in the mountains was lovely.",
]


@pytest.fixture
def sentences() -> list[str]:
    """Twelve short texts of a help desk, some of which say the same."""
    return list(SENTENCES)


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Write a JSON Lines corpus from (id, text) pairs or ready lines, and return its path."""

    def write(rows, name: str = "corpus.jsonl") -> Path:
        path = tmp_path / name
        lines = [row if isinstance(row, bytes) else json.dumps({"id": row[0], "text": row[1]}).encode() for row in rows]
        path.write_bytes(b"\n".join(lines) + b"\n")
        return path

    return write


# A corpus with a bad row is published only with this.
BAD_ROW_ALLOWED = ("--set", "corpus.max_quarantine_fraction=0.5")


@pytest.fixture(scope="session")
def _two_generations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two_generations")
    after = [*((f"q{i:02d}", SENTENCES[i]) for i in range(1, 9)), ("q09", "The weather is fine."), ("q10", SENTENCES[10])]
    for documents in ([(f"q{i:02d}", text) for i, text in enumerate(SENTENCES[:10])], after):
        rows = [json.dumps({"id": doc_id, "text": text}) for doc_id, text in [*documents, ("blank", " ")]]
        (folder / "corpus.jsonl").write_text("\n".join([*rows, ""]))
        code = main(["reindex", "--root", str(folder / "root"), "--input", str(folder / "corpus.jsonl"), *BAD_ROW_ALLOWED])
        assert code == 0
    return folder


@pytest.fixture
def two_generations(_two_generations: Path, tmp_path: Path) -> Path:
    """A root of one's own with two generations of a help desk's questions, ten documents and one bad row each.

    In the second one q00 is gone, q10 is new, and q09 has another text. `corpus.jsonl` beside the root is its corpus.
    """
    shutil.copytree(_two_generations, tmp_path, dirs_exist_ok=True)
    return tmp_path / "root"
