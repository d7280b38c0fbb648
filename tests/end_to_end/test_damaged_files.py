"""Every file of a real generation, damaged in every way: verify finds it, and every verb that uses the file refuses it."""

import fnmatch
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end.conftest import BAD_ROW_ALLOWED
from transforms.generations import read_current, read_manifest

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "first byte": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "middle byte": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
    "last byte": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "truncated": lambda data: data[: len(data) // 2],
    "emptied": lambda data: b"",
}

# Which verbs use which files; a file that no line names fails the test, so that a new kind of file must be thought of.
READERS: list[tuple[str, tuple[str, ...]]] = [
    ("manifest.json", ("search", "report", "status", "diff", "duplicates", "against", "plan", "rollback", "gc", "reindex")),
    ("metrics.json", ("report",)),  # and plan, whose estimate may go without it
    ("report.html", ("report",)),
    ("documents/*.parquet", ("search", "report", "diff", "duplicates", "against")),
    ("quarantine/*.parquet", ("report",)),
    ("index/index.faiss", ("search", "report")),
    ("index/ids.parquet", ("search", "report", "diff")),
    ("index/recall.parquet", ("report",)),
    ("index/trained.faiss", ()),  # for the next run
    ("neighbors/*.parquet", ("duplicates",)),
    ("duplicates/groups.parquet", ("report", "diff")),  # `duplicates` makes them from the pairs
    ("duplicates/pairs.parquet", ("report", "diff", "duplicates")),
    ("duplicates/texts.parquet", ("report", "duplicates")),
    ("topics/assignments.parquet", ("search", "report")),
    ("topics/themes.parquet", ("search", "report")),
    ("topics/topics.parquet", ("search", "report", "diff")),
    ("topics/*", ("report",)),  # and the next run
    ("vectors/*.parquet", ("against",)),
]


def readers_of(path: str) -> tuple[str, ...]:
    name = path.split("/", 2)[2] if path.startswith("generations/") else path
    return next(verbs for pattern, verbs in READERS if fnmatch.fnmatch(name, pattern))


def test_every_file_damaged_in_every_way_is_found_and_refused(corpusbeam, two_generations):
    root = two_generations
    generation = read_current(str(root))
    files = [file.path for file in read_manifest(str(root), generation).files] + [f"generations/{generation}/manifest.json"]
    assert {path.split("/")[2] for path in files if path.startswith("generations/")} == {
        "documents", "duplicates", "index", "manifest.json", "metrics.json", "neighbors", "quarantine", "report.html", "topics",
    }  # fmt: skip
    input_of = ["--root", root, "--input", root.parent / "corpus.jsonl", *BAD_ROW_ALLOWED]
    commands = {
        "search": ["search", "--root", root, "password", "-k", 20],
        "report": ["report", "--root", root],
        "status": ["status", "--root", root],
        "diff": ["diff", "--root", root],
        "duplicates": ["duplicates", "--root", root],
        "against": ["duplicates", "--root", root, "--against", root.parent / "corpus.jsonl"],
        "plan": ["plan", *input_of],
        "reindex": ["reindex", *input_of],
        "rollback": ["rollback", "--root", root],
        "gc": ["gc", "--root", root],
    }
    before = {path: (root / path).read_bytes() for path in files}
    for verb in ("search", "report", "status", "diff", "duplicates", "against", "plan", "gc"):
        assert corpusbeam(*commands[verb]).code == 0, verb
    for path in files:
        for damage, change in DAMAGES.items():
            (root / path).write_bytes(change(before[path]))
            verified = corpusbeam("verify", "--root", root)
            assert verified.code == 1, (path, damage)
            assert path in verified.out, (path, damage)
            # Reading the corpus takes longest; that a file's damage is refused does not depend on where the damage is.
            slow = () if damage == "middle byte" else ("plan", "reindex", "against")
            for verb in readers_of(path):
                if verb in slow:
                    continue
                ran = corpusbeam(*commands[verb])
                assert ran.code != 0, (path, damage, verb)
                assert ran.out == "", (path, damage, verb)
                assert Path(path).name in ran.err, (path, damage, verb, ran.err)
            (root / path).write_bytes(before[path])
    assert read_current(str(root)) == generation
    assert corpusbeam("verify", "--root", root, "--all").code == 0


def test_a_foreign_part_in_a_published_folder_is_refused_by_the_report(corpusbeam, two_generations):
    root = two_generations
    folder = root / "generations" / read_current(str(root)) / "documents"
    foreign = folder / "part-99999.parquet"
    foreign.write_bytes((folder / "part-00000.parquet").read_bytes())
    for ran in (corpusbeam("report", "--root", root), corpusbeam("verify", "--root", root)):
        assert ran.code == 1
        assert "part-99999.parquet is not in the manifest" in ran.out + ran.err
