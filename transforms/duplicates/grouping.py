"""Groups of passages from pairs of texts: which passage is kept, and which ones it stands for."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from transforms.duplicates.groups import cover
from transforms.duplicates.keep import Candidates, columns_of, policy_order
from transforms.duplicates.occurrences import Occurrences, occurrences_of
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.places import places_of
from transforms.duplicates.tables import groups_schema


def groups_from_pairs(pairs: pa.Table, texts: pa.Table, documents: Sequence[str], options: DuplicatesOptions) -> pa.Table:
    """The table of groups, in `groups_schema`, of published pairs: those of a generation, or the part above a threshold.

    `pairs` has the columns `id_a`, `id_b` and `cosine` (pairs of one text with itself say nothing here and are left out),
    `texts` is `duplicates/texts.parquet`, `documents` are the paths of the documents parts. Only `keep` of the options counts.
    Raises KeepError when a rule of `keep` does not fit the documents.
    """
    ids = texts["id"].to_numpy()
    a, b = (places_of(pairs[name].to_numpy(), ids) for name in ("id_a", "id_b"))
    other = a != b
    occurrences = occurrences_of(ids, documents, columns_of(options.keep))
    cosines = pairs["cosine"].to_numpy()[other]
    return group_passages(texts, occurrences, a[other], b[other], cosines, options.keep)


def group_passages(
    texts: pa.Table, occurrences: Occurrences, a: np.ndarray, b: np.ndarray, cosines: np.ndarray, keep: Sequence[str]
) -> pa.Table:
    """Rows of `groups_schema`: every passage stands in the group of its text's kept text.

    Pairs (`a[i]`, `b[i]`), each once, are places in `texts` (columns `id` ascending, `documents`, `characters`) and have
    `cosines[i]`. A text is as wanted as its most wanted passage by the rules `keep`, and that passage is the kept one of its
    group. Other passages of the kept document are left out: a document is no duplicate of itself.
    """
    ids = texts["id"].to_numpy()
    best, order = _wanted(texts, occurrences, keep)
    covered = cover(len(ids), a, b, cosines, order)
    kept = covered.kept[occurrences.texts]
    kept_row = best[kept]
    is_kept = kept_row == np.arange(len(kept))
    rows = np.flatnonzero(is_kept | (occurrences.ranks != occurrences.ranks[kept_row]))
    size = np.bincount(kept[rows], minlength=len(ids))[kept]
    rows = rows[size[rows] > 1]
    cosine = covered.cosines[occurrences.texts]
    lowest = np.ones(len(ids), np.float32)
    np.minimum.at(lowest, kept[rows], cosine[rows])
    # By group, the kept passage first, then cosine descending, document, passage.
    rows = rows[np.lexsort((occurrences.passage_nos[rows], occurrences.ranks[rows], -cosine[rows], ~is_kept[rows], kept[rows]))]
    columns = {
        "group_id": ids[kept],
        "passage_no": occurrences.passage_nos,
        "kept_passage_no": occurrences.passage_nos[kept_row],
        "cosine_to_kept": cosine,
        "min_cosine": lowest[kept],
        "size": size.astype(np.int32),
        "component_id": ids[covered.component[occurrences.texts]],
    }
    taken = {name: pa.array(values[rows]) for name, values in columns.items()}
    taken["doc_id"] = occurrences.doc_ids.take(pa.array(rows))
    taken["kept_doc_id"] = occurrences.doc_ids.take(pa.array(kept_row[rows]))
    return pa.table([taken[name] for name in groups_schema().names], schema=groups_schema())


def _wanted(texts: pa.Table, occurrences: Occurrences, keep: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The most wanted passage of each text, and the texts (places) in the order of those, most wanted first.

    Where the rules are equal, the passage of the smallest document id, then of the smallest number, is wanted most.
    """
    by_name = np.lexsort((occurrences.passage_nos, occurrences.ranks))
    text_of = occurrences.texts[by_name]
    candidates = Candidates(
        texts["documents"].to_numpy()[text_of],
        texts["characters"].to_numpy()[text_of],
        {name: values.take(pa.array(by_name)) for name, values in occurrences.columns.items()},
    )
    order = by_name[policy_order(candidates, keep)]
    _, first = np.unique(occurrences.texts[order], return_index=True)
    return order[first], occurrences.texts[order[np.sort(first)]]
