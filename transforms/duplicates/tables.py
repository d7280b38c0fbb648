"""The published tables of this room: their columns and what the columns mean."""

import pyarrow as pa

from transforms.files import describe

# What the published tables say in their Parquet metadata. Another number for other rows from equal inputs: tables of before are
# then not taken over. 1 (not written): no margin, no dates and versions, no table of texts.
VERSION = 2
_VERSION_KEY = b"corpusbeam.duplicates"


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
            ("margin", pa.float32()),
            ("id_a", pa.int64()),
            ("id_b", pa.int64()),
        ]
    )
    return _versioned(
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
            "differences": "What may make the pair different in meaning: other numbers (1,000 is 1000, three is 3), dates "
            "(31 May 2024 is 2024-05-31), versions (v2 is version 2), or another count of the same; negation: another count of "
            "English negation words.",
            "jaccard": "Jaccard similarity of the texts' word 3-grams (of their words where one has fewer than 3).",
            "margin": "Cosine divided by the mean of both texts' neighbourhoods: how much nearer they are to each other than "
            "to others. A text's neighbourhood is the mean cosine of those of its K nearest others that are below the "
            "threshold; where none is, the threshold stands for it, and the margin is at least this. Null where the mean is "
            "not above 0.",
            "id_a": "Id of doc_id_a's text in the index and the neighbour graph.",
            "id_b": "Id of doc_id_b's text; equal to id_a with relation exact.",
        },
    )


def mined_schema() -> pa.Schema:
    """Columns of the pairs before their documents are named: two ids, the smaller one first, and what is known of the texts.

    `differences` has a bit for each of `relation.DIFFERENCES`.
    """
    return pa.schema(
        [
            ("id_a", pa.int64()),
            ("id_b", pa.int64()),
            ("cosine", pa.float32()),
            ("jaccard", pa.float32()),
            ("differences", pa.uint8()),
        ]
    )


def dropped_schema() -> pa.Schema:
    """Columns of the texts of which pairs were left out, as in `pairs.Dropped`."""
    return pa.schema([("id", pa.int64()), ("count", pa.int64()), ("best", pa.float32())])


def texts_schema() -> pa.Schema:
    """Columns of `duplicates/texts.parquet`."""
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("doc_id", pa.string()),
            ("passage_no", pa.int32()),
            ("documents", pa.int32()),
            ("characters", pa.int32()),
            ("pairs", pa.int32()),
            ("pairs_dropped", pa.int64()),
            ("best_dropped", pa.float32()),
            ("complete", pa.bool_()),
        ]
    )
    return _versioned(
        schema,
        {
            "id": "A text that has a pair or belongs to several documents. Rows are sorted by it.",
            "doc_id": "First document (smallest id) of the text.",
            "passage_no": "The first passage of doc_id that is the text.",
            "documents": "Documents that have the text.",
            "characters": "Length of the text.",
            "pairs": "Pairs of the text with other texts in pairs.parquet.",
            "pairs_dropped": "Its pairs that were left out because one of both texts had more than max_pairs_per_text.",
            "best_dropped": "Highest cosine of those: every pair of the text above it is in pairs.parquet. Null without any.",
            "complete": "Whether all pairs of the text at or above the threshold are in pairs.parquet.",
        },
    )


def is_current(schema: pa.Schema) -> bool:
    """Whether a published table was made as this version makes it."""
    return (schema.metadata or {}).get(_VERSION_KEY) == str(VERSION).encode()


def _versioned(schema: pa.Schema, descriptions: dict[str, str]) -> pa.Schema:
    return describe(schema, descriptions).with_metadata({_VERSION_KEY: str(VERSION)})


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
    return _versioned(
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


def pairs_against_schema() -> pa.Schema:
    """Columns of the pairs of one set of documents, A, with another, B."""
    schema = pa.schema(
        [
            ("doc_id_a", pa.string()),
            ("passage_no_a", pa.int32()),
            ("doc_id_b", pa.string()),
            ("passage_no_b", pa.int32()),
            ("documents_b", pa.int32()),
            ("cosine", pa.float32()),
            ("relation", pa.string()),
            ("differences", pa.list_(pa.string())),
            ("jaccard", pa.float32()),
            ("margin", pa.float32()),
            ("id_a", pa.int64()),
            ("id_b", pa.int64()),
        ]
    )
    return describe(
        schema,
        {
            "doc_id_a": "Document of A; every one of them has its own rows, also where several have one text.",
            "passage_no_a": "Number of its passage, from 0.",
            "doc_id_b": "The first document (smallest id) of B with the other text.",
            "passage_no_b": "The first passage of doc_id_b that is its text.",
            "documents_b": "How many documents of B have that text.",
            "cosine": "Cosine of the two texts' vectors, 1 for equal texts. Rows are sorted by cosine descending, doc_id_a, "
            "passage_no_a, doc_id_b, passage_no_b.",
            "relation": "exact: the same text; near: word 3-grams mostly shared, an edited copy; paraphrase: the same in other "
            "words; null where B keeps no texts.",
            "differences": "As in pairs.parquet of a generation; null where B keeps no texts.",
            "jaccard": "Jaccard similarity of the texts' word 3-grams (of their words where one has fewer than 3); null where "
            "B keeps no texts.",
            "margin": "Cosine divided by the mean of both texts' neighbourhoods: how much nearer they are to each other than "
            "to others. The neighbourhood of a text is the mean cosine of those of its K nearest others in the other set that "
            "are below the threshold; where none is, the threshold stands for it. Null where the mean is not above 0.",
            "id_a": "First 63 bits of the content key of A's text.",
            "id_b": "The same of B's text: its id in the index of B.",
        },
    )


def matches_schema() -> pa.Schema:
    """Columns of what B has for every passage of A, whether or not it reaches the threshold."""
    schema = pa.schema(
        [
            ("doc_id", pa.string()),
            ("passage_no", pa.int32()),
            ("pairs", pa.int64()),
            ("best_doc_id", pa.string()),
            ("best_passage_no", pa.int32()),
            ("best_cosine", pa.float32()),
            ("id", pa.int64()),
            ("best_id", pa.int64()),
        ]
    )
    return describe(
        schema,
        {
            "doc_id": "Document of A. Rows are sorted by doc_id, passage_no.",
            "passage_no": "Number of its passage, from 0.",
            "pairs": "Texts of B with a cosine at or above the threshold; 0: it has no match.",
            "best_doc_id": "First document of B with the nearest text; null when B is empty.",
            "best_passage_no": "The first passage of best_doc_id that is that text.",
            "best_cosine": "Its cosine, also below the threshold; of equal ones the same text, else the smallest id.",
            "id": "Id of A's text, as id_a of the pairs.",
            "best_id": "Id of B's text.",
        },
    )
