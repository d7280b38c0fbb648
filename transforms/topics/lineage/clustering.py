"""What the next run must know of how topics were found, published as `clustering.json`: it may keep what still fits.

Themes are found for all texts at once, topics theme by theme. Both are kept from the parent generation until the texts have
changed too much since they were found, counted over all generations since, not only from one to the next: what is a little
worse every night does not become bad unnoticed.
"""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from transforms.files import CorruptFileError, FileRef, file_ref, read_json, write_json

# Raised whenever a field changes its meaning; a run then finds everything anew.
_FORMAT = 1
# Themes, and the topics of a theme, are found anew once so many of their texts, as a share of those they were found in, came
# since, or left: measured by benchmarks/topic_stability.py, see the README.
MOST_CHANGED = 0.2


@dataclass(frozen=True)
class Since:
    """What has changed since something was found: in `texts` texts then; `came` and `left` since."""

    texts: int
    came: int = 0
    left: int = 0

    @property
    def fits(self) -> bool:
        """Whether what was found then is still good enough."""
        return max(self.came, self.left) <= MOST_CHANGED * self.texts

    def after(self, came: int, left: int) -> "Since":
        """The same one generation later."""
        return Since(self.texts, self.came + came, self.left + left)


@dataclass(frozen=True)
class Clustering:
    """`themes`: since the themes of all layers were found. `topics`: since the topics of each theme were found, by theme id."""

    themes: Since
    topics: tuple[Since, ...]


def write_clustering(path: str, clustering: Clustering) -> FileRef:
    """Write `clustering.json`."""
    write_json(path, {"format": _FORMAT, **asdict(clustering)})
    return file_ref(path)


def read_clustering(path: str) -> Clustering | None:
    """Read `clustering.json`; None when it is of another format. Raises CorruptFileError when it is not what was written."""
    try:
        values: dict[str, Any] = read_json(path)
        if values.pop("format") != _FORMAT:
            return None
        return TypeAdapter(Clustering).validate_python(values)
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise CorruptFileError(f"{path} does not say how topics were found; run `corpusbeam verify`") from error
