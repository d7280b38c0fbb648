"""The topics of a published generation, checked."""

from transforms.files import FileRef
from transforms.generations import Generation, GenerationError, PublishedFile
from transforms.topics import ParentTopics, TopicsOptions


def published_topics(generation: Generation) -> ParentTopics:
    """Documents, assignments and tables of topics and themes.

    Raises GenerationError when the generation has no topics, CorruptFileError for a file that is not what was published.
    """
    manifest = generation.manifest

    def checked(file: PublishedFile) -> FileRef:
        return FileRef(generation.checked(file), file.size, file.rows, file.sha256)

    tables = {file.path.rsplit("/", 1)[-1]: file for file in manifest.under("topics")}
    if not {"topics.parquet", "assignments.parquet"} <= tables.keys():
        raise GenerationError(
            f"generation {generation.id} has no topics: run `corpusbeam reindex --root {generation.root}` with this version"
        )
    themes = tables.get("themes.parquet")
    return ParentTopics(
        generation.id,
        tuple(checked(file) for file in manifest.under("documents")),
        checked(tables["assignments.parquet"]),
        checked(tables["topics.parquet"]),
        None if themes is None else checked(themes),
        tuple(manifest.configuration["topics"]["resolutions"]) if themes is not None else (),
    )


def layer_of(published: ParentTopics, options: TopicsOptions) -> int | None:
    """The layer of themes that topics are inside of; None where there are no themes."""
    return options.layer if published.resolutions else None
