import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.generations.conftest import FIRST, SECOND
from transforms.files import CorruptFileError, write_bytes
from transforms.generations import GenerationError, Pin, pin_generation, pins, read_pins, unpin_generation

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_pins_are_written_read_and_taken_away(folder, make_generation):
    make_generation(FIRST, root=folder)
    make_generation(SECOND, root=folder)
    assert read_pins(folder) == {}
    first = pin_generation(folder, FIRST, "before the new model", NOW)
    assert first == Pin(FIRST, "before the new model", "2026-02-03T04:05:06+00:00")
    pin_generation(folder, SECOND)
    pin_generation(folder, FIRST, "another reason", NOW)
    assert {name: pin.reason for name, pin in read_pins(folder).items()} == {FIRST: "another reason", SECOND: ""}
    unpin_generation(folder, FIRST)
    assert set(read_pins(folder)) == {SECOND}


def test_an_unknown_id_is_refused_with_what_there_is(root, make_generation):
    with pytest.raises(GenerationError, match="there are: none"):
        pin_generation(root, FIRST)
    make_generation(FIRST)
    make_generation(SECOND)
    with pytest.raises(GenerationError, match=f"'nonsense'.*there are: {FIRST}, {SECOND}"):
        pin_generation(root, "nonsense")
    assert read_pins(root) == {}


@pytest.mark.parametrize("name", [SECOND, "nonsense", "../CURRENT", ""])
def test_a_pin_that_is_not_there_cannot_be_taken_away(root, make_generation, name):
    make_generation(FIRST)
    pin_generation(root, FIRST)
    write_bytes(f"{root}/CURRENT.json", b"not a pin")
    with pytest.raises(GenerationError, match=f"not pinned.*pinned: {FIRST}"):
        unpin_generation(root, name)
    assert Path(root, "CURRENT.json").exists()


def test_the_pin_of_a_generation_that_is_gone_can_be_taken_away(root, make_generation):
    make_generation(FIRST)
    pin_generation(root, FIRST)
    Path(root, "generations", FIRST, "manifest.json").unlink()
    unpin_generation(root, FIRST)
    assert read_pins(root) == {}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"generation": "x"}', b'{"generation":"a","reason":"","created":""}'])
def test_a_damaged_pin_is_an_error_not_no_pin(root, make_generation, content):
    make_generation(FIRST)
    write_bytes(f"{root}/pins/{FIRST}.json", content)
    with pytest.raises(CorruptFileError, match="remove it and pin"):
        read_pins(root)


def test_a_generation_that_is_being_removed_is_not_pinned(root, make_generation):
    make_generation(FIRST)
    write_bytes(f"{root}/generations/{FIRST}/{pins.REMOVAL_MARK}", b"")
    with pytest.raises(GenerationError, match="marked for removal"):
        pin_generation(root, FIRST)
    assert read_pins(root) == {}


def test_a_generation_that_goes_while_its_pin_is_written_is_not_pinned(root, make_generation, monkeypatch):
    make_generation(FIRST)
    real = pins.write_json

    def slow(path, value):
        real(path, value)
        Path(root, "generations", FIRST, "manifest.json").unlink()

    monkeypatch.setattr(pins, "write_json", slow)
    with pytest.raises(GenerationError):
        pin_generation(root, FIRST)
    assert read_pins(root) == {}


def test_a_reason_in_any_script_is_kept(root, make_generation):
    make_generation(FIRST)
    pin_generation(root, FIRST, "für die Prüfung – 審査 \u202e\"'\n")
    assert read_pins(root)[FIRST].reason == "für die Prüfung – 審査 \u202e\"'\n"


def test_readers_of_pins_see_whole_ones_while_they_are_written(root, make_generation):
    make_generation(FIRST)
    pin_generation(root, FIRST, "x")
    stop, seen = threading.Event(), set()

    def read():
        while not stop.is_set():
            seen.update(pin.reason for pin in read_pins(root).values())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(100):
        pin_generation(root, FIRST, "x" * 2000)
        pin_generation(root, FIRST, "x")
    stop.set()
    reader.join()
    assert seen <= {"x", "x" * 2000}
    assert seen
