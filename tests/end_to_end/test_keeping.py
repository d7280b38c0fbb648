"""rollback, pin, gc, diff, status and verify on real generations, through the command line."""

import os
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import BAD_ROW_ALLOWED
from transforms.generations import hold_lease


@pytest.fixture
def root(two_generations) -> Path:
    return two_generations


def test_a_day_of_keeping(corpusbeam, root):
    corpus = root.parent / "corpus.jsonl"
    status = corpusbeam("status", "--root", root, "--format", "json").json
    first, second = status["generations"]
    assert [(entry["generation"], entry["documents"]) for entry in status["history"]] == [(first, 10), (second, 10)]
    assert (status["lease"], status["last_run"] is None or isinstance(status["last_run"], dict)) == (None, True)

    diff = corpusbeam("diff", "--root", root, "--format", "json").json
    assert (diff["a"], diff["b"]) == (first, second)
    counts = {kind: count for kind, count in diff["documents"].items() if kind != "examples"}
    assert counts == {"added": 1, "changed": 1, "metadata_only": 0, "deleted": 1, "unchanged": 8}
    assert diff["documents"]["examples"] == {"added": ["q10"], "changed": ["q09"], "metadata_only": [], "deleted": ["q00"]}
    assert diff["vectors"] == {"reused": 8, "new": 2, "dropped": 2}
    backwards = corpusbeam("diff", "--root", root, second, first, "--format", "json").json
    assert backwards["vectors"] == {"reused": 8, "new": 2, "dropped": 2}
    assert backwards["documents"]["examples"]["added"] == ["q00"]
    same = corpusbeam("diff", "--root", root, first, first, "--format", "json").json
    assert (same["documents"]["unchanged"], same["settings"], same["pairs"]["new"]) == (10, [], 0)
    assert "deleted: q00" in corpusbeam("diff", "--root", root).out

    back = corpusbeam("rollback", "--root", root, "--verify", "--format", "json")
    assert back.json == {"root": str(root), "from": second, "to": first, "moved": True}
    assert corpusbeam("status", "--root", root, "--format", "json").json["generation"] == first
    hits = corpusbeam("search", "--root", root, "password", "-k", 20, "--format", "json").json["hits"]
    assert "q00" in {hit["doc_id"] for hit in hits}
    # The next run compares with what is current: the same corpus is news again, and its vectors are there.
    plan = corpusbeam("plan", "--root", root, "--input", corpus, *BAD_ROW_ALLOWED, "--format", "json").json
    assert (plan["published"], plan["texts_to_embed"]) == (first, 0)
    again = corpusbeam("reindex", "--root", root, "--input", corpus, *BAD_ROW_ALLOWED, "--format", "json").json
    assert again["published"]
    third = again["generation"]
    assert corpusbeam("status", "--root", root, "--format", "json").json["parent"] == first

    assert corpusbeam("pin", "--root", root, second, "--reason", "an audit").code == 0
    status = corpusbeam("status", "--root", root)
    assert "pinned: an audit" in status.out
    everything = ("--keep-last", 0, "--keep-days", 0, "--grace-days", 0, "--format", "json")
    found = corpusbeam("gc", "--root", root, *everything).json
    assert found["kept"] == {first: "parent of the current one", second: "pinned", third: "current"}
    assert found["generations_removed"] == []
    assert corpusbeam("pin", "--root", root, second, "--remove").code == 0
    # Bytes that a kept generation shares with a removed one are not freed.
    files = {path: path.stat() for path in root.rglob("*") if path.is_file()}
    dry = corpusbeam("gc", "--root", root, *everything, "--dry-run").json
    assert dry["generations_removed"] == [second]
    listed = {root / file["path"] for removal in dry["removed"] for file in removal["files"]}
    assert dry["bytes"] == sum(files[path].st_size for path in listed if files[path].st_nlink == 1)
    assert all(path.exists() for path in files)
    done = corpusbeam("gc", "--root", root, *everything).json
    assert (done["bytes"], done["removed"]) == (dry["bytes"], dry["removed"])
    assert {path for path in files if not path.exists() and path.name != "lock"} == listed
    verified = corpusbeam("verify", "--root", root, "--all", "--format", "json")
    assert (verified.code, verified.json["notes"], len(verified.json["generations"])) == (0, [], 2)
    assert corpusbeam("gc", "--root", root, *everything).json["bytes"] == 0
    assert corpusbeam("search", "--root", root, "password").code == 0


def test_what_cannot_be_done_says_why(corpusbeam, root):
    first, second = corpusbeam("status", "--root", root, "--format", "json").json["generations"]
    for verb in (["rollback", "nonsense"], ["pin", "nonsense"], ["diff", "nonsense"], ["diff", first, "nonsense"]):
        ran = corpusbeam(verb[0], "--root", root, *verb[1:])
        assert (ran.code, ran.out) == (1, "")
        assert f"'nonsense' under {root}; there are: {first}, {second}" in ran.err
    assert "not pinned" in corpusbeam("pin", "--root", root, first, "--remove").err
    for option in ("--keep-last", "--keep-days", "--grace-days"):
        assert corpusbeam("gc", "--root", root, option, "-1").code == 2
        assert corpusbeam("gc", "--root", root, option, "many").code == 2
    assert corpusbeam("gc", "--root", root, "--keep-days", "nan").code == 2
    missing = corpusbeam("gc", "--root", root.parent / "misspelt")
    assert missing.code == 1
    assert "no root" in missing.err
    assert not (root.parent / "misspelt").exists()


def test_gc_waits_for_nobody(corpusbeam, root):
    """While a run is active there is no collection; a rollback and a pin work."""
    first, _ = corpusbeam("status", "--root", root, "--format", "json").json["generations"]
    with hold_lease(str(root)):
        ran = corpusbeam("gc", "--root", root, "--keep-last", 0, "--keep-days", 0, "--grace-days", 0)
        assert ran.code == 4
        assert str(os.getpid()) in ran.err
        assert f"process {os.getpid()} on" in corpusbeam("status", "--root", root).out
        assert corpusbeam("pin", "--root", root, first).code == 0
        assert corpusbeam("rollback", "--root", root).code == 0
    assert corpusbeam("gc", "--root", root).code == 0


def test_leftovers_are_kept_for_the_grace_period(corpusbeam, root):
    left = root / "work" / "0123456789abcdef" / "stages" / "corpus.json"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"{}")
    assert corpusbeam("gc", "--root", root).code == 0
    assert left.exists()
    eight_days_ago = time.time() - 8 * 86400
    os.utime(left, (eight_days_ago, eight_days_ago))
    found = corpusbeam("gc", "--root", root, "--format", "json").json
    assert [removal["kind"] for removal in found["removed"]] == ["work"]
    assert not left.parent.parent.exists()
