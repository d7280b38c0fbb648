"""Groups of duplicates as a search folds them: which group a passage is in, and whom else it has."""

from transforms.files import read_table
from transforms.generations import Generation
from transforms.search.owners import Passage


class Groups:
    """The published groups, in memory: some 300 bytes for each passage that is in one."""

    def __init__(self, generation: Generation) -> None:
        self._group: dict[Passage, int] = {}
        self._members: dict[int, list[Passage]] = {}
        names = {file.path.rsplit("/", 1)[-1] for file in generation.manifest.under("duplicates")}
        if "groups.parquet" not in names:
            return
        columns = ["group_id", "doc_id", "passage_no"]
        table = read_table(generation.path("duplicates/groups.parquet"), columns)
        numbers: dict[object, int] = {}
        for group_id, doc_id, passage_no in zip(*(table[name].to_pylist() for name in columns), strict=True):
            number = numbers.setdefault(group_id, len(numbers))
            self._group[doc_id, passage_no] = number
            self._members.setdefault(number, []).append((doc_id, passage_no))

    def of(self, passage: Passage) -> int | None:
        """The number of the group that a passage is in; None for none."""
        return self._group.get(passage)

    def passages(self, group: int) -> list[Passage]:
        """All passages of a group."""
        return self._members[group]
