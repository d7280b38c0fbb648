"""The manifest: what a generation is, written last, and the only list of its files that readers trust."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from transforms.files import CorruptFileError, FileRef, digest_of, join, read_json, write_json

# Raised whenever a field is added or changes its meaning; older readers then refuse a generation by this number.
# 1: as below without `changes`. 2: with `changes`.
FORMAT = 2


class GenerationError(Exception):
    """A generation is missing, incomplete or damaged."""


class PublishedFile(BaseModel):
    """One file of a generation; `path` is relative to the root, with forward slashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size: int
    rows: int | None
    sha256: str


class Gate(BaseModel):
    """One condition that had to hold before publishing, with the number that was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float
    limit: float
    passed: bool
    meaning: str


class Manifest(BaseModel):
    """A published generation. `digest` is the sha256 of the canonical JSON of every other field, as they are in the file.

    `changes` says how many documents became what since the parent (states of `transforms.changes`); empty in format 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    generation: str
    parent: str | None
    created: str
    encoder: dict[str, Any]
    corpus_digest: str
    configuration_digest: str
    configuration: dict[str, Any]
    versions: dict[str, str]
    counts: dict[str, int]
    gates: list[Gate]
    files: list[PublishedFile]
    changes: dict[str, int] = {}
    digest: str = ""

    def with_digest(self) -> "Manifest":
        """The same manifest, sealed with its own digest."""
        return self.model_copy(update={"digest": self.content_digest()})

    def content_digest(self) -> str:
        """Hex sha256 of every field but `digest`."""
        return digest_of(self.model_dump(mode="json", exclude={"digest"}))

    def file(self, path: str) -> PublishedFile:
        """The entry of `path` (relative to the generation's folder). Raises GenerationError when there is none."""
        full = f"generations/{self.generation}/{path}"
        for file in self.files:
            if file.path == full:
                return file
        raise GenerationError(f"generation {self.generation} has no file {path!r}")

    def under(self, folder: str) -> list[PublishedFile]:
        """The files of one folder of the generation, in path order."""
        prefix = f"generations/{self.generation}/{folder}/"
        return sorted((file for file in self.files if file.path.startswith(prefix)), key=lambda file: file.path)


def published_files(root: str, refs: Sequence[FileRef]) -> list[PublishedFile]:
    """Entries of finished files under `root`, sorted by path."""
    prefix = root.rstrip("/") + "/"
    entries = []
    for ref in refs:
        if not ref.path.startswith(prefix):
            raise ValueError(f"{ref.path} is not under the root {root}")
        entries.append(PublishedFile(path=ref.path[len(prefix) :], size=ref.size, rows=ref.rows, sha256=ref.sha256))
    return sorted(entries, key=lambda entry: entry.path)


def manifest_path(root: str, generation: str) -> str:
    """Where the manifest of a generation is."""
    return join(root, "generations", generation, "manifest.json")


def write_manifest(root: str, manifest: Manifest) -> None:
    """Write the manifest, the last file of a generation."""
    write_json(manifest_path(root, manifest.generation), manifest.model_dump(mode="json"))


def read_manifest(root: str, generation: str) -> Manifest:
    """Read and check a manifest.

    Raises GenerationError when it is missing or of a newer format, CorruptFileError when it is not what was written.
    """
    path = manifest_path(root, generation)
    try:
        values: Mapping[str, Any] = read_json(path)
    except FileNotFoundError:
        raise GenerationError(f"generation {generation!r} has no manifest under {root}") from None
    except ValueError as error:
        raise CorruptFileError(f"{path} is not JSON ({error})") from error
    if isinstance(values, dict) and isinstance(values.get("format"), int) and values["format"] > FORMAT:
        raise GenerationError(f"generation {generation} has format {values['format']}, this version reads up to {FORMAT}")
    try:
        manifest = Manifest.model_validate(values)
    except ValidationError as error:
        raise CorruptFileError(f"{path} is not a manifest ({error.error_count()} problems)") from error
    # Over the fields that the file has: one that this version would add with its default was not sealed.
    sealed = digest_of({name: value for name, value in values.items() if name != "digest"})
    if manifest.digest != sealed or manifest.generation != generation:
        raise CorruptFileError(
            f"{path} was changed after it was written; roll back to another generation with `corpusbeam rollback ID`"
        )
    return manifest
