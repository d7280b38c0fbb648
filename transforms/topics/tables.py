"""Schemas of the room's tables; every published column is described."""

import numpy as np
import pyarrow as pa

from transforms.files import describe

# Who came since something was found, and follows its neighbours.
FOLLOWED = ("theme_followed", "topic_followed")

# Work, not published: one row per distinct text in position order (ascending content key, hence ascending id).
LABELS_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("content_key", pa.binary(32)),
        ("layer_theme_ids", pa.list_(pa.int32())),
        ("topic_id", pa.int32()),
        ("assigned_topic_id", pa.int32()),
        ("assigned_score", pa.float32()),
        ("strength", pa.float32()),
        *((name, pa.bool_()) for name in FOLLOWED),
        ("x", pa.float32()),
        ("y", pa.float32()),
        ("n_documents", pa.int32()),
    ]
)

# What topics and themes are both shown by.
_NAMED = (
    ("first_seen", pa.string()),
    ("generations", pa.int32()),
    ("title", pa.string()),
    ("found_title", pa.string()),
    ("label", pa.string()),
    ("terms", pa.list_(pa.string())),
    ("term_weights", pa.list_(pa.float32())),
    ("representative_doc_ids", pa.list_(pa.string())),
    ("representative_passage_nos", pa.list_(pa.int32())),
    ("boundary_doc_ids", pa.list_(pa.string())),
    ("boundary_passage_nos", pa.list_(pa.int32())),
    ("boundary_other_ids", pa.list_(pa.int32())),
    ("boundary_margins", pa.list_(pa.float32())),
    ("x", pa.float32()),
    ("y", pa.float32()),
)


def _named(kind: str, terms: str) -> dict[str, str]:
    return {
        "first_seen": f"The generation in which the {kind}'s uid was seen first; null: in this one",
        "generations": f"In how many generations in a row the {kind} was, this one included",
        "title": "The label, or where there is none found_title",
        "found_title": "Up to three of the terms, no word twice; the parent generation's while half of its terms are the same",
        "label": "What topics.labels calls it; null where it does not",
        "terms": terms,
        "term_weights": "c-TF-IDF weight of each term",
        "representative_doc_ids": f"Documents near the {kind}'s centre that differ from each other, best first",
        "representative_passage_nos": "The passage of each representative document that is near the centre, from 0",
        "boundary_doc_ids": f"Documents at the {kind}'s border that differ from each other: nearest to another {kind} first",
        "boundary_passage_nos": "The passage of each boundary document that is at the border, from 0",
        "boundary_other_ids": f"The {kind} that each boundary document is near to as well",
        "boundary_margins": f"Cosine to the centroid of its own {kind} less that to the other's: below 0, nearer to that",
        "x": f"Median x of the {kind}'s texts on the map",
        "y": f"Median y of the {kind}'s texts on the map",
    }


TOPICS_SCHEMA = describe(
    pa.schema(
        [
            ("topic_id", pa.int32()),
            ("topic_uid", pa.string()),
            ("theme_id", pa.int32()),
            ("documents", pa.int32()),
            ("assigned_documents", pa.int32()),
            *_NAMED,
        ]
    ),
    {
        "topic_id": "Number of the topic in this generation: 0 is the largest, by passages",
        "topic_uid": "Name of the topic: that of the parent generation's topic which it carries on, else a digest of its "
        "members' content keys",
        "theme_id": "The theme that the topic is in; null where the method has no themes",
        "documents": "Documents with a passage that HDBSCAN puts in the topic (noise not counted)",
        "assigned_documents": "Documents with a passage in the topic or, of the noise, nearest to it",
        **_named("topic", "Terms by descending c-TF-IDF weight"),
    },
)

THEMES_SCHEMA = describe(
    pa.schema(
        [
            ("layer", pa.int32()),
            ("resolution", pa.float32()),
            ("theme_id", pa.int32()),
            ("theme_uid", pa.string()),
            ("documents", pa.int32()),
            ("topics", pa.int32()),
            *_NAMED,
        ]
    ),
    {
        "layer": "Place of the layer in topics.resolutions, from 0",
        "resolution": "Resolution of the layer: higher has more and smaller themes",
        "theme_id": "Number of the theme in its layer: 0 is the largest, by passages",
        "theme_uid": "Name of the theme: that of the theme of the parent generation which it carries on, else a digest of its "
        "layer's resolution and its members' content keys",
        "documents": "Documents with a passage in the theme",
        "topics": "Topics inside the theme; null in a layer that topics are not found in",
        **_named("theme", "Terms by descending c-TF-IDF weight within the layer"),
    },
)

ASSIGNMENTS_SCHEMA = describe(
    pa.schema(
        [
            ("doc_id", pa.string()),
            ("passage_no", pa.int32()),
            ("theme_id", pa.int32()),
            ("layer_theme_ids", pa.list_(pa.int32())),
            ("topic_id", pa.int32()),
            ("assigned_topic_id", pa.int32()),
            ("assigned_score", pa.float32()),
            ("topic_uid", pa.string()),
            ("strength", pa.float32()),
            *((name, pa.bool_()) for name in FOLLOWED),
            ("x", pa.float32()),
            ("y", pa.float32()),
        ]
    ),
    {
        "doc_id": "Document",
        "passage_no": "Passage of the document, from 0",
        "theme_id": "Theme, in the layer that topics are found in: every passage has one; null where the method has no themes",
        "layer_theme_ids": "Theme in each layer, in the order of topics.resolutions; empty where the method has no themes",
        "topic_id": "Topic by HDBSCAN; -1 is noise",
        "assigned_topic_id": "The topic, or for noise the topic that the nearest neighbours vote for; -1 when none has one",
        "assigned_score": "1 in topic_id; for noise the assigned topic's share of the neighbours' cosines; 0 without a topic",
        "topic_uid": "Name of the assigned topic; null when there is none",
        "strength": "HDBSCAN membership strength in topic_id, 0 … 1; 0 for noise; of topic_followed its neighbours' share",
        "theme_followed": "Whether the text came after the themes were found and joined the one that its neighbours are in",
        "topic_followed": "The same of the topics of its theme, which may have been found later than the themes",
        "x": "Map coordinate",
        "y": "Map coordinate",
    },
)

NEW_ASSIGNMENTS_SCHEMA = describe(
    pa.schema(
        [
            ("doc_id", pa.string()),
            ("passage_no", pa.int32()),
            ("theme_id", pa.int32()),
            ("theme_uid", pa.string()),
            ("theme_title", pa.string()),
            ("layer_theme_ids", pa.list_(pa.int32())),
            ("topic_id", pa.int32()),
            ("assigned_topic_id", pa.int32()),
            ("topic_uid", pa.string()),
            ("topic_title", pa.string()),
            ("score", pa.float32()),
            ("nearest_doc_id", pa.string()),
            ("nearest_passage_no", pa.int32()),
            ("nearest_cosine", pa.float32()),
            ("known", pa.bool_()),
        ]
    ),
    {
        "doc_id": "New document. Rows are sorted by doc_id, passage_no.",
        "passage_no": "Number of its passage, from 0",
        "theme_id": "Theme, in the layer that topics are found in; null where the text is like nothing published, and where "
        "the method has no themes",
        "theme_uid": "Name of the theme",
        "theme_title": "Title of the theme",
        "layer_theme_ids": "Theme in each layer, in the order of topics.resolutions; nulls where there is none, empty where "
        "the method has no themes",
        "topic_id": "Topic by the vote of the nearest published texts, in which noise votes too; -1 is noise",
        "assigned_topic_id": "Topic by the vote of those that are in one; -1 where none is, and where the text is like nothing "
        "published",
        "topic_uid": "Name of the assigned topic; null when there is none",
        "topic_title": "Title of the assigned topic",
        "score": "The assigned topic's share of the neighbours' cosines; of a text that is published its assigned_score",
        "nearest_doc_id": "First document with the nearest published text",
        "nearest_passage_no": "The first passage of nearest_doc_id that is that text",
        "nearest_cosine": "Its cosine; 1 of the same text",
        "known": "Whether the text is published: all of it is then as published",
    },
)


VALUES_SCHEMA = describe(
    pa.schema(
        [
            ("kind", pa.string()),
            ("layer", pa.int32()),
            ("topic_id", pa.int32()),
            ("uid", pa.string()),
            ("column", pa.string()),
            ("unit", pa.string()),
            ("value", pa.string()),
            ("documents", pa.int64()),
            ("assigned_documents", pa.int64()),
            ("share", pa.float32()),
            ("corpus_documents", pa.int64()),
            ("lift", pa.float32()),
        ]
    ),
    {
        "kind": "topic or theme",
        "layer": "Layer of a theme, from 0; null for topics",
        "topic_id": "Number of the topic, or of the theme in its layer; -1: documents that are in none",
        "uid": "Name of the topic or theme; null for none",
        "column": "Metadata column",
        "unit": "value: the column's values as they are; month: the months of its dates, in UTC",
        "value": "The value as text, or a month such as 2024-05; null: documents without a value or, of months, without a date",
        "documents": "Documents with this value that have a passage in the topic; all values of a column add up to the topic's",
        "assigned_documents": "The same with passages of noise in the topic that they are nearest to",
        "share": "documents, of all documents of the topic",
        "corpus_documents": "Documents of the corpus with this value",
        "lift": "share, divided by the value's share of the corpus: above 1 it is more common in the topic than elsewhere",
    },
)


CENTROIDS_SCHEMA = describe(
    pa.schema([("kind", pa.string()), ("layer", pa.int32()), ("uid", pa.string()), ("centroid", pa.list_(pa.float32()))]),
    {
        "kind": "topic, or theme",
        "layer": "Place of the layer of themes in topics.resolutions, from 0; null for topics",
        "uid": "Name of the topic or theme; rows are in the order of topics.parquet, then of themes.parquet",
        "centroid": "Mean direction of the vectors of its texts, each text once, of unit length; zeros where they cancel out",
    },
)


def themes_of_layers(column: pa.Array, layers: int) -> np.ndarray:
    """A column `layer_theme_ids` (n,) as int32 (n, layers)."""
    return np.asarray(column.flatten().to_numpy()).reshape(len(column), layers)


def lists_of_layers(themes: np.ndarray) -> pa.Array:
    """Themes int32 (n, layers), -1 for none, as a column of lists; null in place of -1."""
    rows, layers = themes.shape
    borders = pa.array(np.arange(rows + 1, dtype=np.int32) * layers)
    return pa.ListArray.from_arrays(borders, pa.array(themes.ravel(), mask=themes.ravel() < 0))
