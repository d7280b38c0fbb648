import pytest

from transforms.reports import changes_line

ID = "20260101T000000Z-0a1b2c3d"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        # In the order of the letters, as a file with sorted keys has them.
        (
            {"added": 1234, "changed": 3, "deleted": 5, "metadata_only": 4, "quarantined": 6, "since": ID, "unchanged": 7},
            f"since {ID}: 1,234 added, 3 changed, 4 metadata only, 5 deleted, 6 quarantined, 7 unchanged",
        ),
        ({"since": ID, "added": 0, "deleted": 2, "unchanged": 9}, f"since {ID}: 2 deleted, 9 unchanged"),
        ({"since": None, "added": 12, "unchanged": 0}, "first generation: 12 added"),
        ({"since": ID, "added": 0, "unchanged": 0}, f"since {ID}: 0 unchanged"),
    ],
)
def test_one_line_says_what_changed(changes, line):
    assert changes_line(changes) == line
