"""Which duplicate pairs and groups are new or gone."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from transforms.comparison.kinds import Kinds
from transforms.comparison.merge import merge_sorted
from transforms.comparison.tables import batches_of
from transforms.generations import Generation

_PAIR = ("doc_id_a", "passage_no_a", "doc_id_b", "passage_no_b")
# Two integers sort and compare faster than raw bytes.
_DIGEST = np.dtype([("high", "<u8"), ("low", "<u8")])


def compare_pairs(a: Generation, b: Generation, limit: int) -> dict[str, Any]:
    """Counts of pairs of passages that are `new`, `gone` or `kept`, with the most similar new and gone ones as examples.

    A pair is two passages by name: with another text in one of them it is still the same pair.
    """
    old, new = _digests(a), _digests(b)
    added, gone = np.setdiff1d(new, old), np.setdiff1d(old, new)
    return {
        "new": len(added),
        "gone": len(gone),
        "kept": len(new) - len(added),
        "examples": {"new": _named(b, added, limit), "gone": _named(a, gone, limit)},
    }


def _pairs(generation: Generation) -> Iterator[tuple[list[tuple[Any, ...]], np.ndarray]]:
    """Batches of pairs in the order of the table, and their digests: (n,) structured as two integers."""
    for batch in batches_of(generation, "duplicates/pairs.parquet", [*_PAIR, "cosine"]):
        pairs = list(zip(*(batch.column(name).to_pylist() for name in (*_PAIR, "cosine")), strict=True))
        yield pairs, np.frombuffer(b"".join(map(_digest, pairs)), _DIGEST)


def _digest(pair: tuple[Any, ...]) -> bytes:
    named = repr(pair[:4]).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(named, digest_size=_DIGEST.itemsize).digest()


def _digests(generation: Generation) -> np.ndarray:
    return np.concatenate([np.empty(0, _DIGEST), *(digests for _, digests in _pairs(generation))])


def _named(generation: Generation, wanted: np.ndarray, limit: int) -> list[dict[str, Any]]:
    """The first `limit` pairs of the table, which has the most similar first, whose digest is wanted."""
    found: list[dict[str, Any]] = []
    if limit == 0 or not len(wanted):
        return found
    for pairs, digests in _pairs(generation):
        chosen = np.flatnonzero(np.isin(digests, wanted))[: limit - len(found)]
        found += [dict(zip((*_PAIR, "cosine"), pairs[i], strict=True)) for i in chosen.tolist()]
        if len(found) == min(limit, len(wanted)):
            break
    return found


@dataclass(frozen=True)
class _Group:
    group_id: int
    kept: str
    members: bytes


def compare_groups(a: Generation, b: Generation, limit: int) -> dict[str, Any]:
    """Counts of groups `new`, `gone`, `changed` (the same kept text, other members) and `same`, with kept documents' ids."""
    kinds = Kinds(("new", "gone", "changed", "same"), ("new", "gone", "changed"), limit)
    for old, new in merge_sorted(_groups(a), _groups(b), lambda group: group.group_id):
        if old is None:
            assert new is not None
            kinds.add("new", new.kept)
        elif new is None:
            kinds.add("gone", old.kept)
        else:
            kinds.add("same" if old.members == new.members else "changed", new.kept)
    return kinds.as_dict()


def _groups(generation: Generation) -> Iterator[_Group]:
    """The groups in order of their ids, which are the ids of the kept texts."""
    columns = ["group_id", "doc_id", "passage_no", "kept_doc_id"]
    rows = (row for batch in batches_of(generation, "duplicates/groups.parquet", columns) for row in batch.to_pylist())
    for group_id, own in groupby(rows, lambda row: row["group_id"]):
        # The order within a group follows cosines, which may differ in the last bit between encoders: members are a set.
        members, kept = [], ""
        for row in own:
            members.append((row["doc_id"], row["passage_no"]))
            kept = row["kept_doc_id"]
        yield _Group(group_id, kept, hashlib.sha256(repr(sorted(members)).encode("utf-8", "surrogatepass")).digest())
