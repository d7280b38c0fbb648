import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.corpus.sentences import sentence_starts


def sentences(text: str) -> list[str]:
    bounds = [0, *sentence_starts(text).tolist(), len(text)]
    return [text[low:high].strip() for low, high in itertools.pairwise(bounds)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four… Five", ["One.", "Two!", "Three?", "Four…", "Five"]),
        ("What?! No... Yes.", ["What?!", "No...", "Yes."]),
        ('He said "Stop!" (Really.) Then left.', ['He said "Stop!"', "(Really.)", "Then left."]),
        ("Pi is 3.14 in the U.S.A at example.org", ["Pi is 3.14 in the U.S.A at example.org"]),
        ("这是第一句。“真的吗？”是的！", ["这是第一句。", "“真的吗？”", "是的！"]),
        ("これは文です。次の文。", ["これは文です。", "次の文。"]),
        ("यह पहला है। यह दूसरा है।", ["यह पहला है।", "यह दूसरा है।"]),
        ("هل هذا صحيح؟ نعم.", ["هل هذا صحيح؟", "نعم."]),
        ("Title\n\nText\r\n\r\nMore", ["Title", "Text", "More"]),
        ("Buy:\n- milk\n  * eggs\n1. bread\n12) tea", ["Buy:", "- milk", "* eggs", "1. bread", "12) tea"]),
        ("a line\nthat goes on", ["a line\nthat goes on"]),
        ("", [""]),
        ("End.   ", ["End."]),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


@given(st.text(alphabet="aB1 .!?。」\n-)\u3000"))
def test_starts_are_inside_the_text_ascending_and_never_white_space(text):
    starts = sentence_starts(text).tolist()
    assert starts == sorted(set(starts))
    assert all(0 < at < len(text) for at in starts)
    assert not any(text[at].isspace() and text[at] == "\n" and text[at - 1] == "\n" for at in starts)


def test_a_million_marks_without_a_sentence_are_searched_in_one_pass():
    # A search that began anew at every mark would take hours, not fail.
    for text in ("." * 1_000_000, "." + ")" * 1_000_000, "\n" + " " * 1_000_000):
        assert len(sentence_starts(text)) == 0
