"""What a run takes over from the published generation: files whose inputs are the same, and the graph to start from."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
from pipelines.errors import warn
from pipelines.stage import Run
from pipelines.versions import installed_versions
from transforms.files import CorruptFileError, FileRef, file_ref, filesystem_of, is_local, join, read_json, remove
from transforms.generations import Generation, GenerationError, PublishedFile, open_generation, read_current
from transforms.neighbors import ChangesRecord, ChangesTask, ParentGraph
from transforms.neighbors.beam import FindChanges
from transforms.topics import ParentTopics

# What a stage's entry in metrics.json has beside the counts of its result.
_NOT_COUNTS = ("seconds", "peak_rss_mb", "driver_peak_rss_mb", "resumed", "reused", "jobs", "workers")


@dataclass(frozen=True)
class Parent:
    """The published generation beside what this run has read and embedded.

    Nothing of it is used unchecked. A damaged file is no error here: what it would have saved is computed, with a warning.
    """

    run: Run
    generation: Generation
    corpus: CorpusResult
    embedded: EmbedResult

    @property
    def texts_are_the_same(self) -> bool:
        """Whether documents, texts and vectors are those of the parent, and all libraries too: then equal settings give equal
        files.
        """
        documents = [file.sha256 for file in self.generation.manifest.under("documents")]
        return (
            documents == [part.documents.sha256 for part in self.corpus.parts]
            and self._shards_of_now == self._shards
            and self.generation.manifest.versions == installed_versions()
        )

    def has_settings(self, section: str, values: Mapping[str, Any]) -> bool:
        """Whether the parent was made with these values of a section of the configuration."""
        published = self.generation.manifest.configuration.get(section, {})
        return all(name in published and published[name] == value for name, value in values.items())

    def has_files(self, folder: str, files: Sequence[FileRef]) -> bool:
        """Whether the parent's files of a folder have the bytes of these."""
        return [file.sha256 for file in self.generation.manifest.under(folder)] == [file.sha256 for file in sorted(files)]

    @property
    def has_exact_graph(self) -> bool:
        """Whether the parent's neighbour graph was not an approximate one."""
        return not self.generation.manifest.counts.get("approximate_lists")

    @property
    def has_complete_graph(self) -> bool:
        """Whether the parent had so few texts that all others were a text's neighbours."""
        manifest = self.generation.manifest
        return int(manifest.counts["distinct_texts"]) <= int(manifest.configuration["neighbors"]["k"]) + 1

    def graph(self) -> ParentGraph | None:
        """The parent's neighbour graph with what has changed since, found by a job of one worker.

        None when its vectors are another encoder's, when it is approximate or damaged, or when so much is new that it saves
        nothing.
        """
        if self._compared is None or not self.has_exact_graph:
            return None
        parts, changes = self._compared
        return ParentGraph(parts, changes) if changes.pays else None

    def changes(self) -> ChangesRecord | None:
        """Which texts are new, gone, or have another vector since; None when that cannot be told."""
        return None if self._compared is None else self._compared[1]

    @cached_property
    def _compared(self) -> tuple[tuple[FileRef, ...], ChangesRecord] | None:
        """The parts of the parent's graph, which has all its texts, and what a job of one worker found changed since."""
        parts = self.generation.manifest.under("neighbors")
        if not parts or not self.has_one_encoder:
            return None
        try:
            checked = tuple(self._checked(file) for file in parts)
        except CorruptFileError as error:
            not_used("neighbour graph", error)
            return None
        # Not the unit vectors: what is compared with them are the parent's shards.
        root, blocks = self.run.root, tuple(self.embedded.blocks)
        then, now = (tuple(join(root, path) for path in sorted(shards)) for shards in (self._shards, self._shards_of_now))
        task = ChangesTask(checked, then, now, blocks, self.run.scratch("changes"))
        (changes,) = self.run.job("changes", FindChanges(), [task], ChangesRecord)
        return checked, changes

    def _checked(self, file: PublishedFile) -> FileRef:
        return FileRef(self.generation.checked(file), file.size, file.rows, file.sha256)

    def _unchecked(self, file: PublishedFile) -> FileRef:
        return FileRef(join(self.run.root, file.path), file.size, file.rows, file.sha256)

    def checked_file(self, path: str) -> FileRef | None:
        """A file of the parent, where it is; None when there is none or when it is damaged."""
        try:
            return self._checked(self.generation.manifest.file(path))
        except GenerationError:
            return None
        except CorruptFileError as error:
            not_used(path, error)
            return None

    def has_versions(self, *names: str) -> bool:
        """Whether the parent was made with these libraries as they are installed here."""
        published, installed = self.generation.manifest.versions, installed_versions()
        return all(published.get(name) == installed[name] for name in names)

    @cached_property
    def topics(self) -> ParentTopics | None:
        """The parent's topics, to be carried on; None when it has none that can be read.

        Its documents are checked where they are read.
        """
        manifest = self.generation.manifest
        names = ["topics.parquet", "assignments.parquet", "themes.parquet"]
        if not all(self.has_file(f"topics/{name}") for name in names[:2]):
            return None
        has_themes = self.has_file("topics/themes.parquet")
        topics, assignments, themes = (self.checked_file(f"topics/{name}") for name in names)
        if topics is None or assignments is None or (themes is None and has_themes):
            return None
        resolutions = manifest.configuration["topics"]["resolutions"] if has_themes else ()
        documents = tuple(self._unchecked(file) for file in manifest.under("documents"))
        centroids = self.checked_file("topics/centroids.parquet") if self.has_one_encoder else None
        return ParentTopics(self.generation.id, documents, assignments, topics, themes, tuple(resolutions), centroids)

    def files(self, folder: str) -> dict[str, FileRef] | None:
        """All files of a folder of the parent, by name, now also staged by this run; None when one is damaged."""
        taken = {}
        try:
            for file in self.generation.manifest.under(folder):
                name = file.path.rsplit("/", 1)[-1]
                taken[name] = _linked(self.generation.checked(file), join(self.run.staged, folder, name), file)
        except CorruptFileError as error:
            not_used(folder, error)
            return None
        return taken

    def has_file(self, path: str) -> bool:
        """Whether the parent was published with a file."""
        return any(file.path == f"generations/{self.generation.id}/{path}" for file in self.generation.manifest.files)

    def file(self, path: str) -> FileRef | None:
        """A file of the parent, now also staged by this run; None when it is damaged."""
        if (checked := self.checked_file(path)) is None:
            return None
        return _linked(checked.path, join(self.run.staged, path), self.generation.manifest.file(path))

    def counts(self, stage: str) -> dict[str, Any]:
        """What a stage of the parent's run counted."""
        entry = self._metrics.get("stages", {}).get(stage, {})
        return {name: value for name, value in entry.items() if name not in _NOT_COUNTS}

    @cached_property
    def _metrics(self) -> dict[str, Any]:
        try:
            metrics: dict[str, Any] = read_json(self.generation.path("metrics.json"))
        except (CorruptFileError, GenerationError) as error:
            not_used("generation", error)
            return {}
        return metrics

    @cached_property
    def _shards(self) -> dict[str, str]:
        return {file.path: file.sha256 for file in self.generation.manifest.files if file.path.startswith("vectors/")}

    @cached_property
    def _shards_of_now(self) -> dict[str, str]:
        return {_relative(self.run.root, shard.path): shard.sha256 for shard in self.embedded.shards}

    @property
    def has_one_encoder(self) -> bool:
        """Whether the parent's vectors are this run's encoder's."""
        # A shard's folder is named by the fingerprint of its encoder.
        return len({path.rsplit("/", 1)[0] for path in (*self._shards, *self._shards_of_now)}) == 1


def open_parent(run: Run, corpus: CorpusResult, embedded: EmbedResult) -> Parent | None:
    """The published generation as a source of finished work; None when there is none that can be read."""
    published = read_current(run.root)
    if published is None:
        return None
    try:
        return Parent(run, open_generation(run.root, published), corpus, embedded)
    except (CorruptFileError, GenerationError) as error:
        not_used("generation", error)
        return None


def not_used(what: str, error: Exception) -> None:
    """Warn that something of the published generation is damaged, and so computed."""
    warn([f"the published {what} is not used again, everything is computed anew: {error}"])


def _linked(source: str, target: str, file: PublishedFile) -> FileRef:
    """A checked file under a second path: a hard link where the disk has them, else a copy that is checked again."""
    remove(target)
    fs, inner = filesystem_of(source)
    _, destination = filesystem_of(target)
    fs.makedirs(destination.rsplit("/", 1)[0], exist_ok=True)
    if is_local(source):
        with contextlib.suppress(OSError):
            os.link(inner, destination)
            return FileRef(target, file.size, file.rows, file.sha256)
    fs.cp_file(inner, destination)
    if (copied := file_ref(target, file.rows)).sha256 != file.sha256:
        raise CorruptFileError(f"{source} changed while it was copied to {target}")
    return copied


def _relative(root: str, path: str) -> str:
    return path.removeprefix(root.rstrip("/") + "/")
