"""Numbers, durations and dates as a person reads them, the same on the page and in the terminal."""

from datetime import UTC, datetime


def number(value: float | None) -> str:
    """A count with thousands separators; a fraction keeps three significant digits; a dash for what is not known."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.3g}"


def counted(count: int, one: str) -> str:
    """A count and its noun: `1 topic`, `2,500 topics`."""
    return f"{number(count)} {one}" if count == 1 else f"{number(count)} {one}s"


def percent(part: float, whole: float) -> str:
    """A share in percent: one digit below ten, `< 0.1 %` below that, `0 %` for nothing of nothing."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.1:
        return "< 0.1 %"
    return f"{share:.1f} %" if 0 < share < 10 else f"{share:.0f} %"


def duration(seconds: float) -> str:
    """Seconds as `0.08 s`, `4.1 s`, `48 s`, `2 min 28 s`, `1 h 05 min`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def memory(megabytes: float | None) -> str:
    """Megabytes as `812 MB` or, from 1,000 MB, `1.7 GB`; a dash for what was not measured."""
    if megabytes is None:
        return "–"
    return f"{megabytes:,.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:,.1f} GB"


def moment(iso: str | None) -> str:
    """An ISO 8601 time as `23 November 2026, 20:13 UTC`; unreadable text as it is; nothing for None."""
    if not iso:
        return ""
    try:
        time = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    if time.tzinfo is None:
        return f"{time.day} {time:%B %Y, %H:%M}"
    time = time.astimezone(UTC)
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def words_of(name: str) -> str:
    """A name such as `texts_embedded` as words."""
    return name.replace("_", " ")
