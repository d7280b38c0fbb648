"""Published pairs and groups at a higher threshold: what a run with it would publish, without computing a cosine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.duplicates.grouping import groups_from_pairs
from transforms.duplicates.margin import margins, neighborhoods_of
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.places import ascending, places_of
from transforms.duplicates.relation import EXACT
from transforms.duplicates.tables import pairs_schema


@dataclass(frozen=True)
class Raised:
    """Tables of `pairs_schema` and `groups_schema`. Of `texts_capped` texts a cap has left out pairs of that threshold."""

    pairs: pa.Table
    groups: pa.Table
    texts_capped: int


def raise_threshold(
    pairs: pa.Table, texts: pa.Table, documents: Sequence[str], graph: Sequence[str], options: DuplicatesOptions
) -> Raised:
    """The part of published `pairs` at or above the threshold of `options`, and the groups that it makes.

    `pairs` and `texts` are the tables of a generation with the same options but a threshold that is not higher, `documents` and
    `graph` paths of the parts of its documents and neighbour graph. A text whose best pair that a cap has left out is below
    the threshold is complete again. Memory: the tables.
    """
    # Of equal texts there is one pair for each document, whatever the threshold.
    reaching = (pairs["cosine"].to_numpy().astype(np.float64) >= options.threshold) | (pairs["relation"].to_numpy() == EXACT)
    kept = pairs.filter(pa.array(reaching)).combine_chunks()
    a, b = (kept[name].to_numpy() for name in ("id_a", "id_b"))
    ids = ascending(np.concatenate([a, b]))
    # The texts around a pair are those below the threshold: more of them than before.
    around = neighborhoods_of(ids, graph, options.threshold)
    margin = margins(kept["cosine"].to_numpy(), around[places_of(a, ids)], around[places_of(b, ids)])
    schema = pairs_schema()
    column = schema.get_field_index("margin")
    kept = kept.set_column(column, schema.field(column), pa.array(margin, from_pandas=True)).cast(schema)
    capped = pc.greater_equal(texts["best_dropped"].cast(pa.float64()), options.threshold)
    return Raised(kept, groups_from_pairs(kept, texts, documents, options), int(pc.sum(capped).as_py() or 0))
