"""Which duplicate groups are worth a person's time: several different texts that say the same in other words."""

import math
import re
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from transforms.files import filesystem_of, join, read_table
from transforms.reports.documents import Document, PassageId, excerpt, find_documents, rows_of

# Texts are read for so many groups before they are ranked by wording, those with the most different texts first.
SHORTLIST = 400

# Characters of a text in which wording is compared: more than an encoder of 256 tokens sees.
COMPARED = 2_000

# Float32 rounding of a cosine of equal vectors; above it the texts are copies, or differ in nothing the encoder sees.
_SAME = 1 - 1e-6

DEFINITION = (
    "Groups of at least two different texts, ranked by cosine⁴ × wording × log₂(1 + different texts), where wording is "
    "1 − Jaccard similarity of the two texts' sets of words: high when texts mean the same in other words. "
    f"Texts are compared in their first {COMPARED:,} characters, in the {SHORTLIST} groups with the most different texts."
)
DEFINITION_WITHOUT_TEXT = (
    "Groups of at least two different texts, ranked by cosine⁴ × (1 − cosine) × log₂(1 + different texts); "
    "this generation keeps no text to compare the wording of."
)


@dataclass(frozen=True)
class Member:
    """One of a group's other texts: a passage that is it, its cosine to the kept text, how many documents have it.

    `interest` is cosine⁴ × wording. The fourth power makes up for wording, which falls faster than cosine rises: without
    it the pairs that are barely above the threshold come first, and those are related texts more often than paraphrases.
    """

    document: Document
    cosine: float
    copies: int
    interest: float


@dataclass(frozen=True)
class Group:
    """A kept passage and texts that it stands for. `size` counts passages, `texts` different texts, kept included.

    `kept_words` are the kept text's words, case folded, before it was cut for display; empty without text.
    `members` are the texts least similar to the kept one, least similar first; `len(members)` may be below `texts` − 1.
    """

    group_id: int
    size: int
    texts: int
    kept: Document
    kept_words: frozenset[str]
    members: tuple[Member, ...]
    score: float


def words(text: str) -> frozenset[str]:
    """The set of a text's words, case folded."""
    return frozenset(re.findall(r"\w+", text.casefold()))


def wording(a: str, b: str) -> float:
    """1 − Jaccard similarity of two texts' word sets: 0 for the same words, 1 for no common word."""
    left, right = words(a), words(b)
    return 1 - len(left & right) / len(left | right) if left | right else 0.0


def interesting_groups(folder: str, limit: int, members: int, characters: int) -> tuple[Group, ...]:
    """The `limit` most interesting groups of the generation in `folder`, best first; see `DEFINITION`."""
    path = join(folder, "duplicates/groups.parquet")
    fs, inner = filesystem_of(path)
    if limit == 0 or not fs.exists(inner):
        return ()
    columns = ["group_id", "doc_id", "passage_no", "kept_doc_id", "kept_passage_no", "cosine_to_kept", "size"]
    table = read_table(path, columns)
    cosines = table["cosine_to_kept"].to_numpy().astype(np.float64)
    ids, group_of = np.unique(table["group_id"].to_numpy(), return_inverse=True)
    different = np.bincount(group_of[cosines < _SAME], minlength=len(ids))
    shortlist = np.lexsort((ids, -different))[:SHORTLIST]
    shortlist = shortlist[different[shortlist] > 0]
    rows = np.flatnonzero(np.isin(group_of, shortlist))
    rows = rows[np.argsort(group_of[rows], kind="stable")]
    if not len(rows):
        return ()
    starts = [0, *(np.flatnonzero(np.diff(group_of[rows])) + 1).tolist(), len(rows)]
    chosen = table.take(rows).to_pylist()

    keys: dict[PassageId, bytes] = {}
    involved = {row["doc_id"] for row in chosen} | {row["kept_doc_id"] for row in chosen}
    for found in rows_of(folder, involved, ["doc_id", "passage_no", "content_key"], characters):
        doc_ids, passage_nos, found_keys = (found[name].to_pylist() for name in ("doc_id", "passage_no", "content_key"))
        keys.update(zip(zip(doc_ids, passage_nos, strict=True), found_keys, strict=True))

    candidates = [_candidate(chosen[low:high], keys) for low, high in pairwise(starts)]
    candidates = [candidate for candidate in candidates if candidate[1]]
    shown = {_passage(row) for _, texts in candidates for row, _ in texts[:members]}
    shown |= {kept for (_, kept, _), _ in candidates}
    documents = find_documents(folder, shown, COMPARED)
    groups = [_group(*candidate, documents, members, characters) for candidate in candidates]
    return tuple(sorted(groups, key=lambda group: (-group.score, group.group_id))[:limit])


def _passage(row: dict) -> PassageId:
    return row["doc_id"], row["passage_no"]


def _candidate(rows: list[dict], keys: dict[PassageId, bytes]) -> tuple[tuple[int, PassageId, int], list[tuple[dict, int]]]:
    """A group's other texts, least similar first: (row of the smallest passage, number of documents) for each."""
    kept = rows[0]["kept_doc_id"], rows[0]["kept_passage_no"]
    by_text: dict[object, list[dict]] = {}
    for row in rows:
        if row["cosine_to_kept"] < _SAME and _passage(row) != kept:
            by_text.setdefault(keys.get(_passage(row), _passage(row)), []).append(row)
    by_text.pop(keys.get(kept), None)
    texts = [(min(same, key=_passage), len({row["doc_id"] for row in same})) for same in by_text.values()]
    texts.sort(key=lambda text: (text[0]["cosine_to_kept"], _passage(text[0])))
    return (rows[0]["group_id"], kept, rows[0]["size"]), texts


def _group(
    head: tuple[int, PassageId, int],
    texts: list[tuple[dict, int]],
    documents: dict[PassageId, Document],
    limit: int,
    characters: int,
) -> Group:
    group_id, kept_passage, size = head
    kept = documents.get(kept_passage, Document(kept_passage[0], passage_no=kept_passage[1]))
    members = []
    for row, copies in texts[:limit]:
        document = documents.get(_passage(row), Document(row["doc_id"], passage_no=row["passage_no"]))
        cosine = float(row["cosine_to_kept"])
        unlike = 1 - cosine if kept.text is None or document.text is None else wording(kept.text, document.text)
        members.append(Member(_cut(document, characters), cosine, copies, max(cosine, 0.0) ** 4 * unlike))
    score = math.log2(2 + len(texts)) * sum(member.interest for member in members) / len(members)
    shown = _cut(kept, characters)
    return Group(group_id, size, 1 + len(texts), shown, words(kept.text or ""), tuple(members), score)


def _cut(document: Document, characters: int) -> Document:
    return document if document.text is None else replace(document, text=excerpt(document.text, characters))
