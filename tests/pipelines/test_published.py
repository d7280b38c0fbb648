"""status, verify, pin and rollback on made-up generations: what is shown when something is not as it should be."""

import json
from pathlib import Path

import pytest

from pipelines.published import pin, rollback, status, status_lines, verify, verify_lines
from tests.generations.conftest import FIRST, SECOND, make_generation, root
from transforms.files import write_bytes, write_json
from transforms.generations import GenerationError, hold_lease, move_current

__all__ = ["make_generation", "root"]  # fixtures


@pytest.fixture
def published(root, make_generation):
    encoder = {"model": "m", "fingerprint": "f" * 64}
    make_generation(FIRST, encoder=encoder)
    make_generation(SECOND, FIRST, encoder=encoder)
    move_current(root, None, SECOND)
    return root


def test_status_shows_every_generation(published):
    found = status(published)
    assert found["generations"] == [FIRST, SECOND]
    assert [(entry["generation"], entry["documents"], entry["problem"]) for entry in found["history"]] == [
        (FIRST, 12, None),
        (SECOND, 12, None),
    ]
    assert found["history"][1]["bytes"] == found["bytes"]
    assert (found["pins"], found["lease"], found["last_run"]) == ({}, None, None)
    text = "\n".join(status_lines(found))
    assert f"* {SECOND}" in text
    assert f"  {FIRST}" in text


def test_a_damaged_older_manifest_hides_nothing_else(published):
    Path(published, "generations", FIRST, "manifest.json").write_bytes(b"{")
    found = status(published)
    assert "not JSON" in found["history"][0]["problem"]
    assert any("UNREADABLE" in line and FIRST in line for line in status_lines(found))


def test_pins_are_shown_also_of_generations_that_are_gone(published):
    pin(published, FIRST, "an audit")
    pin(published, SECOND, "")
    lines = "\n".join(status_lines(status(published)))
    assert "pinned: an audit" in lines
    Path(published, "generations", FIRST, "manifest.json").unlink()
    lines = "\n".join(status_lines(status(published)))
    assert f"pin of {FIRST}, which does not exist" in lines
    assert pin(published, FIRST, "", take_away=True) == {"generation": FIRST, "pinned": False, "pins": [SECOND]}


def test_who_has_the_root_and_how_the_last_run_ended(published):
    run = {"outcome": "refused", "exit_code": 3, "gates": [1, 2], "finished": "2026-01-01", "seconds": 2.5, "message": "why"}
    write_json(f"{published}/last_run.json", run)
    with hold_lease(published):
        lines = status_lines(status(published))
        assert any("in use by" in line and "is valid until" in line for line in lines)
        values = json.loads(Path(published, "LEASE").read_text())
    assert "last run     refused, exit code 3, 2026-01-01, 2.5 s: why" in lines
    assert not any("in use by" in line for line in status_lines(status(published)))
    write_json(f"{published}/LEASE", {**values, "expires": "2020-01-01T00:00:00+00:00"})
    assert any("the next run takes over" in line for line in status_lines(status(published)))
    for name in ("LEASE", "last_run.json"):
        write_bytes(f"{published}/{name}", b"{")
    lines = status_lines(status(published))
    assert sum("is not JSON" in line for line in lines) == 2


def test_verify_of_all_finds_what_verify_of_one_does_not_look_at(published):
    path = Path(published, "generations", FIRST, "report.html")
    path.write_bytes(path.read_bytes()[:-1])
    assert verify(published, None)["problems"] == []
    found = verify(published, None, every=True)
    assert len(found["problems"]) == 1
    assert [len(one["problems"]) for one in found["generations"]] == [1, 0]
    assert f"generation {FIRST}: 1 problems" in verify_lines(found)
    assert verify(published, FIRST)["problems"] == found["problems"]


def test_verify_of_all_misses_what_current_names(published):
    Path(published, "generations", SECOND, "manifest.json").unlink()
    found = verify(published, None, every=True)
    assert [one["generation"] for one in found["generations"]] == [FIRST, SECOND]
    assert "no manifest" in found["problems"][0]


def test_nothing_published(root):
    for call in (status, lambda root: verify(root, None), lambda root: verify(root, None, every=True)):
        with pytest.raises(GenerationError, match="nothing is published"):
            call(root)


def test_rollback_says_from_where_to_where(published):
    assert rollback(published, None) == {"root": published, "from": SECOND, "to": FIRST, "moved": True}
    assert rollback(published, FIRST)["moved"] is False
