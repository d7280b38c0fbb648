from pathlib import Path

import pytest

from tests.generations.conftest import FIRST, INSIDE, SECOND, SHARD
from transforms.files import CorruptFileError
from transforms.generations import (
    GenerationError,
    PublishConflictError,
    Rollback,
    move_current,
    pin_generation,
    read_current,
    read_pins,
    roll_back,
    rollback,
)

THIRD = "20260103T000000Z-33333333"


@pytest.fixture
def published(root, make_generation):
    """Three generations, the third is current."""
    parent = None
    for name in (FIRST, SECOND, THIRD):
        make_generation(name, parent)
        move_current(root, parent, name)
        parent = name
    return root


def test_the_parent_is_the_default_and_any_other_can_be_named(published):
    assert roll_back(published) == Rollback(THIRD, SECOND, True)
    assert read_current(published) == SECOND
    assert roll_back(published) == Rollback(SECOND, FIRST, True)
    with pytest.raises(GenerationError, match="has no parent"):
        roll_back(published)
    assert roll_back(published, THIRD, verify=True) == Rollback(FIRST, THIRD, True)
    assert roll_back(published, THIRD) == Rollback(THIRD, THIRD, False)
    assert read_pins(published) == {}


def test_an_unknown_id_is_refused_with_what_there_is(published):
    with pytest.raises(GenerationError, match=f"'nonsense'.*there are: {FIRST}, {SECOND}, {THIRD}"):
        roll_back(published, "nonsense")
    Path(published, "generations", FIRST, "manifest.json").unlink()
    with pytest.raises(GenerationError, match="there are"):
        roll_back(published, FIRST)
    assert read_current(published) == THIRD


@pytest.mark.parametrize("name", [*(f"generations/{SECOND}/{name}" for name in INSIDE), SHARD])
def test_a_damaged_target_is_refused(published, name):
    path = Path(published, name)
    whole = path.read_bytes()
    for data in (whole[:-1], None):
        path.unlink() if data is None else path.write_bytes(data)
        with pytest.raises(GenerationError, match=f"{path.name} .*CURRENT still names {THIRD}"):
            roll_back(published, SECOND)
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(GenerationError, match="sha256"):
        roll_back(published, SECOND, verify=True)
    assert read_current(published) == THIRD
    assert read_pins(published) == {}


def test_a_changed_manifest_is_refused(published):
    path = Path(published, "generations", SECOND, "manifest.json")
    path.write_bytes(path.read_bytes().replace(b'"documents": 12', b'"documents": 13'))
    with pytest.raises(CorruptFileError):
        roll_back(published, SECOND)
    assert read_current(published) == THIRD


def test_a_lost_pointer_is_set_again(published):
    Path(published, "CURRENT").unlink()
    with pytest.raises(GenerationError, match="name the generation"):
        roll_back(published)
    assert roll_back(published, SECOND) == Rollback(None, SECOND, True)
    assert read_current(published) == SECOND


def test_a_damaged_current_generation_does_not_stop_a_named_one(published):
    Path(published, "generations", THIRD, "manifest.json").write_bytes(b"{")
    with pytest.raises(CorruptFileError):
        roll_back(published)
    assert roll_back(published, SECOND).after == SECOND


def test_a_pin_stays_as_it_was(published):
    pin_generation(published, FIRST, "mine")
    roll_back(published, FIRST)
    assert read_pins(published)[FIRST].reason == "mine"


def test_of_a_publication_and_a_rollback_at_once_one_is_refused(published, monkeypatch):
    """CURRENT moves after the rollback has read it."""
    real = rollback.missing_or_resized

    def publish_meanwhile(root, manifest):
        move_current(root, THIRD, FIRST)
        return real(root, manifest)

    monkeypatch.setattr(rollback, "missing_or_resized", publish_meanwhile)
    with pytest.raises(PublishConflictError):
        roll_back(published, SECOND)
    assert read_current(published) == FIRST
    assert read_pins(published) == {}


def test_a_run_that_started_before_a_rollback_cannot_publish(published, make_generation):
    parent = read_current(published)
    roll_back(published)
    make_generation("20260104T000000Z-44444444", parent)
    with pytest.raises(PublishConflictError):
        move_current(published, parent, "20260104T000000Z-44444444")
    assert read_current(published) == SECOND
