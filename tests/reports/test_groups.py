import math
from pathlib import Path

import pytest

from tests.reports.generation import write_documents, write_groups
from transforms.reports.groups import interesting_groups, wording

TEXTS = {
    "kept": "the cat sat on the mat",
    "copy": "the cat sat on the mat",
    "reworded": "a feline rested upon a rug",
    "reworded2": "a feline rested upon a rug",
    "close": "the cat sat on a mat",
    "p1": "install the package from the archive",
    "p2": "Install the package from the Archive",
    "q1": "same text",
    "q2": "same text",
}


def groups_of(folder: Path, limit: int = 10, members: int = 5, characters: int = 100, **documents: bool):
    write_documents(folder, TEXTS, **documents)
    write_groups(
        folder,
        [
            (30, "q1", [("q2", 1.0)]),
            (20, "p1", [("p2", 0.9999)]),
            (10, "kept", [("copy", 1.0), ("close", 0.97), ("reworded", 0.8), ("reworded2", 0.8)]),
        ],
    )
    return interesting_groups(str(folder), limit, members, characters)


def test_groups_of_exact_copies_are_left_out_and_others_ranked(tmp_path: Path) -> None:
    assert [group.group_id for group in groups_of(tmp_path)] == [10, 20]


def test_a_group_shows_each_different_text_once_least_similar_first(tmp_path: Path) -> None:
    group = groups_of(tmp_path)[0]
    assert (group.size, group.texts, group.kept.doc_id, group.kept.text) == (5, 3, "kept", TEXTS["kept"])
    shown = [(member.document.doc_id, round(member.cosine, 4), member.copies) for member in group.members]
    assert shown == [("reworded", 0.8, 2), ("close", 0.97, 1)]


def test_score_is_the_stated_formula(tmp_path: Path) -> None:
    group = groups_of(tmp_path)[0]
    kept = set(TEXTS["kept"].split())

    def interest(name: str, cosine: float) -> float:
        other = set(TEXTS[name].split())
        return cosine**4 * (1 - len(kept & other) / len(kept | other))

    mean = (interest("reworded", 0.8) + interest("close", 0.97)) / 2
    assert group.score == pytest.approx(mean * math.log2(1 + 3), rel=1e-5)


def test_members_shown_and_characters_are_limited_but_texts_counts_all(tmp_path: Path) -> None:
    group = groups_of(tmp_path, members=1, characters=20)[0]
    assert (len(group.members), group.texts) == (1, 3)
    assert group.kept.text == "the cat sat on the…"
    assert "mat" in group.kept_words


def test_limit(tmp_path: Path) -> None:
    assert [group.group_id for group in groups_of(tmp_path, limit=1)] == [10]


def test_without_text_groups_are_ranked_by_cosine(tmp_path: Path) -> None:
    group = groups_of(tmp_path, keep_text=False)[0]
    assert group.kept.text is None
    mean = (0.8**4 * 0.2 + 0.97**4 * 0.03) / 2
    assert group.score == pytest.approx(mean * 2, rel=1e-5)


def test_no_groups(tmp_path: Path) -> None:
    assert interesting_groups(str(tmp_path), 10, 5, 100) == ()
    write_groups(tmp_path, [])
    assert interesting_groups(str(tmp_path), 10, 5, 100) == ()


def test_wording() -> None:
    assert wording("A b", "a B") == 0
    assert wording("a b", "c d") == 1
    assert wording("a b c", "b c d") == 0.5
    assert wording("", "") == 0
