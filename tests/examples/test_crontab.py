"""The crontab, by the rules of crontab(5), and its command by the command line's own parser."""

import re
import shlex
import string
from pathlib import Path

from pipelines.cli import build_parser

FILE = Path(__file__).parents[2] / "examples" / "crontab"
FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def valid_field(text: str, low: int, high: int) -> bool:
    """Whether a field is a list of numbers, ranges and stars with steps, in its limits (names are not used here)."""
    for part in text.split(","):
        match = re.fullmatch(r"(\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        if not match:
            return False
        first, last = int(match[2] or low), int(match[3] or match[2] or high)
        if not low <= first <= last <= high or match[4] == "0":
            return False
    return True


def test_the_fields_parser_can_refuse():
    assert all(valid_field(text, 0, 59) for text in ("*", "0", "15", "1-5", "*/10", "0-30/5,45"))
    assert not any(valid_field(text, 0, 59) for text in ("", "60", "5-1", "a", "*/0", "1,,2", "1 2"))


def test_every_line_is_a_comment_a_setting_or_an_entry_that_runs_the_command_line():
    content = FILE.read_text()
    assert content.endswith("\n"), "cron ignores a last line without a line feed"
    settings, entries = {}, []
    for line in content.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if match := re.fullmatch(r"([A-Za-z_]\w*)\s*=\s*(.*)", line):
            # cron does not expand variables in settings.
            assert "$" not in match[2], line
            settings[match[1]] = match[2]
            continue
        *fields, command = line.split(None, 5)
        assert len(fields) == 5, line
        assert all(valid_field(field, *limits) for field, limits in zip(fields, FIELDS, strict=True)), line
        assert "%" not in command, "cron turns a percent sign into a line feed"
        entries.append(command)
    assert len(entries) == 1
    # What the shell makes of it: `substitute` raises for a variable that nothing sets.
    words = shlex.split(string.Template(entries[0]).substitute(settings))
    command = words[: words.index(">>")]
    assert Path(command[0]).name == "corpusbeam"
    options = build_parser().parse_args(command[1:])
    assert options.verb == "reindex"
    # node_exporter reads files of this name only.
    assert options.prometheus.endswith(".prom")
