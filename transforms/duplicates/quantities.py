"""Numbers, dates and versions in texts, in one form for each value, so that `1,000` is `1000` and `31 May 2024` `2024-05-31`.

An encoder hardly sees them: two texts that differ in nothing else have nearly the same vector.

number   a run of digits, `1,000` with its commas taken out, a decimal fraction as it is written (`1.10` is not `1.1`: it
         may be a version), and the English words two to twelve (not one, which is more often a pronoun)
date     2024-05-31, 2024/05/31, 31.05.2024, 05/31/2024 (month first unless that is no month), and English month names:
         31 May 2024, 31st of May, May 31, 2024, May 2024; without a year also 31 May and June 3 (not `may 3`, `march 3`)
version  1.2.3 (three parts or more), v2, version 1.2, release 7, python3.11, each also with rc1, beta2 and the like
"""

import functools
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator

# In this order in the arrays of a text.
NUMBERS, DATES, VERSIONS = range(3)

NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), start=2
    )
}

_MONTH_NAMES = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTHS = {name[:3]: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_MONTH = f"({'|'.join((*_MONTH_NAMES, 'sept', *_MONTHS))})"
# Words as well as months: what follows them is a day only with a year behind it.
_VERBS = ("may", "march")

_SUFFIX = r"(?:[-~+]?(?:alpha|beta|rc|pre|dev|post|a|b)\.?\d+)?"
_TOKEN = re.compile(r"\d+(?:[.,:/-]\d+)*" + _SUFFIX)
_RUN = re.compile(r"\d+")
_THOUSANDS = re.compile(r"(\d{1,3}(?:,\d{3})+)((?:\.\d+)?)")
_FRACTION = re.compile(r"\d+\.\d+")
_DOTTED = re.compile(r"\d+(?:\.\d+){2,}" + _SUFFIX)
_RELEASE = re.compile(r"\d+(?:\.\d+)*" + _SUFFIX)
_YEAR_FIRST = re.compile(r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})")
_YEAR_LAST = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{4})")

_VERSION_BEFORE = re.compile(r"(?:(?:^|[^\w])(v|ver|version|release|rev|revision)[.\s]*|[^\W\d_])$")
_MONTH_BEFORE = re.compile(rf"(?:^|[^\w]){_MONTH}\.?\s+$")
# White space, but not the end of a line: what follows may be another text.
_S = r"[^\S\n]"
_MONTH_AFTER = re.compile(rf"(?:st|nd|rd|th)?(?:{_S}+of)?{_S}+{_MONTH}\b\.?(?:,?{_S}+(\d{{4}})\b)?")
_YEAR_AFTER = re.compile(rf"(?:st|nd|rd|th)?(?:,?{_S}+(\d{{4}})\b)?")
# How the names end.
_MONTH_ENDS = frozenset(name[-3:] for name in (*_MONTH_NAMES, "sept", *_MONTHS))
# The longest of what may stand before a digit: "september.  ".
_BEFORE = 13


def quantities(folded: str, digits: Iterable[int]) -> Iterator[tuple[int, int, str]]:
    """Where, of which kind and what is every quantity in digits of a case folded text, which may be many texts in lines.

    `digits` are the places where runs of digits begin, ascending: to find them with a regular expression would take most of
    the time.
    """
    past = 0
    for start in digits:
        if start < past:  # inside of what is already read, such as the year of a date
            continue
        match = _TOKEN.match(folded, start)
        assert match is not None
        token, end = match.group(), match.end()
        past = end
        before = folded[max(0, start - _BEFORE) : start].rpartition("\n")[2]
        named = _named_date(folded, token, before, end)
        if named is not None:
            date, past = named
            yield start, DATES, date
            continue
        found = _VERSION_BEFORE.search(before) if _may_end_version_word(before) else None
        for kind, value in _classified(token, found is not None and (found[1] is not None or "." in token)):
            yield start, kind, value


@functools.lru_cache(maxsize=1 << 16)
def hashed(kind: int, value: str) -> int:
    """64 bits that stand for a quantity: the sum over a text stands for all of its quantities, in any order."""
    return int.from_bytes(hashlib.blake2b(f"{kind}:{value}".encode(), digest_size=8).digest(), "little")


@functools.lru_cache(maxsize=1 << 16)
def _classified(token: str, as_version: bool) -> tuple[tuple[int, str], ...]:
    token = _ascii(token)
    if date := _numeric_date(token):
        return ((DATES, date),)
    if _DOTTED.fullmatch(token) or (as_version and _RELEASE.fullmatch(token)):
        return ((VERSIONS, re.sub(r"[-~+]", "", token)),)
    return tuple((NUMBERS, number) for piece in re.split(r"[:/-]", token) for number in _numbers(piece))


def _numbers(piece: str) -> Iterator[str]:
    if match := _THOUSANDS.fullmatch(piece):
        yield _plain(match[1].replace(",", "")) + match[2]
    elif _FRACTION.fullmatch(piece):
        whole, _, fraction = piece.partition(".")
        yield f"{_plain(whole)}.{fraction}"
    else:
        yield from map(_plain, _RUN.findall(piece))


def _numeric_date(token: str) -> str | None:
    if match := _YEAR_FIRST.fullmatch(token):
        return _date(match[1], match[3], match[4])
    if match := _YEAR_LAST.fullmatch(token):
        first, separator, second, year = match.groups()
        day_first = separator == "." or int(first) > 12
        return _date(year, second, first) if day_first else _date(year, first, second)
    return None


def _named_date(folded: str, token: str, before: str, end: int) -> tuple[str, int] | None:
    """A date with a month's name beside `token`, and where it ends."""
    if not token.isdecimal() or len(token) not in (1, 2, 4):
        return None
    if len(token) < 3 and (after := _MONTH_AFTER.match(folded, end)):
        date = _date(after[2] or "", str(_MONTHS[after[1][:3]]), token)
        return None if date is None else (date, after.end())
    found = _MONTH_BEFORE.search(before) if _may_end_month(before) else None
    if found is None:
        return None
    month = str(_MONTHS[found[1][:3]])
    if len(token) == 4:
        return (f"{_ascii(token)}-{int(month):02d}", end) if 1000 <= int(token) <= 2999 else None
    after = _YEAR_AFTER.match(folded, end)
    if after is None or (after[1] is None and found[1] in _VERBS):
        return None
    date = _date(after[1] or "", month, token)
    return None if date is None else (date, after.end())


def _may_end_month(before: str) -> bool:
    """Whether `_MONTH_BEFORE` may match in one line: a look at the end is ten times as fast, and nearly always says no."""
    word = before.rstrip()
    return word != before and word.removesuffix(".")[-3:] in _MONTH_ENDS


def _may_end_version_word(before: str) -> bool:
    """Whether `_VERSION_BEFORE` may match in one line."""
    last = before[-1:]
    if not last.isascii() or last.isalnum():
        return True
    if last != "." and not last.isspace():
        return False
    end = before.rstrip().rstrip(". ")[-1:]
    return end in ("v", "r", "n", "e") or end.isspace()  # how the words end; dots and white space may be mixed


def _date(year: str, month: str, day: str) -> str | None:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return None
    return f"{_ascii(year)}-{int(month):02d}-{int(day):02d}"


def _plain(digits: str) -> str:
    return digits.lstrip("0") or "0"


def _ascii(token: str) -> str:
    """With digits of any script as 0 to 9."""
    return token if token.isascii() else "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in token)
