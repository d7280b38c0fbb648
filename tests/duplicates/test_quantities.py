import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.duplicates import quantities as quantities_module
from transforms.duplicates.quantities import DATES, NUMBERS, VERSIONS, quantities

KINDS = {NUMBERS: "number", DATES: "date", VERSIONS: "version"}


def found_in(text):
    folded = text.casefold()
    return [
        (KINDS[kind], value) for _, kind, value in quantities(folded, [match.start() for match in re.finditer(r"\d+", folded)])
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7 of 07", [("number", "7"), ("number", "7")]),
        ("1,000 or 1000", [("number", "1000"), ("number", "1000")]),
        ("1,234,567.80 EUR", [("number", "1234567.80")]),
        ("3.14 and 1.10", [("number", "3.14"), ("number", "1.10")]),
        ("choose 3,4 or 5", [("number", "3"), ("number", "4"), ("number", "5")]),
        ("10-20 at 9:30", [("number", "10"), ("number", "20"), ("number", "9"), ("number", "30")]),
        ("utf-8, x86_64, mp3", [("number", "8"), ("number", "86"), ("number", "64"), ("number", "3")]),
        ("٣ and ３", [("number", "3"), ("number", "3")]),
        ("000", [("number", "0")]),
        ("call 555-1234", [("number", "555"), ("number", "1234")]),
    ],
)
def test_numbers_have_one_form(text, expected):
    assert found_in(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-03",
        "2024/5/3",
        "03.05.2024",
        "5/3/2024",
        "3 May 2024",
        "3rd of May, 2024",
        "3 MAY 2024",
        "May 3, 2024",
        "may 3rd 2024",
        "2024-05-03T",
    ],
)
def test_dates_have_one_form(text):
    assert found_in(f"since {text}: fixed") == [("date", "2024-05-03")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("31/05/2024", [("date", "2024-05-31")]),
        ("Sept. 2023", [("date", "2023-09")]),
        ("on 24 Dec", [("date", "-12-24")]),
        ("on June 3", [("date", "-06-03")]),
        ("you may 3 times", [("number", "3")]),
        ("2024-13-45", [("number", "2024"), ("number", "13"), ("number", "45")]),
        ("in 2024", [("number", "2024")]),
        ("2024-05-31T10:45", [("date", "2024-05-31"), ("number", "10"), ("number", "45")]),
        ("3 mayors", [("number", "3")]),
        ("from 3 May 2024 to 5 June 2024", [("date", "2024-05-03"), ("date", "2024-06-05")]),
        ("line\nMay\n3 lines", [("number", "3")]),
    ],
)
def test_what_is_a_date_and_what_is_not(text, expected):
    assert found_in(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.3", [("version", "1.2.3")]),
        ("v2", [("version", "2")]),
        ("version 2", [("version", "2")]),
        ("Release 7.1", [("version", "7.1")]),
        ("ver. 3", [("version", "3")]),
        ("1.2.3-rc1 or 1.2.3rc1", [("version", "1.2.3rc1"), ("version", "1.2.3rc1")]),
        ("2.0.0~beta2", [("version", "2.0.0beta2")]),
        ("python3.11", [("version", "3.11")]),
        ("python3", [("number", "3")]),
        ("lev 3", [("number", "3")]),
        ("conversion 3", [("number", "3")]),
        ("costs 1.50", [("number", "1.50")]),
    ],
)
def test_what_is_a_version_and_what_is_not(text, expected):
    assert found_in(text) == expected


@given(st.text(alphabet="0123456789.,:/- vmayjune\n٣st", max_size=40))
def test_any_text_can_be_read_and_no_digit_is_lost(text):
    digits = [match.start() for match in re.finditer(r"\d+", text)]
    found = list(quantities(text, digits))
    places = [place for place, _, _ in found]
    assert places == sorted(places)
    assert bool(found) == bool(digits)
    assert all(value for _, _, value in found)


@given(st.lists(st.sampled_from([*"vrneylbt1_.-(²é \t\xa0", " may", "sept", "version", "rev"]), max_size=6).map("".join))
def test_what_is_not_searched_would_not_be_found(before):
    assert quantities_module._may_end_month(before) or quantities_module._MONTH_BEFORE.search(before) is None
    assert quantities_module._may_end_version_word(before) or quantities_module._VERSION_BEFORE.search(before) is None
