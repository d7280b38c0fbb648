import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.generations.conftest import FIRST, INSIDE, SECOND, SHARD
from transforms.files import CorruptFileError, FileRef
from transforms.generations import (
    FORMAT,
    Gate,
    GenerationError,
    Manifest,
    manifest_path,
    published_files,
    read_manifest,
    write_manifest,
)


def test_a_manifest_reads_back_as_it_was_written(root, make_generation):
    manifest = make_generation(parent=SECOND)
    assert read_manifest(root, FIRST) == manifest
    assert Path(manifest_path(root, FIRST)) == Path(root, "generations", FIRST, "manifest.json")
    assert json.loads(Path(manifest_path(root, FIRST)).read_text()) == manifest.model_dump(mode="json")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
GATES = st.builds(
    Gate,
    name=st.text(),
    value=st.floats(allow_nan=False),
    limit=st.floats(allow_nan=False),
    passed=st.booleans(),
    meaning=st.text(),
)


@given(
    configuration=st.dictionaries(st.text(max_size=5), VALUES, max_size=4),
    counts=st.dictionaries(st.text(max_size=5), st.integers(0, 2**63), max_size=3),
    gates=st.lists(GATES, max_size=3),
    parent=st.none() | st.text(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_values_round_trip(root, make_generation, configuration, counts, gates, parent):
    manifest = make_generation(configuration=configuration, counts=counts, gates=gates, parent=parent)
    assert read_manifest(root, FIRST) == manifest


@given(data=st.data())
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_is_refused_or_changes_nothing(root, make_generation, data):
    """White space between values may change, since it means nothing; every value is guarded."""
    path = Path(manifest_path(root, FIRST))
    if not path.exists():
        make_generation(parent=SECOND)
        path.rename(path.with_suffix(".whole"))
    whole = path.with_suffix(".whole").read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    # Bytes that JSON could accept find more than random ones.
    byte = data.draw(st.one_of(st.sampled_from(b'0123456789abcdef"\\,:{}[] \n.-+eEnulltrue'), st.integers(0, 255)))
    changed = whole[:at] + bytes([byte]) + whole[at + 1 :]
    path.write_bytes(changed)
    original = json.loads(whole)
    try:
        same = json.loads(changed) == original
    except ValueError:
        same = False
    if same:
        assert read_manifest(root, FIRST).model_dump(mode="json") == original
    else:
        with pytest.raises((CorruptFileError, GenerationError)):
            read_manifest(root, FIRST)
    path.unlink()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("parent", FIRST),
        ("created", "2027-01-01T00:00:00+00:00"),
        ("counts", {"documents": 13, "pairs": 0}),
        ("gates", []),
        ("files", []),
        ("encoder", {}),
        ("corpus_digest", "e" * 64),
        ("configuration_digest", "e" * 64),
        ("configuration", {}),
        ("versions", {}),
        ("digest", "0" * 64),
        ("digest", ""),
        ("format", 0),
        ("generation", SECOND),
    ],
)
def test_an_edited_field_is_refused(root, make_generation, field, value):
    make_generation(parent=SECOND)
    path = Path(manifest_path(root, FIRST))
    values = json.loads(path.read_text())
    assert values[field] != value
    path.write_text(json.dumps({**values, field: value}))
    with pytest.raises(CorruptFileError, match=r"manifest\.json was changed"):
        read_manifest(root, FIRST)


def test_fields_that_were_added_or_removed_are_refused(root, make_generation):
    make_generation()
    path = Path(manifest_path(root, FIRST))
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "more": 1}))
    with pytest.raises(CorruptFileError):
        read_manifest(root, FIRST)
    for name in values:
        path.write_text(json.dumps({key: value for key, value in values.items() if key != name}))
        with pytest.raises(CorruptFileError):
            read_manifest(root, FIRST)


def test_a_manifest_of_another_generation_is_refused(root, make_generation):
    make_generation(FIRST)
    other = Path(manifest_path(root, SECOND))
    other.parent.mkdir()
    other.write_bytes(Path(manifest_path(root, FIRST)).read_bytes())
    with pytest.raises(CorruptFileError):
        read_manifest(root, SECOND)


def test_a_newer_format_is_refused_by_its_number(root, make_generation):
    make_generation(format=FORMAT + 1)
    with pytest.raises(GenerationError, match=f"format {FORMAT + 1}, this version reads up to {FORMAT}"):
        read_manifest(root, FIRST)
    # Fields that this version does not know come with it, and must not be called damage.
    path = Path(manifest_path(root, FIRST))
    path.write_text(json.dumps({"format": FORMAT + 1, "new": {}}))
    with pytest.raises(GenerationError, match="format"):
        read_manifest(root, FIRST)


def test_a_missing_manifest(root):
    with pytest.raises(GenerationError, match=f"'{FIRST}' has no manifest"):
        read_manifest(root, FIRST)


def test_a_manifest_of_format_1_is_read_with_the_digest_that_it_was_sealed_with(root, make_generation):
    path = Path(manifest_path(root, FIRST))
    values = make_generation().model_dump(mode="json")
    values["format"] = 1
    del values["changes"], values["digest"]
    # As the first version did it: canonical JSON of all fields that there were.
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
    path.write_text(json.dumps({**values, "digest": hashlib.sha256(canonical).hexdigest()}))
    found = read_manifest(root, FIRST)
    assert (found.format, found.changes, found.counts) == (1, {}, {"documents": 12, "pairs": 0})
    path.write_text(json.dumps({**values, "digest": hashlib.sha256(canonical).hexdigest(), "changes": {}}))
    with pytest.raises(CorruptFileError, match="changed after it was written"):
        read_manifest(root, FIRST)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"1", b"{", b"\xff\xfe\0", b"\0" * 100, b'{"format": "1"}'])
def test_what_is_no_manifest_is_refused(root, make_generation, content):
    make_generation()
    Path(manifest_path(root, FIRST)).write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"manifest\.json is not"):
        read_manifest(root, FIRST)


def test_files_are_found_by_their_names_in_the_generation(make_generation):
    manifest = make_generation()
    assert manifest.file("index/index.faiss").path == f"generations/{FIRST}/index/index.faiss"
    with pytest.raises(GenerationError, match="no file 'index'"):
        manifest.file("index")
    with pytest.raises(GenerationError):
        manifest.file(SHARD)
    assert [file.path for file in manifest.under("neighbors")] == [f"generations/{FIRST}/{name}" for name in INSIDE[1:3]]
    assert manifest.under("neighbor") == []


def test_published_files_are_relative_to_the_root_and_sorted():
    refs = [FileRef("/r/b", 1, None, "x"), FileRef("/r/a/c", 2, 3, "y")]
    for root in ("/r", "/r/"):
        assert [tuple(file.model_dump().values()) for file in published_files(root, refs)] == [
            ("a/c", 2, 3, "y"),
            ("b", 1, None, "x"),
        ]
    with pytest.raises(ValueError, match="not under the root"):
        published_files("/r", [FileRef("/root2/b", 1, None, "x")])


def test_a_manifest_is_sealed_by_every_field(make_generation):
    manifest = make_generation()
    assert manifest.digest == manifest.content_digest()
    for name in set(Manifest.model_fields) - {"digest"}:
        value = getattr(manifest, name)
        other = value + 1 if name == "format" else f"{value}!" if isinstance(value, str | None) else type(value)()
        assert manifest.model_copy(update={name: other}).content_digest() != manifest.digest, name
    assert manifest.model_copy(update={"digest": "other"}).content_digest() == manifest.digest


def test_gates_without_a_bound_survive(root, make_generation):
    gate = Gate(name="speed", value=1, limit=float("inf"), passed=True, meaning="no limit")
    write_manifest(root, make_generation(gates=[gate]))
    assert read_manifest(root, FIRST).gates == [gate]
