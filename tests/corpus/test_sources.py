import gzip
import os
from datetime import UTC, datetime, timedelta

import fsspec
import pyarrow as pa
import pytest

from tests.corpus.helpers import build, write_jsonl, write_parquet
from transforms.corpus import PYTHON_DOCS, CorpusOptions, InputError, is_older, plan_units
from transforms.corpus.lines import read_lines
from transforms.corpus.sources import _fixed_part, _written
from transforms.corpus.units import UNIT_BYTES_MIN, UNIT_SLICES, Slice, pack


def plan(*inputs, **settings):
    return plan_units(CorpusOptions(input=[str(value) for value in inputs], **settings))


def planned(*inputs, **settings):
    """(format, name) of every planned file."""
    return [(unit.format, piece.name) for unit in plan(*inputs, **settings) for piece in unit.slices]


@pytest.fixture
def folder(tmp_path):
    write_parquet(tmp_path / "in/b.parquet", {"id": ["1"], "text": ["x"]})
    write_parquet(tmp_path / "in/deep/er/a.pq", {"id": ["2"], "text": ["x"]})
    write_jsonl(tmp_path / "in/c.ndjson", [{"id": "3", "text": "x"}])
    (tmp_path / "in/d.md").write_text("x")
    (tmp_path / "in/e.txt.gz").write_bytes(gzip.compress(b"x", mtime=0))
    for name in ("f.csv", ".hidden.txt", "_SUCCESS", "g.parquet.gz"):
        (tmp_path / "in" / name).write_text("x")
    (tmp_path / "in/_temporary").mkdir()
    (tmp_path / "in/_temporary/part.txt").write_text("x")
    return tmp_path / "in"


def test_a_folder_gives_its_known_files_at_any_depth(folder):
    assert planned(folder) == [
        ("parquet", "b.parquet"),
        ("parquet", "deep/er/a.pq"),
        ("jsonl", "c.ndjson"),
        ("text", "d.md"),
        ("text", "e.txt.gz"),
    ]


def test_an_explicit_format_takes_unknown_endings_of_a_folder_but_no_other_format(folder):
    assert planned(folder, format="text") == [
        ("text", "d.md"),
        ("text", "e.txt.gz"),
        ("text", "f.csv"),
        ("text", "g.parquet.gz"),
    ]


@pytest.mark.parametrize("pattern", ["*.parquet", "**/b.p*", "b.parquet", "[bx].parquet"])
def test_patterns_and_files(folder, pattern):
    assert ("parquet", "b.parquet") in planned(folder / pattern)


def test_order_and_repeats_of_inputs_do_not_matter_for_the_files(folder):
    once = plan(folder)
    assert plan(folder / "c.ndjson", folder, folder, folder / "b.parquet")[0].slices[0].path == once[0].slices[0].path
    paths = [piece.path for unit in plan(folder / "*.md", folder, folder / "d.md") for piece in unit.slices]
    assert sorted(paths) == sorted(piece.path for unit in once for piece in unit.slices)


def test_any_fsspec_url():
    fs = fsspec.filesystem("memory")
    fs.pipe("/bucket/a/x.txt", b"hello")
    fs.pipe("/bucket/a/y.txt.gz", gzip.compress(b"world", mtime=0))
    try:
        (unit,) = plan("memory://bucket/**/*.txt*")
        assert [(piece.path, piece.name) for piece in unit.slices] == [
            ("memory:///bucket/a/x.txt", "a/x.txt"),
            ("memory:///bucket/a/y.txt.gz", "a/y.txt.gz"),
        ]
        assert planned("memory://bucket/a") == [("text", "x.txt"), ("text", "y.txt.gz")]
    finally:
        fs.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("pattern", "fixed"),
    [("/a/b/*.txt", "/a/b"), ("/a/*/c.txt", "/a"), ("a/b?/c", "a"), ("*.txt", ""), ("/*.txt", "/"), ("/a/b.[tm]*", "/a")],
)
def test_fixed_part(pattern, fixed):
    assert _fixed_part(pattern) == fixed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing/*.parquet", r"input pattern '.*nothing/\*.parquet' matches no file"),
        ("missing.parquet", r"input '.*missing.parquet' does not exist: give a file, a folder, a glob or 'python-docs'"),
        ("in/f.csv", r"input file '.*f.csv' has no known ending \(.parquet .*rename it or set format"),
        ("in/g.parquet.gz", r"input file '.*g.parquet.gz' has no known ending"),
        ("in/_temporary", None),
        ("empty", r"input folder '.*empty' has no readable file"),
    ],
)
def test_input_that_means_nothing(folder, name, message):
    (folder.parent / "empty").mkdir()
    if message is None:  # a folder with a bookkeeping name is read when it is asked for
        assert planned(folder.parent / name) == [("text", "part.txt")]
        return
    with pytest.raises(InputError, match=message) as caught:
        plan(folder.parent / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [("https://user:secret@host/x.jsonl", "https://***@host/x.jsonl"), ("s3://b/x.jsonl?token=secret", "s3://b/x.jsonl?***")],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url, shown):
    with pytest.raises(InputError) as caught:
        plan(url)
    assert shown in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "credentials" in str(caught.value)


@pytest.mark.parametrize("url", ["nosuch://bucket/x.txt", "s3://buck[et/x.txt"])
def test_a_url_that_cannot_be_listed(url):
    with pytest.raises(InputError, match="cannot be listed"):
        plan(url)


def test_two_text_files_with_one_id(tmp_path):
    for part in "ab":
        (tmp_path / part).mkdir()
        (tmp_path / part / "readme.txt").write_text(part)
    with pytest.raises(InputError, match=r"'.*a/readme.txt' and '.*b/readme.txt' would both have the id 'readme.txt'"):
        plan(tmp_path / "a/*.txt", tmp_path / "b/*.txt")
    assert planned(tmp_path / "*/*.txt") == [("text", "a/readme.txt"), ("text", "b/readme.txt")]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("b.parquet", {"id_column": "key"}, r"'.*b.parquet' has no column 'key': set id_column to one of 'id', 'text'"),
        ("b.parquet", {"text_column": "body"}, r"has no column 'body': set text_column to one of 'id', 'text'"),
        ("b.parquet", {"metadata_columns": ["m"]}, r"has no column 'm': set metadata_columns to one of 'id', 'text'"),
        ("c.ndjson", {"id_column": "key"}, r"'.*c.ndjson' has no key 'key' in its first 100 lines: set id_column to one of"),
        ("c.ndjson", {"text_column": "body"}, r"has no key 'body' .*set text_column to one of 'id', 'text'"),
        ("c.ndjson", {"metadata_columns": ["m"]}, r"has the key 'm' in its first 100 lines: set metadata_columns"),
        ("d.md", {"metadata_columns": ["m"]}, r"metadata column 'm': text file '.*d.md' has no columns"),
    ],
)
def test_missing_columns_name_the_file_and_its_columns(folder, name, settings, message):
    with pytest.raises(InputError, match=message) as caught:
        plan(folder / name, **settings)
    assert "\n" not in str(caught.value)


def test_python_docs_has_its_own_metadata_only():
    with pytest.raises(InputError, match="metadata column 'm': python-docs has only package and kind"):
        plan("python-docs", metadata_columns=["m"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["1"], "text": [1.5]}, "text_column 'text' is double, not text; columns with text: 'id'"),
        ({"id": [1.5], "text": ["x"]}, "id_column 'id' is double; ids are strings or integers"),
        ({"id": [[1]], "text": ["x"]}, "id_column 'id' is list"),
    ],
)
def test_parquet_columns_of_the_wrong_type(tmp_path, columns, message):
    with pytest.raises(InputError, match=message):
        plan(write_parquet(tmp_path / "a.parquet", columns))


def truncated_parquet(path):
    write_parquet(path, {"id": ["1"], "text": ["x" * 1000]})
    path.write_bytes(path.read_bytes()[:-20])


def wrong_magic(path):
    path.write_text("id,text\n1,x\n")


@pytest.mark.parametrize("damage", [truncated_parquet, wrong_magic, lambda path: path.write_bytes(b"")])
def test_a_file_that_is_not_parquet_stops_the_plan_or_is_quarantined(tmp_path, damage):
    write_parquet(tmp_path / "good.parquet", {"id": ["1"], "text": ["x"]})
    damage(tmp_path / "bad.parquet")
    with pytest.raises(InputError, match=r"'.*bad.parquet' cannot be read as Parquet .*unreadable_files to quarantine"):
        plan(tmp_path)
    corpus = build(tmp_path / "out", input=[f"{tmp_path}/*.parquet"], unreadable_files="quarantine")
    assert [row["doc_id"] for row in corpus.rows()] == ["1"]
    (row,) = corpus.quarantine()
    assert row["source"].endswith("bad.parquet")
    assert (row["row"], row["doc_id"], row["reason"]) == (None, None, "unreadable_file")
    assert row["detail"]


@pytest.mark.parametrize(
    "content", [b"PAR1\x00\x01\xff\nPAR1", b"[\n 1,\n 2\n]\n", b'[{"id": 1, "text": "x"}]', gzip.compress(b"{}", mtime=0)]
)
def test_a_file_that_is_not_json_lines_stops_the_plan_or_is_quarantined(tmp_path, content):
    (tmp_path / "bad.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=r"'.*bad.jsonl' cannot be read \(not JSON Lines: none of the first \d+ lines"):
        plan(tmp_path)
    corpus = build(tmp_path / "out", input=[str(tmp_path / "bad.jsonl")], unreadable_files="quarantine")
    assert corpus.rows() == []
    assert set(corpus.reasons) <= {"invalid_json", "not_an_object", "undecodable"}
    assert sum(corpus.reasons.values()) == sum(unit.rows_read for unit in corpus.units) > 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_forbidden_file(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"id": "1", "text": "x"}])
    os.chmod(path, 0)
    with pytest.raises(InputError, match="Permission denied"):
        plan(path)


def test_parquet_is_split_by_row_groups_with_their_row_numbers(tmp_path):
    texts = [os.urandom(UNIT_BYTES_MIN // 8).hex() for _ in range(10)]  # a quarter of UNIT_BYTES_MIN each
    path = write_parquet(
        tmp_path / "a.parquet", {"id": list("0123456789"), "text": texts}, row_group_size=1, compression="none"
    )
    slices = [piece for unit in plan(path) for piece in unit.slices]
    assert [(piece.start, piece.stop, piece.first_row) for piece in slices] == [(0, 4, 0), (4, 8, 4), (8, 10, 8)]
    corpus = build(tmp_path / "out", input=[path])
    assert sorted(row["text"] for row in corpus.rows()) == sorted(texts)


def test_columns_that_are_not_read_do_not_count_for_the_split(tmp_path):
    ballast = pa.array([os.urandom(UNIT_BYTES_MIN)] * 4)
    columns = {"id": list("0123"), "text": ["x"] * 4, "ballast": ballast}
    (unit,) = plan(write_parquet(tmp_path / "a.parquet", columns, row_group_size=1, use_dictionary=False))
    assert [(piece.start, piece.stop) for piece in unit.slices] == [(0, 4)]


def test_small_files_are_packed_and_large_ones_are_not():
    small = [Slice(f"{i:04d}", "", 1) for i in range(UNIT_SLICES + 1)]
    assert [len(unit.slices) for unit in pack([("text", small)])] == [UNIT_SLICES, 1]
    large = [Slice(str(i), "", UNIT_BYTES_MIN) for i in range(3)]
    units = pack([("parquet", large), ("text", small[:2])])
    assert [(unit.number, unit.format, len(unit.slices)) for unit in units] == [
        (0, "parquet", 1),
        (1, "parquet", 1),
        (2, "parquet", 1),
        (3, "text", 2),
    ]


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2", ".xz", ".zst"])
def test_lines_of_an_object_store_are_those_of_a_local_file(s3_bucket, tmp_path, ending):
    name = f"corpus.jsonl{ending}"
    lines = [b'{"id": %d, "text": "text %d"}' % (number, number) for number in range(3000)]
    with fsspec.open(str(tmp_path / name), "wb", compression="infer") as file:
        file.write(b"\n".join([*lines[:-1], lines[-1] + b" " * 10_000]))
    fsspec.filesystem("s3").put_file(str(tmp_path / name), f"{s3_bucket}/{name}")
    here, there = list(read_lines(str(tmp_path / name))), list(read_lines(f"{s3_bucket}/{name}"))
    assert here == there
    assert [line.rstrip() for _, line, _ in there] == lines


class TestAge:
    """Whether all files are older than a moment, by what each file system calls the time of writing."""

    MOMENT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

    def test_one_new_file_among_those_that_are_input(self, folder):
        paths = [path for path in folder.rglob("*") if path.is_file()]
        for path in paths:
            os.utime(path, (0, self.MOMENT.timestamp() - 1))
        os.utime(folder / "f.csv", None)  # of no known format
        options = CorpusOptions(input=[PYTHON_DOCS, str(folder / "*.ndjson"), str(folder)])
        assert is_older(options, self.MOMENT)
        assert not is_older(options, self.MOMENT - timedelta(seconds=1))
        os.utime(folder / "deep/er/a.pq", (0, self.MOMENT.timestamp()))
        assert not is_older(options, self.MOMENT)

    @pytest.mark.parametrize(
        ("info", "written"),
        [
            ({"mtime": 86400.0, "created": 0.0}, datetime(1970, 1, 2, tzinfo=UTC)),
            ({"LastModified": MOMENT}, MOMENT),
            ({"last_modified": MOMENT.replace(tzinfo=None)}, MOMENT),
            ({"updated": "2026-03-04T05:06:07Z"}, MOMENT),
            ({"updated": "yesterday"}, None),
            ({"size": 1}, None),
            ({"mtime": (2026, 3)}, None),
        ],
    )
    def test_how_file_systems_say_it(self, info, written):
        assert _written(info) == written

    def test_without_times_nothing_is_known_to_be_old(self, monkeypatch, folder):
        monkeypatch.setattr("transforms.corpus.sources._written", lambda _: None)
        assert not is_older(CorpusOptions(input=[str(folder)]), datetime.now(UTC))

    def test_input_that_means_nothing(self, tmp_path):
        with pytest.raises(InputError, match="does not exist"):
            is_older(CorpusOptions(input=[str(tmp_path / "absent")]), self.MOMENT)
