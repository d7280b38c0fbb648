import pytest

from transforms.reports.formats import counted, duration, memory, moment, number, percent


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (1234567, "1,234,567"), (2.0, "2"), (0.98765, "0.988"), (1234.5, "1,234"), (None, "–")]
)
def test_number(value: float | None, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.08, "0.08 s"), (4.12, "4.1 s"), (9.97, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (148.2, "2 min 28 s"),
     (3599.7, "1 h 00 min"), (7500, "2 h 05 min")],
)  # fmt: skip
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_percent() -> None:
    shown = [percent(0, 0), percent(0, 9), percent(1, 3), percent(1, 40), percent(9, 9), percent(1, 9999)]
    assert shown == ["0 %", "0 %", "33 %", "2.5 %", "100 %", "< 0.1 %"]


def test_memory_and_moment() -> None:
    assert [memory(None), memory(812.4), memory(1710)] == ["–", "812 MB", "1.7 GB"]
    assert moment("2026-11-23T21:13:27+01:00") == "23 November 2026, 20:13 UTC"
    assert [moment(None), moment("yesterday"), moment("2026-01-02T03:04:05")] == ["", "yesterday", "2 January 2026, 03:04"]


def test_counted() -> None:
    assert [counted(1, "topic"), counted(0, "topic"), counted(2500, "topic")] == ["1 topic", "0 topics", "2,500 topics"]
