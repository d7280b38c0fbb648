"""A reader's view of one generation: CURRENT is resolved once, and every file is checked before it is used."""

from dataclasses import dataclass, field

from transforms.files import CorruptFileError, filesystem_of, join, sha256_of
from transforms.generations.current import read_current
from transforms.generations.manifest import GenerationError, Manifest, PublishedFile, manifest_path, read_manifest


@dataclass(frozen=True)
class Generation:
    """One generation under `root`, pinned: later publications do not change what it answers."""

    root: str
    manifest: Manifest
    _checked: set[str] = field(default_factory=set, compare=False, repr=False)

    @property
    def id(self) -> str:
        """The generation's id."""
        return self.manifest.generation

    @property
    def folder(self) -> str:
        """The generation's folder."""
        return join(self.root, "generations", self.id)

    def checked(self, file: PublishedFile) -> str:
        """The path of a file whose bytes were compared with the manifest, once per reader.

        Raises CorruptFileError when the file is missing or is not what was published.
        """
        path = join(self.root, file.path)
        if file.path not in self._checked:
            if problem := check_file(path, file):
                raise self._refused(problem)
            self._checked.add(file.path)
        return path

    def of_its_size(self, file: PublishedFile) -> str:
        """The path of a file that is there with its size; its bytes are not compared.

        Raises CorruptFileError when the file is missing or has another size.
        """
        path = join(self.root, file.path)
        fs, inner = filesystem_of(path)
        found = fs.size(inner) if fs.exists(inner) else None
        if found != file.size:
            raise self._refused(
                f"{path} {'is missing' if found is None else f'has {found} bytes, the manifest says {file.size}'}"
            )
        return path

    def _refused(self, problem: str) -> CorruptFileError:
        # A collection begins with the manifest: what a reader misses afterwards is no damage.
        fs, inner = filesystem_of(manifest_path(self.root, self.id))
        fs.invalidate_cache(inner)
        if not fs.exists(inner):
            return CorruptFileError(
                f"{problem}: generation {self.id} was collected by gc while it was read; open the root again "
                "(`Searcher.reload`), and collect later or reload more often"
            )
        return CorruptFileError(f"{problem}; run `corpusbeam verify --root {self.root}`")

    def path(self, name: str) -> str:
        """The checked path of a file named relative to the generation's folder."""
        return self.checked(self.manifest.file(name))

    def checked_folder(self, *names: str) -> str:
        """The generation's folder, after every published file in its folders `names` was checked.

        For readers that list a folder themselves. Raises CorruptFileError also for a file there that was not published.
        """
        for name in names:
            published = self.manifest.under(name)
            for file in published:
                self.checked(file)
            fs, inner = filesystem_of(join(self.folder, name))
            fs.invalidate_cache(inner)
            base = inner.rstrip("/") + "/"
            known = {file.path for file in published}
            for found in sorted(fs.find(inner)):
                relative = f"generations/{self.id}/{name}/{found[len(base) :]}"
                if relative not in known:
                    raise CorruptFileError(f"{join(self.root, relative)} is not in the manifest; remove it")
        return self.folder


def open_generation(root: str, generation: str | None = None) -> Generation:
    """Open the published generation of `root`, or the one named.

    Raises GenerationError when nothing is published there.
    """
    chosen = generation or read_current(root)
    if chosen is None:
        raise GenerationError(f"nothing is published under {root!r}: run `corpusbeam reindex --root {root}` first")
    return Generation(root, read_manifest(root, chosen))


def check_file(path: str, file: PublishedFile) -> str | None:
    """What is wrong with a published file, or None."""
    try:
        sha256, size = sha256_of(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return f"{path} is missing"
    if size != file.size:
        return f"{path} has {size} bytes, the manifest says {file.size}"
    if sha256 != file.sha256:
        return f"{path} has sha256 {sha256[:16]}…, the manifest says {file.sha256[:16]}…"
    return None
