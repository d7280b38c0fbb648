"""`corpusbeam topics --atlas`: the published map as one Parquet file for Embedding Atlas."""

from typing import Any

from pipelines.published_topics import layer_of, published_topics
from transforms.files import FileRef, write_batches
from transforms.generations import Generation
from transforms.topics import TopicsOptions, atlas_rows, atlas_schema


def write_atlas(generation: Generation, path: str) -> dict[str, Any]:
    """Write the map of a generation to `path`.

    Raises GenerationError when the generation has no topics, CorruptFileError for a file that is not what was published.
    """
    published = published_topics(generation)
    graph = [
        FileRef(generation.checked(file), file.size, file.rows, file.sha256) for file in generation.manifest.under("neighbors")
    ]
    layer = layer_of(published, TopicsOptions.model_validate(generation.manifest.configuration["topics"]))
    schema = atlas_schema(published.documents[0])
    tables = (published.assignments, published.topics, published.themes)
    written = write_batches(path, schema, atlas_rows(published.documents, *tables, layer, graph))
    text = "--text text " if "text" in schema.names else ""
    return {
        "root": generation.root,
        "generation": generation.id,
        "output": path,
        "rows": written.rows,
        "command": f"embedding-atlas {path} {text}--x x --y y --neighbors neighbors",
    }


def atlas_lines(found: dict[str, Any]) -> list[str]:
    """What `write_atlas` wrote as lines for a terminal."""
    return [f"{found['rows']:,} passages written to {found['output']}", f"open it with: {found['command']}"]
