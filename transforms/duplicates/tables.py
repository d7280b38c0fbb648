"""The published tables of this room: their columns and what the columns mean."""

import pyarrow as pa

from transforms.files import describe


def pairs_schema() -> pa.Schema:
    """Columns of `duplicates/pairs.parquet`."""
    schema = pa.schema(
        [
            ("doc_id_a", pa.string()),
            ("passage_no_a", pa.int32()),
            ("doc_id_b", pa.string()),
            ("passage_no_b", pa.int32()),
            ("cosine", pa.float32()),
            ("relation", pa.string()),
            ("differences", pa.list_(pa.string())),
            ("jaccard", pa.float32()),
            ("id_a", pa.int64()),
            ("id_b", pa.int64()),
        ]
    )
    return describe(
        schema,
        {
            "doc_id_a": "First document (smallest id) of the one text; doc_id_a < doc_id_b.",
            "passage_no_a": "The first passage of doc_id_a that is its text, from 0.",
            "doc_id_b": "First document of the other text; with relation exact, another document of the same text. Where the "
            "first documents of both texts are one, the next document of either makes the pair.",
            "passage_no_b": "The first passage of doc_id_b that is its text.",
            "cosine": "Cosine of the two texts' vectors, 1 for equal texts. Rows are sorted by cosine descending, doc_id_a, "
            "doc_id_b, passage_no_a, passage_no_b.",
            "relation": "exact: the same text; near: word 3-grams mostly shared, an edited copy; paraphrase: the "
            "same in other words.",
            "differences": "What may make the pair different in meaning: numbers (other digit sequences), negation "
            "(other count of negation words).",
            "jaccard": "Jaccard similarity of the texts' word 3-grams (of their words where one has fewer than 3).",
            "id_a": "Id of doc_id_a's text in the index and the neighbour graph.",
            "id_b": "Id of doc_id_b's text; equal to id_a with relation exact.",
        },
    )


def mined_schema() -> pa.Schema:
    """Columns of the pairs before their documents are named: what is known of two texts."""
    named = ("doc_id_a", "passage_no_a", "doc_id_b", "passage_no_b")
    return pa.schema([field for field in pairs_schema() if field.name not in named])


def groups_schema() -> pa.Schema:
    """Columns of `duplicates/groups.parquet`."""
    schema = pa.schema(
        [
            ("group_id", pa.int64()),
            ("doc_id", pa.string()),
            ("passage_no", pa.int32()),
            ("kept_doc_id", pa.string()),
            ("kept_passage_no", pa.int32()),
            ("cosine_to_kept", pa.float32()),
            ("min_cosine", pa.float32()),
            ("size", pa.int32()),
            ("component_id", pa.int64()),
        ]
    )
    return describe(
        schema,
        {
            "group_id": "Id of the kept text. Rows are sorted by group_id, the kept passage first, then "
            "cosine_to_kept descending, doc_id, passage_no.",
            "doc_id": "Document of a passage of the group, the kept one included; of kept_doc_id there is no other passage.",
            "passage_no": "Number of the passage in doc_id, from 0; a passage is in one group at most.",
            "kept_doc_id": "The document whose passage stands for the group.",
            "kept_passage_no": "Number of that passage in kept_doc_id.",
            "cosine_to_kept": "Cosine of this passage's text with the kept text itself, at or above the threshold; "
            "1 for equal texts.",
            "min_cosine": "Smallest cosine_to_kept in the group: near the threshold, look at it before you act on it.",
            "size": "Passages in the group, at least 2.",
            "component_id": "Smallest text id in the connected component of all pairs; several groups can share one.",
        },
    )
